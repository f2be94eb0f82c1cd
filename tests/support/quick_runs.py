"""Runs that take a millisecond, by name: for workers that are sent no functions, only names."""

import gc
import importlib.util
import os
import signal
import sys
import threading
import time
from pathlib import Path

_PATH = Path(__file__).parent.parent / "unit/study/standin.py"
_SPEC = importlib.util.spec_from_file_location("standin_by_name", _PATH)
_STANDIN = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_STANDIN)


def simulate(scenario, *, seed, replication):
    return _STANDIN.simulate(scenario, seed=seed, replication=replication)


def logged(log, scenario, *, seed, replication):
    """Write down who carries out this run, a line a run, before it is carried out."""
    with Path(log).open("a") as file:
        file.write(f"{os.getpid()} {os.getppid()}\n")
    time.sleep(0.005)
    return simulate(scenario, seed=seed, replication=replication)


def where(scenario, *, seed, replication):
    """Print, and return where this is carried out: which process, and is it in its main thread?"""
    sys.stdout.write("this is no answer\n")
    sys.stdout.flush()
    in_main_thread = threading.current_thread() is threading.main_thread()
    ids = {"pid": os.getpid(), "parent": os.getppid()}
    return {**ids, "main": in_main_thread, "replication": replication}


def frozen(scenario, *, seed, replication):
    """Tell whether the collector leaves anything of this process alone."""
    return {"frozen": gc.get_freeze_count() > 0}


def dies(scenario, *, seed, replication):
    if replication == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"replication": replication}


def dies_saying(folder, scenario, *, seed, replication):
    """Be killed, the first time, between the length of what a worker says and what it says."""
    told = Path(folder) / "told"
    if replication == 2 and not told.exists():
        told.touch()
        frame = sys._getframe()
        while "result_queue" not in frame.f_locals:
            frame = frame.f_back
        queue = frame.f_locals["result_queue"]
        queue._wlock.acquire()
        os.write(queue._writer.fileno(), (100_000).to_bytes(4, "big"))
        os.kill(os.getpid(), signal.SIGKILL)
    return {"replication": replication}


def takes(scenario, *, seed, replication):
    """Take time without end, or 64 MiB more each time round, or five seconds, or nothing."""
    held = []
    if scenario["takes"] == "five seconds":
        time.sleep(5)
    while scenario["takes"] in ("time", "memory"):
        if scenario["takes"] == "memory":
            held.append(bytes(range(256)) * (1 << 18))
        else:
            time.sleep(0.01)
    return {}
