"""A process without a kernel: it keeps a clock and a list of what was asked of it."""

import numpy as np
import pytest

from sim.base.errors import Refused
from sim.base.rng import stream
from sim.base.units import PAGE_BYTES, pages_for
from sim.program.api import Child, Exited, Region
from sim.program.patterns import SEQUENTIAL, Every, Listed, Sequential


class Ended(Exception):  # noqa: N818  (a way out, not an error)
    pass


class FakeProcess:
    """Runs a program to its end; a child is run at once, on a clock of its own."""

    def __init__(self, name="P", now_ns=0, refuse=()):
        self.name = name
        self.pid = abs(hash(name)) % 10**6
        self.now_ns = now_ns
        self.calls = []
        self.records = {}
        self.marks = []
        self.children = []
        self.unreaped = []
        self.status = 0
        self.latencies_ns = []
        self.refuse = list(refuse)
        self._next_vpn = 512
        self._written = 0

    cpus = 2

    def run(self, program, *args, **kwargs):
        try:
            for event in program(self, *args, **kwargs):
                raise AssertionError(f"nothing to wait for here: {event}")
        except Ended:
            pass
        return self

    def said(self, *verbs):
        return [call for call in self.calls if call[0] in verbs]

    def _note(self, verb, *what):
        if self.refuse and self.refuse[0][0] == verb:
            _, errno = self.refuse.pop(0)
            raise Refused(errno, verb)
        self.calls.append((verb, *what))

    def mmap(self, size_bytes):
        self._note("mmap", size_bytes)
        region = Region(self._next_vpn, pages_for(size_bytes))
        self._next_vpn += region.pages + 1024
        return region
        yield

    def munmap(self, region, first=0, pages=None):
        self._note("munmap", region, first, pages)
        return
        yield

    def prctl(self, option, value):
        self._note("prctl", option, value)
        return
        yield

    def pwrite(self, file, pages, first=0):
        self._note("pwrite", file, pages, first)
        return
        yield

    def fsync(self, file):
        self._note("fsync", file)
        return
        yield

    def fadvise(self, file, advice, first=0, pages=None):
        self._note("fadvise", file, advice, first, pages)
        return
        yield

    def drop(self, file):
        self._note("drop", file)
        return
        yield

    def sbrk(self, delta_bytes):
        self._note("sbrk", delta_bytes)
        return Region(10**6, max(0, delta_bytes // PAGE_BYTES))
        yield

    def dontneed(self, region, first=0, pages=None):
        self._note("dontneed", region, first, pages)
        return
        yield

    def read(self, region, **how):
        return self._access("read", region, **how)

    def write(self, region, **how):
        return self._access("write", region, **how)

    def _access(
        self,
        verb,
        region,
        *,
        first=0,
        pages=None,
        pattern=SEQUENTIAL,
        arrivals=None,
        span=1,
        per_request=1,
        cpu_ns=0,
        drop=False,
    ):
        pages = region.pages - first if pages is None else pages
        assert first >= 0
        assert first + pages <= region.pages
        if isinstance(pattern, Listed):
            count = pattern.pages.size
            assert not count or pattern.pages.max() < region.pages
        else:
            count = pages if isinstance(pattern, Sequential) else pattern.count
        how = {"first": first, "pages": pages, "pattern": pattern, "arrivals": arrivals}
        how |= {"span": span, "per_request": per_request, "cpu_ns": cpu_ns, "drop": drop}
        self._note(verb, region, how)
        assert count % per_request == 0
        requests = count // per_request
        if arrivals is None:
            self.now_ns += count * cpu_ns
        else:
            if isinstance(arrivals, Every):
                times = arrivals.first_ns + arrivals.interval_ns * np.arange(requests)
            else:
                times = arrivals
            assert len(times) == requests
            for time_ns in times:
                self.now_ns = max(self.now_ns, int(time_ns)) + per_request * cpu_ns
                self.latencies_ns.append(self.now_ns - int(time_ns))
        self._written += count if verb == "write" else 0
        return count
        yield

    def compute(self, cpu_ns):
        self._note("compute", cpu_ns)
        self.now_ns += cpu_ns
        return
        yield

    def sleep(self, duration_ns):
        self._note("sleep", duration_ns)
        self.now_ns += duration_ns
        return
        yield

    def sleep_until(self, time_ns):
        self._note("sleep_until", time_ns)
        self.now_ns = max(self.now_ns, time_ns)
        return
        yield

    def fork(self, program, *args, name=None, **kwargs):
        return self._start("fork", program, args, kwargs, name)
        yield

    def vfork(self, program, *args, name=None, **kwargs):
        return self._start("vfork", program, args, kwargs, name)
        yield

    def posix_spawn(self, image, program, *args, name=None, **kwargs):
        return self._start("posix_spawn", program, args, kwargs, name)
        yield

    def _start(self, verb, program, args, kwargs, name):
        name = name or f"{self.name}/{len(self.children) + 1}"
        self._note(verb, name)
        child = FakeProcess(name, self.now_ns)
        child.run(program, *args, **kwargs)
        self.children.append(child)
        self.unreaped.append(child)
        return Child(child.pid, name)

    def exec(self, image):
        self._note("exec", image)
        return
        yield

    def exit(self, status=0):
        self._note("exit", status)
        self.status = status
        raise Ended
        yield

    def wait(self, child=None):
        self._note("wait", child)
        wanted = [c for c in self.unreaped if child is None or c.pid == child.pid]
        ended = min(wanted, key=lambda c: c.now_ns)
        self.unreaped.remove(ended)
        self.now_ns = max(self.now_ns, ended.now_ns)
        return Exited(ended.pid, ended.status)
        yield

    def child_exited(self, child):
        return any(c.pid == child.pid and c.now_ns <= self.now_ns for c in self.unreaped)

    def rng(self, purpose):
        return stream(1, 0, self.name, purpose)

    def faults(self, kind):
        return self._written if kind == "cow_copy" else 0

    def record(self, key, value):
        self.records.setdefault(key, []).append(value)

    def offers(self, stream, until_ns=None):
        pass

    def begin(self, event):
        self.mark(f"{event}_start")

    def end(self, event, *, failed=False):
        self.mark(f"{event}_end")

    def mark(self, kind):
        self.marks.append((self.now_ns, kind))


@pytest.fixture
def fake_process():
    """Return a maker of processes."""
    return FakeProcess
