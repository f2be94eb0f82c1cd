"""A task: one simulated process, its program, and the verbs the program calls.

The verbs put an operation into the task's row of the machine and wait until the burst has carried
it out.
"""

from __future__ import annotations

from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

import simpy

from sim.errors import Errno, Refused
from sim.kernel import step as ops
from sim.kernel.work import EAGAIN, EFAULT, EINVAL, ENOMEM
from sim.machine.layout import (
    A_ACCOUNT,
    A_DONTFORK,
    A_HUGEPAGE,
    A_NOHUGEPAGE,
    A_READ,
    A_SHARED,
    A_WIPEONFORK,
    A_WRITE,
    FORK_ASYNC,
    KIND_ANON,
    KIND_FILE,
    KIND_SHMEM,
    NONE,
)
from sim.rng import stream
from sim.units import Pid, Vpn, pages_for
from sim.workload.api import Child, Exited, Image, Region
from sim.workload.patterns import SEQUENTIAL, Every, HotCold, Listed, Pattern, Sequential, Uniform

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import numpy as np
    from numpy.typing import NDArray

    from sim.engine.system import System
    from sim.workload.api import Process

    Verb = Generator[Any, Any, Any]

    def _is_a_process(task: Task) -> Process:
        return task  # mypy sees to it that a task has every verb that programs are promised


ERRNO = {
    ENOMEM: Errno.ENOMEM,
    EAGAIN: Errno.EAGAIN,
    EFAULT: Errno.EFAULT,
    EINVAL: Errno.EINVAL,
}
ACCESS_BITS = {"none": 0, "r": A_READ, "rw": A_READ | A_WRITE}
ADVICE_BITS = {  # flags that come, flags that go
    "hugepage": (A_HUGEPAGE, A_NOHUGEPAGE),
    "nohugepage": (A_NOHUGEPAGE, A_HUGEPAGE),
    "dontfork": (A_DONTFORK, 0),
    "dofork": (0, A_DONTFORK),
    "wipeonfork": (A_WIPEONFORK, 0),
    "keeponfork": (0, A_WIPEONFORK),
}
PATTERN_CODES = {
    Sequential: ops.SEQUENTIAL,
    Uniform: ops.UNIFORM,
    HotCold: ops.HOT_COLD,
    Listed: ops.LISTED,
}


class Signal(Enum):
    """Why a task was ended from outside."""

    OOM_KILL = -9
    SEGFAULT = -11


class ProgramExit(BaseException):
    """Leaves a program that called exit; no ``except Exception`` of its own stops it."""

    def __init__(self, status: int = 0) -> None:
        super().__init__(status)
        self.status = status


class Killed(BaseException):
    """Leaves a program whose task was ended from outside."""

    def __init__(self, signal: Signal) -> None:
        super().__init__(signal)
        self.signal = signal


class Task:
    """One simulated process.  Implements `sim.workload.api.Process`."""

    def __init__(
        self,
        system: System,
        name: str,
        program: Callable[[Task], Verb] | None,
        parent: Task | None = None,
        *,
        pin: int | None = None,
        oom_score_adj: int = 0,
    ) -> None:
        self.system = system
        self.name = name
        self.pid = Pid(system.next_pid())
        self.parent = parent
        self.program = program
        self.children: list[Task] = []
        self.n_children = 0
        self.building: Task | None = None  # the child of a fork or vfork under way
        self.born = False
        self.row = system.machine.new_task()
        self.pin = pin
        self.oom_score_adj = oom_score_adj
        self.busy = False  # an operation is under way, its end not yet told
        self.waits_for: str | None = None
        self.holder: Task | None = None
        self.killed: Signal | None = None
        self.ending = False
        self.ended: str | None = None
        self.status = 0
        self.created_ns = system.now_ns
        self.ended_ns: int | None = None
        self.enqueued_ns = 0
        self.records: dict[str, list[float]] = {}
        self.figures: dict[str, Any] | None = None
        self.released = system.env.event()  # a vfork child lets its parent go
        self.borrowed = False  # a vfork child that uses its parent's address space
        self.queued = False  # waits for a CPU
        self.stalled = False  # waits for memory
        self.wakes = 0  # arrivals it has been blocked for
        self.timer: simpy.Event | None = None  # what will wake it by itself
        self.ended_how = "running"
        self._done = system.env.event()
        self._child_ended = system.env.event()
        self._segments: list[int] = []
        t = system.machine.arrays.tasks[self.row]
        t.pin = NONE if pin is None else pin
        t.oom_score_adj = oom_score_adj
        system.seed_draws(self)
        self.life: simpy.Process | None = None

    # -- plain facts ----------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """Simulated time."""
        return int(self.system.env.now)

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the task's random stream for `purpose`, at its start."""
        return stream(self.system.seed, self.system.replication, "task", self.name, purpose)

    def faults(self, kind: str) -> int:
        """How many faults of `kind` this task has had."""
        return self.system.fault_count(self, kind)

    def record(self, key: str, value: float) -> None:
        """Append `value` to this program's report under `key`."""
        self.records.setdefault(key, []).append(value)

    def mark(self, kind: str) -> None:
        """Note an event of this `kind` now, for time series."""
        self.system.mark(kind, self.name)

    def child_exited(self, child: Child) -> bool:
        """Whether `child` has ended and waits to be reaped."""
        return any(c.pid == child.pid and c.ended is not None for c in self.children)

    # -- the interface to the burst -------------------------------------------------------

    def _do(self, call: str, op: int, **fields: int) -> Verb:
        """Have the burst carry out one operation; return its result or raise `Refused`."""
        t = self.system.machine.arrays.tasks[self.row]
        t.stage = t.at = t.within = t.errno = t.need = 0
        for name, value in fields.items():
            t[name] = value
        t.op = op
        self._done = self.system.env.event()
        self.system.submit(self)
        yield self._done
        t = self.system.machine.arrays.tasks[self.row]
        if t.errno != 0:
            raise Refused(ERRNO[int(t.errno)], call)
        return int(t.result)

    def complete(self) -> None:
        """Tell the program that its operation is done."""
        self.busy = False
        self._done.succeed()

    # -- memory -----------------------------------------------------------------------------

    def mmap(
        self,
        size_bytes: int,
        *,
        shared: bool = False,
        file: str | None = None,
        start_vpn: int = NONE,
        populate: bool = False,
    ) -> Verb:
        """Map memory, rounded up to whole pages; see `sim.workload.api.Process.mmap`."""
        pages = pages_for(size_bytes)
        kind, row = KIND_ANON, NONE
        if file is not None and pages > 0:
            kind, row = KIND_FILE, self.system.file_named(file, pages)
        elif shared and pages > 0:
            kind, row = KIND_SHMEM, self.system.machine.new_file(KIND_SHMEM, pages)
        fields = {
            "pages": pages,
            "start": start_vpn,
            "bits": A_READ | A_WRITE | (A_SHARED if shared else A_ACCOUNT),
            "write": int(populate),
            "kind": kind,
            "file": row,
            "index": 0,
        }
        try:
            start = yield from self._do("mmap", ops.OP_MMAP, **fields)
        except BaseException:
            if row != NONE:
                self.system.machine.drop_file(row)
            raise
        return Region(Vpn(start), pages)

    def mprotect(
        self,
        region: Region,
        access: str,
        first: int = 0,
        pages: int | None = None,
    ) -> Verb:
        """Change what may be done with a range: ``rw``, ``r`` or ``none``."""
        if access not in ACCESS_BITS:
            raise Refused(Errno.EINVAL, "mprotect")
        bits = ACCESS_BITS[access]
        yield from self._range("mprotect", ops.OP_MPROTECT, region, first, pages, bits=bits)

    def madvise(
        self, region: Region, advice: str, first: int = 0, pages: int | None = None
    ) -> Verb:
        """Give the kernel advice about a range; see `sim.workload.api.Process.madvise`."""
        if advice == "dontneed":
            yield from self.dontneed(region, first, pages)
        elif advice in ADVICE_BITS:
            bits, drop_bits = ADVICE_BITS[advice]
            flags = {"bits": bits, "drop_bits": drop_bits}
            yield from self._range("madvise", ops.OP_MADVISE, region, first, pages, **flags)
        else:
            raise Refused(Errno.EINVAL, "madvise")

    def munmap(self, region: Region, first: int = 0, pages: int | None = None) -> Verb:
        """Unmap `pages` pages of `region` from page `first` on; by default, all the rest."""
        yield from self._range("munmap", ops.OP_MUNMAP, region, first, pages)

    def dontneed(self, region: Region, first: int = 0, pages: int | None = None) -> Verb:
        """Give back the frames of a range (MADV_DONTNEED)."""
        yield from self._range("madvise", ops.OP_DONTNEED, region, first, pages)

    def _range(
        self, call: str, op: int, region: Region, first: int, pages: int | None, **fields: int
    ) -> Verb:
        pages = region.pages - first if pages is None else pages
        if first < 0 or pages < 0 or first + pages > region.pages:
            raise Refused(Errno.EINVAL, call)
        if pages > 0:
            yield from self._do(call, op, start=region.start_vpn + first, pages=pages, **fields)

    def sbrk(self, delta_bytes: int) -> Verb:
        """Move the program break and return what the heap grew by (no pages if it shrank)."""
        pages = pages_for(abs(delta_bytes))
        start = yield from self._do("brk", ops.OP_BRK, pages=pages if delta_bytes >= 0 else -pages)
        return Region(Vpn(start), pages if delta_bytes >= 0 else 0)

    def read(self, region: Region, **how: Any) -> Verb:
        """Read pages of `region`; see `sim.workload.api.Process.read`."""
        return (yield from self._access(region, 0, **how))

    def write(self, region: Region, **how: Any) -> Verb:
        """Write pages of `region`; see `sim.workload.api.Process.read`."""
        return (yield from self._access(region, 1, **how))

    def _access(
        self,
        region: Region,
        write: int,
        *,
        first: int = 0,
        pages: int | None = None,
        pattern: Pattern = SEQUENTIAL,
        arrivals: NDArray[np.int64] | Every | None = None,
        span: int = 1,
        per_request: int = 1,
        cpu_ns: int = 0,
        drop: bool = False,
    ) -> Verb:
        pages = region.pages - first if pages is None else pages
        count = pages // span if isinstance(pattern, Sequential) else _count(pattern)
        if first < 0 or pages < 0 or first + pages > region.pages or span < 1 or per_request < 1:
            raise Refused(Errno.EINVAL, "access")
        if count == 0 or pages < span:
            return 0
        fields = {
            "start": region.start_vpn + first,
            "pages": pages,
            "count": count,
            "write": write,
            "span": span,
            "per_request": per_request,
            "drop": int(drop),
            "access_cpu_ns": cpu_ns,
            "pattern": PATTERN_CODES[type(pattern)],
            "arrivals": 0,
        }
        store = self.system.lists
        if isinstance(pattern, HotCold):
            hot = pattern.hot_pages(pages)
            fields["hot_pages"] = hot
            fields["hot_share"] = round(pattern.hot_share * 2**32) if hot < pages else 2**32
        elif isinstance(pattern, Listed):
            fields["pages_at"] = store.put(pattern.pages)
            fields["start"] = int(region.start_vpn)
            self._segments.append(fields["pages_at"])
        if isinstance(arrivals, Every):
            fields["arrivals"] = 1
            fields["arrival_first"] = arrivals.first_ns
            fields["arrival_every"] = arrivals.interval_ns
        elif arrivals is not None:
            if len(arrivals) * per_request < count:
                raise Refused(Errno.EINVAL, "access")
            fields["arrivals"] = 2
            fields["arrivals_at"] = store.put(arrivals)
            self._segments.append(fields["arrivals_at"])
        yield from self._do("access", ops.OP_ACCESS, **fields)
        self.drop_segments()
        return count

    def drop_segments(self) -> None:
        """Give back the page numbers and arrival times of the stream that has ended."""
        for start in self._segments:
            self.system.lists.free(start)
        self._segments.clear()

    # -- time ---------------------------------------------------------------------------------

    def compute(self, cpu_ns: int) -> Verb:
        """Use the CPU for `cpu_ns`."""
        if cpu_ns > 0:
            yield from self._do("compute", ops.OP_COMPUTE, demand_ns=cpu_ns)

    def sleep(self, duration_ns: int) -> Verb:
        """Be blocked for `duration_ns`."""
        self.timer = self.system.env.timeout(duration_ns)
        yield from self._wait("a timer", self.timer)
        self.timer = None

    def sleep_until(self, time_ns: int) -> Verb:
        """Be blocked until the absolute time `time_ns`; at once if that is past."""
        if time_ns > self.now_ns:
            yield from self.sleep(time_ns - self.now_ns)

    def _wait(self, what: str, event: simpy.Event, holder: Task | None = None) -> Verb:
        self.waits_for, self.holder = what, holder
        value = yield event
        self.waits_for = self.holder = None
        return value

    # -- processes ------------------------------------------------------------------------------

    def _child(
        self, name: str | None, program: Callable[..., Verb], args: Any, kwargs: Any
    ) -> Task:
        self.n_children += 1
        return Task(
            self.system,
            name or f"{self.name}/{self.n_children}",
            lambda task: program(task, *args, **kwargs),
            self,
            pin=self.pin,
            oom_score_adj=self.oom_score_adj,
        )

    def _build(self, call: str, op: int, child: Task) -> Verb:
        """Have the kernel build a child; should this task be killed meanwhile, `kill` undoes it."""
        self.building = child
        try:
            yield from self._do(call, op, other=child.row)
        except Refused:
            child.discard()
            raise
        finally:
            self.building = None

    def fork(
        self, program: Callable[..., Verb], *args: Any, name: str | None = None, **kwargs: Any
    ) -> Verb:
        """Start a child with a copy of this address space; it runs `program(task, *args)`."""
        child = self._child(name, program, args, kwargs)
        if self.system.machine.host.fork_kind == FORK_ASYNC:
            child.program = partial(_adopt_and_run, lambda task: program(task, *args, **kwargs))
        started_ns = self.now_ns
        self.system.mark("fork_start", self.name)
        try:
            yield from self._build("fork", ops.OP_FORK, child)
        except Refused:
            self.system.count("fork_failures")
            raise
        self.system.count("forks")
        self.system.observe_fork(self.now_ns - started_ns)
        self.system.mark("fork", self.name)
        self.system.born(child)
        return Child(child.pid, child.name)

    def vfork(
        self, program: Callable[..., Verb], *args: Any, name: str | None = None, **kwargs: Any
    ) -> Verb:
        """Start a child that borrows this address space; return when it execs or exits."""
        child = self._child(name, program, args, kwargs)
        yield from self._build("vfork", ops.OP_VFORK, child)
        self.system.count("vforks")
        child.borrowed = True
        self.system.born(child)
        yield from self._wait(
            f"its vfork child {child.name} to exec or exit", child.released, child
        )
        return Child(child.pid, child.name)

    def posix_spawn(
        self,
        image: Image,
        program: Callable[..., Verb],
        *args: Any,
        name: str | None = None,
        **kwargs: Any,
    ) -> Verb:
        """Start a child by vfork that execs `image` at once and then runs `program`."""

        def spawned(task: Task) -> Verb:
            yield from task.exec(image)
            yield from program(task, *args, **kwargs)

        return (yield from self.vfork(spawned, name=name))

    def exec(self, image: Image) -> Verb:
        """Replace this address space; the program goes on in the new one."""
        size = image.text_bytes + image.data_bytes + image.bss_bytes
        stack = pages_for(image.stack_bytes)
        yield from self._do("exec", ops.OP_EXEC, pages=pages_for(size), count=stack)
        self.system.count("execs")
        self.system.mark("exec", self.name)
        self.let_parent_go()

    def let_parent_go(self) -> None:
        """Give back a borrowed address space: the parent that waits in vfork goes on."""
        if self.borrowed:
            self.borrowed = False
            self.released.succeed()

    def exit(self, status: int = 0) -> Verb:
        """End this process; does not return."""
        raise ProgramExit(status)
        yield

    def wait(self, child: Child | None = None) -> Verb:
        """Wait for `child`, or for any child, and reap it."""
        while True:
            if not any(child is None or c.pid == child.pid for c in self.children):
                raise Refused(Errno.ECHILD, "wait")
            for c in self.children:
                if c.ended is not None and (child is None or c.pid == child.pid):
                    yield from self._do("wait", ops.OP_REAP)
                    self.children.remove(c)
                    return Exited(c.pid, c.status)
            self._child_ended = self.system.env.event()
            holder = next((c for c in self.children if child and c.pid == child.pid), None)
            what = f"its child {child.name} to exit" if child else "any of its children to exit"
            yield from self._wait(what, self._child_ended, holder)

    def child_ended(self) -> None:
        """Wake a task that waits for a child."""
        if not self._child_ended.triggered:
            self._child_ended.succeed()

    # -- from birth to death --------------------------------------------------------------------

    def start(self) -> None:
        """Begin to live: run the program, then exit."""
        self.life = self.system.env.process(self._live())

    def discard(self) -> None:
        """Undo a child whose fork came to nothing before it had anything."""
        self.system.forget(self)

    def begin_image(self, pages: int, stack_pages: int) -> Verb:
        """Give a process that has no parent its first address space."""
        yield from self._do("exec", ops.OP_EXEC, pages=pages, count=stack_pages)

    def _live(self) -> Verb:
        try:
            if self.program is not None:
                yield from self._drive(self.program(self))
            self.ended_how = "exit 0"
        except ProgramExit as leave:
            self.status = leave.status
            self.ended_how = f"exit {leave.status}"
        except simpy.Interrupt as interrupt:  # before the program had begun
            self.status = Signal(interrupt.cause).value
            self.ended_how = "oom-killed"
        except Killed as killed:
            self.status = killed.signal.value
            self.ended_how = "oom-killed" if killed.signal is Signal.OOM_KILL else "segfault"
        except Refused as refused:
            self.status = 1
            self.ended_how = f"failed: {refused.errno.name}"
        self.ending = True
        self.drop_segments()
        self.system.take_figures(self)
        while True:
            try:
                yield from self._do("exit", ops.OP_EXIT)
                break
            except simpy.Interrupt:  # a kill that came with the end: it is ending already
                continue
        if self.born:
            self.system.count("exits")
            self.system.mark("exit", self.name)
        self.let_parent_go()
        self.ended = self.ended_how
        self.ended_ns = self.now_ns
        self.system.ended(self)

    def _drive(self, program: Verb) -> Verb:
        """Run a program; a kill ends it wherever it waits, without its consent."""
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                event = program.throw(error) if error is not None else program.send(value)
            except StopIteration as stop:
                return stop.value
            error = None
            try:
                value = yield event
            except simpy.Interrupt as interrupt:
                self.waits_for = self.holder = None
                program.close()
                raise Killed(Signal(interrupt.cause)) from None
            except Exception as failure:  # an event of the program's own failed: its business
                error = failure


def _adopt_and_run(program: Callable[[Task], Verb], task: Task) -> Verb:
    """Copy what an Async-fork has left to the child, then run its program."""
    yield from task._do("fork", ops.OP_ADOPT)
    yield from program(task)


def _count(pattern: Pattern) -> int:
    return len(pattern.pages) if isinstance(pattern, Listed) else getattr(pattern, "count", 0)
