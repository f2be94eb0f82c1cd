"""What a program sees of the simulated kernel: the verbs of one task, each from its own part."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from sim.base.text import named, shown
from sim.engine.streams import whole
from sim.engine.verbs.attributes import Attributes
from sim.engine.verbs.calls import Calls
from sim.engine.verbs.family import Family
from sim.engine.verbs.files import FileCalls
from sim.engine.verbs.memory import Memory
from sim.engine.verbs.swap import SwapCalls
from sim.kernel import ops
from sim.machine.layout.fields import Demand
from sim.program.arrivals import ArrivalStream

if TYPE_CHECKING:
    import numpy as np

    from sim.base.units import Pid
    from sim.engine.system import System
    from sim.engine.task import Task
    from sim.engine.verbs.calls import Verb
    from sim.program import api

    def _is_a_process(process: Process) -> api.Process:
        return process  # mypy sees to it that it has every verb that programs are promised


class Process:
    """One task as its own program sees it.  Implements `sim.program.api.Process`."""

    def __init__(self, task: Task, system: System) -> None:
        self.task = task
        self.system = system
        self.pid: Pid = task.pid
        self.name = task.name
        self.calls = calls = Calls(
            task,
            system.machine,
            system.clock,
            system.cpus,
            system.figures,
            system.evidence,
            system.lists,
        )
        memory = Memory(calls, system.machine, system.files)
        self.mmap, self.munmap, self.mremap = memory.mmap, memory.munmap, memory.mremap
        self.mprotect, self.madvise = memory.mprotect, memory.madvise
        self.dontneed, self.msync = memory.dontneed, memory.msync
        self.mlock, self.munlock, self.sbrk = memory.mlock, memory.munlock, memory.sbrk
        self.read, self.write = memory.read, memory.write
        files = FileCalls(calls, system.machine, system.files)
        self.pread, self.pwrite, self.fsync = files.pread, files.pwrite, files.fsync
        self.fadvise, self.drop = files.fadvise, files.drop
        swap = SwapCalls(calls, system.machine)
        self.swapoff, self.swapon = swap.swapoff, swap.swapon
        family = Family(
            calls,
            memory,
            system.machine,
            system.clock,
            system.table,
            system.figures,
            system.signals,
            system.lives,
            system.images,
            partial(_handle, system),
        )
        self.fork, self.vfork, self.posix_spawn = family.fork, family.vfork, family.posix_spawn
        self.exec, self.begin_image, self.exit = family.exec, family.begin_image, family.exit
        self.wait, self.child_exited = family.wait, family.child_exited
        self.thread, self.join = family.thread, family.join
        self.lock, self.unlock = family.lock, family.unlock
        attributes = Attributes(calls, system.machine)
        self.prctl, self.oom_score_adj = attributes.prctl, attributes.oom_score_adj
        self.nice = attributes.nice

    @property
    def now_ns(self) -> int:
        """Simulated time."""
        return self.system.clock.now_ns

    @property
    def cpus(self) -> int:
        """How many CPUs the machine has."""
        return int(self.system.machine.host.cpus)

    # -- time ---------------------------------------------------------------------------------

    def compute(self, cpu_ns: int) -> Verb:
        """Use the CPU for `cpu_ns`."""
        if whole("compute", "cpu_ns", cpu_ns) > 0:
            yield from self.calls.do("compute", ops.OP_COMPUTE, Demand(demand_ns=cpu_ns))

    def sleep(self, duration_ns: int) -> Verb:
        """Be blocked for `duration_ns`."""
        clock = self.system.clock
        timer = clock.timer(int(duration_ns), background=self.task.daemon)
        yield from self.calls.wait("a timer", timer, cancel=partial(clock.cancel, timer))

    def sleep_until(self, time_ns: int) -> Verb:
        """Be blocked until the absolute time `time_ns`; at once if that is past."""
        if time_ns > self.now_ns:
            yield from self.sleep(time_ns - self.now_ns)

    # -- beside the model ---------------------------------------------------------------------

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the task's random stream for `purpose`, at its start."""
        return self.system.table.rng(self.task, purpose)

    def faults(self, kind: str) -> int:
        """How many faults of `kind` this task has had."""
        return self.system.figures.fault_count(self.task, kind)

    def record(self, key: str, value: float) -> None:
        """Append `value` to this program's report under `key`."""
        plain = value.item() if hasattr(value, "item") else value  # NumPy's are no JSON
        if not isinstance(plain, int | float) or not math.isfinite(plain):
            raise ValueError(f"record: {shown(value)} is no finite number")
        self.task.records.setdefault(named(key), []).append(plain)

    def mark(self, kind: str) -> None:
        """Note an event of this `kind` now, for time series."""
        self.system.figures.mark(named(kind), self.name)

    def offers(self, stream: ArrivalStream, until_ns: int | None = None) -> None:
        """Say when requests arrive for this process; see `sim.program.api.Process.offers`."""
        if not isinstance(stream, ArrivalStream):
            raise TypeError(f"offers: an ArrivalStream says when, not {shown(stream)}")
        if until_ns is not None:
            until_ns = whole("offers", "until_ns", until_ns)
        self.system.evidence.offers(self.task, stream, until_ns)

    def begin(self, event: str) -> None:
        """Say that an event of this process begins; see `sim.program.api.Process.begin`."""
        self.system.evidence.begin(self.task, named(event))
        self.mark(f"{event}_start")

    def end(self, event: str, *, failed: bool = False) -> None:
        """Say that an event of this process has ended, well or having failed."""
        self.system.evidence.end(self.task, named(event), failed)
        self.mark(f"{event}_end")


def _handle(system: System, task: Task) -> tuple[Calls, Process]:
    process = Process(task, system)
    return process.calls, process
