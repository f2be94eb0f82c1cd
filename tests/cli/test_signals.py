"""However a command is ended: one line, it keeps what it says, and nobody is left behind."""

import gc
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sim.base.limits import may_raise
from sim.base.stopping import Stopped, stopping_by_signals
from sim.study.run import report_again

SCENARIO = """\
version: 1
name: plain
host: {memory: 64 MiB}
processes: {P: {program: mine}}
run: {horizon: 1000 h}
"""
FOREVER = """\
from sim.plugin import program

@program("mine")
def mine(task):
    print("begun", flush=True)
    while True:
        yield from task.sleep(1000)
"""
STUDY = """\
version: 1
name: long
base: redis_bgsave
set: {run.sample_every: 50 ms, processes.redis.save_every: 100 ms}
axes: {processes.redis.dataset: [4 MiB, 8 MiB]}
replications: 500
seed: 3
need: {set: {host.memory: 256 MiB}}
"""
STATUS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
SAID = {"SIGINT": "interrupted", "SIGTERM": "ended by SIGTERM", "SIGHUP": "ended by SIGHUP"}


def hears_signals():
    """Be as a process at a terminal is: one in the background may be deaf to some."""
    for name in STATUS:
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def started(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "sim", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hears_signals,
    )


def members(group):
    """Return the living processes of a process group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(of_group) == group and state not in "ZX":
            found.append(path.parent.name)
    return found


@pytest.mark.parametrize("name", STATUS)
def test_a_run_that_is_ended_says_that_nothing_is_kept(tmp_path, name):
    (tmp_path / "s.yaml").write_text(SCENARIO)
    (tmp_path / "mine.py").write_text(FOREVER)
    process = started(tmp_path, "run", "s.yaml", "--plugin", "mine.py", "--json")
    assert process.stderr.readline() == "begun\n"
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=120)
    assert process.returncode == STATUS[name]
    assert out == ""
    assert err == f"{SAID[name]}; nothing of the run is kept\n"


def test_who_ignores_hangups_is_not_ended_by_one(tmp_path):
    (tmp_path / "s.yaml").write_text(SCENARIO)
    (tmp_path / "mine.py").write_text(FOREVER)
    process = subprocess.Popen(
        [sys.executable, "-m", "sim", "run", "s.yaml", "--plugin", "mine.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),  # as nohup does
    )
    assert process.stderr.readline() == "begun\n"
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 143


@pytest.mark.parametrize(
    ("name", "whole_group", "jobs"), [("SIGTERM", False, 2), ("SIGHUP", True, 1)]
)
def test_a_study_that_is_ended_keeps_what_is_finished(tmp_path, name, whole_group, jobs):
    (tmp_path / "long.yaml").write_text(STUDY)
    process = started(tmp_path, "study", "long.yaml", "--jobs", str(jobs))
    for line in process.stderr:  # the first run is through, the others are under way
        if line.startswith("every point"):
            break
    time.sleep(0.3)
    send = os.killpg if whole_group else os.kill
    send(process.pid, getattr(signal, name))
    out, err = process.communicate(timeout=120)
    assert process.returncode == STATUS[name], err
    assert out == ""
    assert err.splitlines()[-1] == f"{SAID[name]}; everything finished so far is kept"
    assert not re.search("Traceback|leaked|resource_tracker|Warning", err)
    for _ in range(100):  # whoever cleans up behind them has a moment
        if not members(process.pid):
            break
        time.sleep(0.1)
    assert members(process.pid) == []
    again = report_again(tmp_path / "out/long")
    assert again.exit_status in (0, 1)
    assert "Not finished: " in " ".join(again.sentences)


class _EndsItself:
    """Is ended by a signal where Python cannot pass an exception on: in its finaliser."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)  # the handler runs here


def _end_within_llvm():
    """Be ended while a frame of llvmlite is at work, and go on in it for a while."""
    code = "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0)\nwent_on.append(True)"
    went_on = []
    names = {"__name__": "llvmlite.binding", "os": os, "signal": signal, "time": time}
    exec(code, {**names, "went_on": went_on})
    assert went_on


def _caught():
    with suppress(BaseException):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)


def _block(do):
    with stopping_by_signals():
        do()


@pytest.mark.parametrize("end", [_EndsItself, _end_within_llvm], ids=["finaliser", "llvm"])
def test_an_end_that_cannot_be_passed_on_comes_a_moment_later(end):
    def work():
        end()  # and nobody keeps what it returns
        time.sleep(60)

    with pytest.raises(Stopped):
        _block(work)


def test_an_end_that_somebody_caught_is_told_at_the_end_of_the_block():
    with pytest.raises(Stopped):
        _block(_caught)


@pytest.mark.parametrize("name", ["llvmlite", "llvmlite.binding.executionengine"])
def test_nothing_is_raised_into_llvm(name):
    frames = []
    exec("take()", {"__name__": name, "take": lambda: frames.append(sys._getframe())})
    assert not may_raise(frames[0])
    assert may_raise(sys._getframe())


def test_nothing_is_raised_in_the_collectors_callbacks():
    told = []

    def callback(*_):
        told.append(may_raise(sys._getframe()))

    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)
    callback()
    assert told == [False, False, True]  # as a collection begins, as it ends, and without one
