"""What a run may take of the machine that it is carried out on: time and memory."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.base.errors import ScenarioError
from sim.base.units import PAGE_BYTES, S, format_bytes, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOK_EVERY_S: Final = 0.2
"""How often a run looks at what it has taken."""
AGAIN_EVERY_S: Final = 2.0
"""How often a run that has not ended is told again."""


class LimitReachedError(BaseException):
    """A run has taken the time or the memory that it may; it has no result.

    No ``except Exception`` of a program stops it, nor of a library that is at work just then.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one run may take; ``None`` is no limit.

    `memory_bytes` is of the whole process (`VmRSS`), the interpreter and its libraries included.
    """

    time_ns: int | None = None
    memory_bytes: int | None = None

    def __bool__(self) -> bool:
        return self.time_ns is not None or self.memory_bytes is not None


def may_raise(frame: Any) -> bool:
    """Return whether a signal's handler may raise where it found the interpreter, in `frame`.

    LLVM calls Python back, which cannot pass an exception on to it: it is lost, and LLVM goes on
    with half of what it asked for.  What that compiles may run for ever, or crash.  Nor does the
    collector pass on what is raised in one of its callbacks, as the tests' library has one.
    """
    collecting = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    while frame is not None:
        if frame.f_code in collecting:
            return False
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == "llvmlite":
            return False
        frame = frame.f_back
    return True


@contextmanager
def within(limits: Limits) -> Iterator[None]:
    """Raise `LimitReachedError` in the block as soon as a limit is reached.

    Only in the main thread of a process, and where there are timers (not on Windows); else raises
    `ScenarioError` at once, so that no limit is taken for kept.
    """
    if not limits:
        yield
        return
    if not hasattr(signal, "setitimer"):
        raise ScenarioError("runs cannot be limited on this system; leave the limits out")
    began_s = time.monotonic()
    reached: str | None = None
    over = False

    def look(number: int, frame: Any) -> None:
        nonlocal reached
        if over:
            return
        reached = reached or _reached(limits, time.monotonic() - began_s)
        if reached is not None and may_raise(frame):
            # Raised where Python cannot pass it on, as in a finaliser, it is lost: then once more.
            signal.setitimer(signal.ITIMER_REAL, AGAIN_EVERY_S, AGAIN_EVERY_S)
            raise LimitReachedError(reached)

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_EVERY_S, LOOK_EVERY_S)
    try:
        yield
    except BaseException as error:
        # A library may have caught the limit and raised what it calls a fault of its own.
        if reached is None or isinstance(error, LimitReachedError):
            raise
        raise LimitReachedError(reached) from error
    finally:
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if reached is not None:  # caught, and the block went on from wherever that was
        raise LimitReachedError(reached)


def _reached(limits: Limits, spent_s: float) -> str | None:
    """Return which limit is reached."""
    if limits.time_ns is not None and spent_s * S >= limits.time_ns:
        return f"the time limit of {format_duration(limits.time_ns)} is over"
    if limits.memory_bytes is not None and (held := resident_bytes()) > limits.memory_bytes:
        limit = format_bytes(limits.memory_bytes)
        return f"holds {format_bytes(held)}, over the memory limit of {limit}"
    return None


def resident_bytes() -> int:
    """Return the memory that this process holds now; its peak where that is not to be had."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES
    except OSError:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def real_memory_bytes() -> int | None:
    """Return what memory this process could get at most; ``None`` if nobody says.

    The machine's with its swap, the control group's limit, or the process's own (`ulimit -v`).
    """
    found = []
    total = meminfo_bytes("MemTotal")
    if total:
        found.append(total + meminfo_bytes("SwapTotal"))
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    group = group_limit_bytes()
    if group is not None:
        found.append(group)
    try:
        import resource
    except ImportError:  # Windows
        return min(found, default=None)
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            found.append(limit)
    return min(found, default=None)


def meminfo_bytes(key: str) -> int:
    """Return one line of ``/proc/meminfo``, in bytes; 0 if there is no such line."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    for line in lines:
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    return 0


def group_limit_bytes() -> int | None:
    """Return the tightest memory limit of our control group and those above it, if any."""
    limits = []
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, name = Path("/sys/fs/cgroup"), "memory.max"
        elif "memory" in controllers.split(","):
            root, name = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
        else:
            continue
        folder = root / path.lstrip("/")
        while folder == root or root in folder.parents:
            limits += _number_in(folder / name)
            folder = folder.parent
    return min(limits, default=None)


def _number_in(path: Path) -> list[int]:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return []
    return [int(text)] if text.isdigit() else []
