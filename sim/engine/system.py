"""The system in simulated time: tasks, CPUs and the burst, on SimPy's clock.

SimPy processes are the programs and one driver.  The driver gives CPUs to tasks, has the burst run
up to the next event, moves the clock there, and acts on what the burst came back with.  It always
runs last at its time, so that events and programs of that time see the machine between steps.
"""

from __future__ import annotations

from collections import Counter
from heapq import heapify
from typing import TYPE_CHECKING, Any, Final

import simpy
from simpy.events import EventPriority

from sim.engine import burst
from sim.engine.lists import ListStore
from sim.engine.mmap_lock import LockQueue
from sim.engine.runqueue import RunQueue
from sim.engine.shortage import Killer, Queue, Shortage
from sim.engine.task import Signal, Task
from sim.errors import KernelPanicError
from sim.kernel import step as ops
from sim.kernel import work
from sim.machine.layout import KIND_FILE, N_DRAWS, N_LINES, NONE
from sim.observe.footprint import footprint
from sim.observe.histogram import FORK
from sim.rng import key_words
from sim.stats.level import Level
from sim.stats.quantile import bucket_of
from sim.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sim.machine.machine import Machine
    from sim.policy.schedulers import SchedulerPolicy

LATE: Final = EventPriority(2)
"""SimPy priority of the driver: behind NORMAL (1) and URGENT (0)."""

KEY_ORDER: Final = (*range(36), work.DRAW_PAGE, work.DRAW_HOT, *range(36, N_LINES))
"""Purposes of random draws in the order in which they get their keys.

A kind of work that is added comes last, so that it changes nobody else's luck.
"""

FAULT_KINDS: Final = {
    "zero_fill": (work.ZERO_FILL, work.HUGE_ZERO_FILL),
    "zero_page_map": (work.ZERO_PAGE_MAP,),
    "cow_copy": (work.COW_COPY, work.HUGE_COPY),
    "cow_reuse": (work.COW_REUSE,),
    "file_map": (work.FILE_MAP,),
    "spurious": (work.SPURIOUS,),
}
"""Named kinds of minor faults, and the lines of work that count them."""


class System:
    """One simulated machine with its processes, and the SimPy environment they live in."""

    def __init__(
        self,
        machine: Machine,
        *,
        scheduler: Callable[[int], SchedulerPolicy],
        quantum_ns: int,
        seed: int,
        replication: int,
        burst_steps: int = 0,
        horizon_ns: int | None = None,
        check: bool = False,
    ) -> None:
        self.env = simpy.Environment(initial_time=0)
        self.machine = machine
        self.seed = seed
        self.replication = replication
        self.burst_steps = burst_steps if burst_steps > 0 else -1
        self.horizon_ns = burst.FOREVER if horizon_ns is None else horizon_ns
        self.check = check
        self.total_pages = machine.host.memory_pages
        self.lists = ListStore(machine)
        self.queue = RunQueue(scheduler, quantum_ns)
        self.shortage: Shortage = Queue(self) if machine.host.queueing else Killer(self)
        self.locks = LockQueue(self)
        self.by_pid: dict[int, Task] = {}
        self.by_row: dict[int, Task] = {}
        self.on_cpu: list[Task | None] = [None] * machine.host.cpus
        self.counters: Counter[str] = Counter()
        self.marks: list[tuple[int, str, str]] = []
        self.finished: list[Task] = []
        self.stalled = Level(0, 0)
        self.stalled_some_ns = 0
        self.stalled_full_ns = 0
        self._stall_changed_ns = 0
        self._pids = 1
        self._files: dict[str, int] = {}
        self.ending: str | None = None
        self.deadlock: str | None = None

    @property
    def now_ns(self) -> int:
        """Simulated time."""
        return int(self.env.now)

    # -- tasks -----------------------------------------------------------------------------

    def next_pid(self) -> int:
        """Return a number for a new process; init has 1."""
        self._pids += 1
        return self._pids

    def file_named(self, name: str, pages: int) -> int:
        """Return the row of a file, made with this many pages if it is new."""
        if name not in self._files:
            self._files[name] = self.machine.new_file(KIND_FILE, pages, known=True)
        return self._files[name]

    def seed_draws(self, task: Task) -> None:
        """Give a task its keys for counter-based draws."""
        words = key_words(self.seed, self.replication, task.name, 2 * N_DRAWS)
        draws = self.machine.arrays.draws[task.row]
        draws[KEY_ORDER, 0] = words[0::2]
        draws[KEY_ORDER, 1] = words[1::2]
        self.by_row[task.row] = task

    def born(self, task: Task) -> None:
        """Let a task live."""
        task.born = True
        self.by_pid[task.pid] = task
        if task.parent is not None:
            task.parent.children.append(task)
        task.start()

    def forget(self, task: Task) -> None:
        """Give back the row of a task that is no more."""
        self.by_row.pop(task.row, None)
        self.by_pid.pop(task.pid, None)
        self.machine.free_task(task.row)

    def living(self) -> Iterator[Task]:
        """Yield tasks that have not exited, in order of birth."""
        return (task for task in list(self.by_pid.values()) if task.ended is None)

    def sharers(self, victim: Task) -> list[Task]:
        """Return all tasks that use the victim's address space, itself first."""
        space = self.space_of(victim)
        others = [t for t in self.living() if t is not victim and self.space_of(t) == space]
        return [victim, *others] if space != NONE else [victim]

    def space_of(self, task: Task) -> int:
        """Return the address space of a task."""
        return int(self.machine.arrays.tasks[task.row].space)

    def resident_and_tables(self, task: Task) -> tuple[int, int]:
        """Return a task's resident pages and page-table pages."""
        space = self.space_of(task)
        if space == NONE:
            return 0, 0
        s = self.machine.arrays.spaces[space]
        return int(s.rss_anon + s.rss_file + s.rss_shmem), int(s.tables)

    def fault_count(self, task: Task, kind: str) -> int:
        """Return how many faults of `kind` a task has had."""
        counts = self.machine.arrays.counts[task.row]
        return sum(int(counts[line]) for line in FAULT_KINDS[kind])

    def take_figures(self, task: Task) -> None:
        """Keep what a process held and did, just before its exit or at the end of the run.

        What a thread did counts as its process's.
        """
        m = self.machine.arrays
        space = self.space_of(task)
        resident, pss, unique, peak = 0, 0, 0, 0
        if space != NONE:
            resident, pss, unique = footprint(m, space)
            peak = int(m.spaces[space].peak_rss)
        if task.leader is not task:
            for kind in FAULT_KINDS:
                task.leader.group_faults[kind] += self.fault_count(task, kind)
            task.leader.group_cpu_ns += int(m.tasks[task.row].cpu_ns)
            return
        group = list(task.group())
        faults = {
            kind: task.group_faults[kind] + sum(self.fault_count(t, kind) for t in group)
            for kind in FAULT_KINDS
        }
        task.figures = {
            "faults": faults,
            "minor_faults": sum(faults.values()),
            "peak_rss_bytes": peak * PAGE_BYTES,
            "rss_bytes": resident * PAGE_BYTES,
            "pss_bytes": int(pss),
            "unique_bytes": unique * PAGE_BYTES,
            "cpu_ns": task.group_cpu_ns + sum(int(m.tasks[t.row].cpu_ns) for t in group),
        }

    def ended(self, task: Task) -> None:
        """Bury a task that has exited: init adopts its children, its parent is told."""
        if task.figures is not None:
            own_ns = int(self.machine.arrays.tasks[task.row].cpu_ns)
            task.figures["cpu_ns"] = task.group_cpu_ns + own_ns
        for child in task.children:
            child.parent = None
        task.children = []
        if task.born and task.leader is task:
            self.finished.append(task)
        self.shortage.ended(task)
        self.forget(task)
        if task.parent is not None:
            task.parent.child_ended()

    def kill(self, task: Task, signal: Signal) -> None:
        """End a process from outside: its waits are cancelled, its pages return as it exits."""
        leader = task.leader
        if leader.killed is not None or leader.ending or leader.life is None:
            return
        self.count("oom_kills" if signal is Signal.OOM_KILL else "segfaults")
        self.mark("oom_kill" if signal is Signal.OOM_KILL else "segfault", leader.name)
        for member in list(leader.group()):
            self._interrupt(member, signal)

    def new_thread(self, leader: Task, name: str, program: Callable[[Task], Any]) -> Task:
        """Return a thread of a process that is still to be built."""
        return Task(self, name, program, pin=leader.pin, leader=leader)

    def end_threads(self, task: Task) -> None:
        """End all other tasks of a task's process."""
        for member in list(task.group()):
            if member is not task:
                self._interrupt(member, Signal.GROUP_EXIT)

    def _interrupt(self, task: Task, signal: Signal) -> None:
        """Have a task exit wherever it is: its waits are cancelled."""
        if task.killed is not None or task.ending or task.life is None:
            return
        task.killed = signal
        t = self.machine.arrays.tasks[task.row]
        t.killed = 1
        t.op = ops.OP_NONE
        task.busy = False
        if task in self.on_cpu:
            self._stop_idling(self.on_cpu.index(task))
        self.shortage.withdraw(task)
        self.locks.withdraw(task)
        self.unstall(task)
        self.cancel_timer(task)
        if task.building is not None:
            self._abandon(task.building)
        task.life.interrupt(signal)

    def cancel_timer(self, task: Task) -> None:
        """Take off the clock what would have woken a task: the run must not go on for it."""
        event, task.timer = task.timer, None
        if event is not None:
            queue = self.env._queue
            queue[:] = [entry for entry in queue if entry[-1] is not event]
            heapify(queue)

    def _abandon(self, child: Task) -> None:
        """Let a child that was never born give back what fork has given it."""
        t = self.machine.arrays.tasks[child.row]
        if t.space == NONE and t.stack == NONE:
            child.discard()
            return
        child.program = None
        child.parent = None
        child.killed = Signal.OOM_KILL
        t.killed = 1
        self.by_pid[child.pid] = child
        child.start()

    # -- what is counted -----------------------------------------------------------------------

    def count(self, name: str) -> None:
        """Count an event."""
        self.counters[name] += 1

    def mark(self, kind: str, name: str) -> None:
        """Note an event for time series."""
        self.marks.append((self.now_ns, kind, name))

    def observe_fork(self, latency_ns: int) -> None:
        """Count how long a fork took, from call to return."""
        self.machine.arrays.histograms[FORK, bucket_of(latency_ns)] += 1

    def end_ns(self) -> int:
        """Return the time now, or at the end of the run: the horizon if it was reached."""
        return self.horizon_ns if self.ending == "horizon" else self.now_ns

    def bring_up_to_now(self) -> None:
        """Bring samples and integrals up to now."""
        while not burst.bring_up_to(self.machine.arrays, self.end_ns()):
            self.machine.make_room()

    def note_peak(self) -> None:
        """Take the memory in use now as its peak."""
        burst.note_peak(self.machine.arrays)

    def stalled_now(self) -> tuple[int, int]:
        """Return for how long some task, and every task, was stalled on memory, in ns."""
        self._account_stall()
        return self.stalled_some_ns, self.stalled_full_ns

    def everybody(self) -> list[Task]:
        """Return all processes, ended or not, by pid."""
        alive = [task for task in self.living() if task.born and task.leader is task]
        return sorted([*self.finished, *alive], key=lambda task: task.pid)

    def charge(self, task: Task, cpu: int, line: int) -> None:
        """Make a task pay for one unit of work that is no step of its own."""
        burst.charge(self.machine.arrays, cpu, task.row, line)

    # -- runnable, running, blocked ------------------------------------------------------------

    def submit(self, task: Task) -> None:
        """Take in a task's next operation; it needs a CPU unless it has one."""
        task.busy = True
        if task not in self.on_cpu and not task.queued:
            self.make_runnable(task)

    def make_runnable(self, task: Task) -> None:
        """Put a task into the run queue."""
        self._sample()
        task.queued = True
        self.queue.enqueue(task.pid, task.pin, self.now_ns)
        self.machine.arrays.clock[0].runnable += 1

    def _sample(self) -> None:
        """Write the samples that are due before a level changes outside the burst."""
        m = self.machine.arrays
        while int(m.clock[0].sample_next_ns) <= self.now_ns:
            if not burst.bring_up_to(m, self.now_ns):
                self.machine.make_room()

    def stall(self, task: Task, cpu: int, holder: Task | None) -> None:
        """Block a task that waits for memory."""
        need = int(self.machine.arrays.tasks[task.row].need)
        free = int(self.machine.arrays.pool[0].free)
        frames = "frame" if need == 1 else "frames"
        task.waits_for = f"memory: {need} {frames}, with {free} free"
        task.holder = holder
        self._vacate(cpu)
        self._account_stall()
        self.stalled.add(self.now_ns, 1)
        task.stalled = True

    def unstall(self, task: Task) -> None:
        """Take note that a task waits for memory no more."""
        if task.stalled:
            task.stalled = False
            self._account_stall()
            self.stalled.add(self.now_ns, -1)

    def block(self, task: Task, cpu: int, what: str, holder: Task | None) -> None:
        """Take the CPU from a task that waits for something other than memory."""
        task.waits_for, task.holder = what, holder
        self._vacate(cpu)

    def unblock(self, task: Task) -> None:
        """Let a task go on that was blocked."""
        task.waits_for = task.holder = None
        self.make_runnable(task)

    def resume(self, task: Task) -> None:
        """Let a task that waits for memory try again."""
        self.unstall(task)
        task.waits_for = task.holder = None
        self.make_runnable(task)

    def _account_stall(self) -> None:
        """Add the time since the last change to what was lost to memory shortage."""
        elapsed_ns = self.end_ns() - self._stall_changed_ns
        self._stall_changed_ns = self.end_ns()
        if self.stalled.value > 0:
            self.stalled_some_ns += elapsed_ns
            if not any(self.on_cpu):
                self.stalled_full_ns += elapsed_ns

    def _vacate(self, cpu: int) -> None:
        task = self.on_cpu[cpu]
        if task is None:
            return
        self._account_stall()
        self.on_cpu[cpu] = None
        self.machine.arrays.cpus[cpu].task = NONE
        self.machine.arrays.tasks[task.row].cpu = NONE

    def _dispatch(self, cpu: int) -> None:
        picked = self.queue.pick(cpu, self.now_ns)
        if picked is None:
            return
        pid, slice_ns, waited_ns = picked
        task = self.by_pid[pid]
        task.queued = False
        self._sample()
        self._account_stall()
        m = self.machine.arrays
        m.clock[0].runnable -= 1
        self.on_cpu[cpu] = task
        burst.switch_to(m, cpu, task.row, self.now_ns, waited_ns, slice_ns)

    def settle(self) -> None:
        """Take CPUs from tasks that have nothing to do, and give them to those that wait."""
        cpus = self.machine.arrays.cpus
        for cpu, task in enumerate(self.on_cpu):
            if task is not None and not task.busy:
                self._vacate(cpu)
        if self.queue:
            for cpu, task in enumerate(self.on_cpu):
                if not self.queue.waits_for(cpu):
                    continue
                if task is not None and self._idles(cpu):
                    self._give_way(cpu)
                if self.on_cpu[cpu] is None:
                    self._dispatch(cpu)
        for cpu, task in enumerate(self.on_cpu):
            if task is not None:
                c = cpus[cpu]
                contended = self.queue.waits_for(cpu)
                if contended and c.contended == 0 and c.slice_end_ns < self.now_ns:
                    tick = int(self.machine.arrays.clock[0].tick_ns)
                    c.slice_end_ns = -(-self.now_ns // tick) * tick
                c.contended = int(contended)

    def _idles(self, cpu: int) -> bool:
        """Whether the task on `cpu` waits there for its next arrival."""
        c = self.machine.arrays.cpus[cpu]
        return bool(c.idle_from_ns != NONE and c.next_ns > self.now_ns)

    def _stop_idling(self, cpu: int) -> None:
        """Let the CPU go on now if it stands still until an arrival."""
        c = self.machine.arrays.cpus[cpu]
        if self._idles(cpu):
            c.next_ns = self.now_ns
        c.idle_from_ns = NONE

    def _give_way(self, cpu: int) -> None:
        """Block a paced task until its next arrival, since another could use its CPU."""
        task = self.on_cpu[cpu]
        if task is None:
            raise KernelPanicError("a CPU without a task gives way", str(cpu))
        due_ns = burst.next_arrival_ns(self.machine.arrays, task.row)
        self._stop_idling(cpu)
        self._vacate(cpu)
        self.env.process(self._wake_at(task, due_ns))

    def _wake_at(self, task: Task, due_ns: int) -> Any:
        serial = task.wakes = task.wakes + 1
        task.waits_for = "its next arrival"
        task.timer = self.env.timeout(max(0, due_ns - self.now_ns))
        yield task.timer
        if task.killed is None and serial == task.wakes:
            task.waits_for = task.timer = None
            self.make_runnable(task)

    # -- the driver ----------------------------------------------------------------------------

    def _late(self, at_ns: int) -> simpy.Event:
        """Return an event at `at_ns` that comes behind all others of that time."""
        event = simpy.Event(self.env)
        event._ok = True
        event._value = None
        self.env.schedule(event, LATE, at_ns - self.now_ns)
        return event

    def drive(self) -> Any:
        """Run to the horizon, or until nothing is left to do."""
        yield self._late(self.now_ns)
        while True:
            self.settle()
            upcoming = self.env.peek()
            until_ns = self.horizon_ns
            if upcoming != simpy.core.Infinity:
                until_ns = min(until_ns, int(upcoming))
            m = self.machine.arrays
            reason, cpu, at_ns = burst.advance(m, until_ns, self.burst_steps)
            if self.check:
                self.machine.audit()
            if reason == burst.ROOM:
                self.machine.make_room()
            elif reason in (burst.REACHED, burst.IDLE):
                if until_ns >= self.horizon_ns:
                    self._end(reason)
                    return
                yield self._late(until_ns)
            else:
                yield self._late(at_ns)
                if reason != burst.LENGTH:
                    self._act(reason, cpu)
                    yield self._late(self.now_ns)

    def _end(self, reason: int) -> None:
        blocked = [task for task in self.living() if task.waits_for is not None]
        if reason == burst.REACHED or self.env.peek() != simpy.core.Infinity:
            self.ending = "horizon"
        elif blocked or any(True for _ in self.living()):
            self.ending = "deadlock"
            self.deadlock = "; ".join(self._complaint(task) for task in self.living())
        else:
            self.ending = "idle"

    def _complaint(self, task: Task) -> str:
        what = task.waits_for or "an event of its program"
        holder = f" (held by {task.holder.name})" if task.holder is not None else ""
        return f"{task.name} waits for {what}{holder}"

    def _act(self, reason: int, cpu: int) -> None:
        """Do what the burst came back for."""
        task = self.on_cpu[cpu]
        if task is None:
            raise KernelPanicError("the burst ran a CPU without a task", str(cpu))
        if reason == burst.FINISHED:
            self.locks.released(self.space_of(task))
            if task.busy:
                task.complete()
        elif reason == burst.SLICE_OVER:
            self._vacate(cpu)
            self.make_runnable(task)
        elif reason == burst.MEMORY_SHORT:
            self.shortage.refused(task, cpu)
        elif reason == burst.MMAP_LOCKED:
            self.locks.refused(task, cpu)
        elif reason == burst.INVALID:
            self.charge(task, cpu, work.SEGFAULT)
            self.kill(task, Signal.SEGFAULT)
        elif reason == burst.GIVES_WAY:
            self._give_way(cpu)
        elif reason == burst.RELEASED:
            self.shortage.released()
        elif reason == burst.SERVED:
            self.shortage.served(task)
        else:
            raise KernelPanicError("the burst ended for no known reason", str(reason))
