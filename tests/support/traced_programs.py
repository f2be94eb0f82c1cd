"""Real programs under ptrace, in a root of their own, with addresses that are not random."""

import ctypes
import os
import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from support.program_roots import ENVIRONMENT

PTRACE_TRACEME: Final = 0
PTRACE_CONT: Final = 7
PTRACE_SYSCALL: Final = 24
PTRACE_SETOPTIONS: Final = 0x4200
TRACE_EXEC: Final = 1 << 4
TRACE_EXIT: Final = 1 << 6
KILL_WITH_US: Final = 1 << 20
EXEC_EVENT: Final = 4
EXIT_EVENT: Final = 6
ADDR_NO_RANDOMIZE: Final = 0x40000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long] * 4
_libc.ptrace.restype = ctypes.c_long


def become(root: Path, command: Sequence[str]) -> None:
    """Turn this process into the program; does not return."""
    read_end, write_end = os.pipe()  # nobody reads: what the program prints must fit in
    os.dup2(os.open("/dev/null", os.O_RDWR), 0)
    os.dup2(write_end, 1)
    os.dup2(read_end, 64)
    os.closerange(3, 64)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.chroot(root)
    os.chdir("/")
    _libc.personality(ADDR_NO_RANDOMIZE)
    os.execve(command[0], list(command), ENVIRONMENT)


def stops(root: Path, command: Sequence[str], *, every_call: bool = False) -> Iterator[int]:
    """Run a program; yield its pid when it has been executed, at each call if asked, and at exit.

    It goes on when the next stop is asked for.
    """
    pid = os.fork()
    if pid == 0:
        if _libc.ptrace(PTRACE_TRACEME, 0, 0, 0) < 0:
            os._exit(1)  # nobody would wake us
        os.kill(os.getpid(), signal.SIGSTOP)
        become(root, command)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSTOPPED(status):
        raise PermissionError("nothing may be traced here")
    _libc.ptrace(PTRACE_SETOPTIONS, pid, 0, TRACE_EXEC | TRACE_EXIT | KILL_WITH_US)
    started = False
    while True:
        _libc.ptrace(PTRACE_SYSCALL if every_call else PTRACE_CONT, pid, 0, 0)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            return
        started |= status >> 16 == EXEC_EVENT
        if started:
            yield pid


def memory_at_exit(root: Path, command: Sequence[str]) -> dict[str, int]:
    """Return pages of a program just before its end, as smaps and status name them."""
    found: dict[str, int] = {}
    for pid in stops(root, command):
        for file in ("smaps_rollup", "status"):
            text = Path(f"/proc/{pid}/{file}").read_text()
            pairs = re.findall(r"^(Rss|Anonymous|VmPTE):\s+(\d+) kB", text, re.M)
            found |= {name: int(kib) // 4 for name, kib in pairs}
    return found
