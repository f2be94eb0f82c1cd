"""Copies of a process that has imported all: what begins quickly, to be killed or to fail.

Original(PRELOADED).copy(CODE, ARGUMENTS, folder)
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress

from support.clusters import TESTS

_SERVER = """
import json, os, signal, socket, sys

ear = socket.socket(fileno=int(sys.argv[1]))
exec(sys.argv[2])
threads = {int(each) for each in os.listdir("/proc/self/task")} - {os.getpid()}
names = {open(f"/proc/self/task/{each}/comm").read() for each in threads}
assert names <= {"jemalloc_bg_thd\\n"}, names  # which copies start anew; others they would lack
while True:
    asked, fds, _, _ = socket.recv_fds(ear, 1 << 16, 2)
    if not asked:
        sys.exit()
    pid = os.fork()
    if pid == 0:
        break
    for fd in fds:
        os.close(fd)
    ear.send(b"pid %d\\n" % pid)
    ear.send(b"status %d\\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
ear.close()
for number, fd in enumerate((os.open(os.devnull, os.O_RDONLY), *fds)):
    os.dup2(fd, number)
    os.close(fd)
code, arguments, folder = json.loads(asked)
os.chdir(folder)
sys.argv = ["-c", *arguments]
exec(code, {"__name__": "__main__"})
"""


class Original:
    """A process that carries out `preloaded`, for copies to begin with; a context manager."""

    def __init__(self, preloaded):
        self._mouth, ear = socket.socketpair()
        self._told = self._mouth.makefile("rb", buffering=0)
        self._last = None
        paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
        with ear:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVER, str(ear.fileno()), preloaded],
                env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},
                pass_fds=[ear.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end_last()
        self._told.close()
        self._mouth.close()
        self._process.wait()

    def copy(self, code, arguments, folder, heard=False):
        """Have a copy do in a folder what `python -c` would: one at a time, the last one is killed.

        What it says is kept if it is to be `heard`, and goes where this process says things if not.
        """
        self._end_last()
        asked = json.dumps([code, [str(each) for each in arguments], str(folder)]).encode()
        pipes = [os.pipe(), os.pipe()] if heard else []
        said = [writer for _, writer in pipes]
        socket.send_fds(self._mouth, [asked], said or [1, 2])
        for writer in said:
            os.close(writer)
        self._last = Copy(self._told, [os.fdopen(reader) for reader, _ in pipes])
        return self._last

    def _end_last(self):
        if self._last is not None:
            self._last.kill()
            self._last.wait()


class Copy:
    """What `subprocess.Popen` offers, for a process that is no child of this one."""

    def __init__(self, told, said):
        self._told, self._said, self.returncode = told, said, None
        self.stdout, self.stderr = said or (None, None)
        self.pid = self._next("pid")

    def _next(self, name):
        word, number = self._told.readline().decode().split()
        assert word == name
        return int(number)

    def wait(self, timeout=None):
        """Return the exit status; it is minus the signal that ended it, if one did."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a copy", timeout)
            self.returncode = self._next("status")
        return self.returncode

    def poll(self):
        with suppress(subprocess.TimeoutExpired):
            self.wait(timeout=0)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout=None):
        """Return the rest of what it said, once it has ended: what fits into pipes."""
        self.wait(timeout)
        rest = []
        for file in self._said:
            with file:
                rest.append(file.read())
        return rest
