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

from sim.base.errors import KernelPanicError
from sim.base.rng import key_words
from sim.base.units import PAGE_BYTES
from sim.engine import burst
from sim.engine.disk import Disk, DiskSpec
from sim.engine.dispatcher import Dispatcher
from sim.engine.evidence import Evidence
from sim.engine.foreign import Environment
from sim.engine.images import Shelf
from sim.engine.lists import ListStore
from sim.engine.mmap_lock import LockQueue
from sim.engine.runqueue import RunQueue
from sim.engine.shortage import Killer, Queue, Shortage
from sim.engine.task import Signal, Task
from sim.kernel import step as ops
from sim.kernel import work
from sim.machine.layout import KIND_FILE, N_DRAWS, N_LINES, NONE
from sim.observe.footprint import footprint
from sim.observe.histogram import FORK, observe_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sim.machine.machine import Machine
    from sim.policy.schedulers import SchedulerPolicy

LATE: Final = EventPriority(2)
"""SimPy priority of the driver: behind NORMAL (1) and URGENT (0)."""

LONGEST_BURST: Final = 1_000_000
"""Steps after which compiled code comes back in any case, so that a run can be stopped."""

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
        disk: DiskSpec | None = None,
    ) -> None:
        self.env: simpy.Environment = Environment(initial_time=0)
        self.machine = machine
        self.seed = seed
        self.replication = replication
        self.burst_steps = burst_steps if burst_steps > 0 else LONGEST_BURST
        self.tell: Callable[[int], None] | None = None
        self.horizon_ns = burst.FOREVER if horizon_ns is None else horizon_ns
        self.check = check
        self.lists = ListStore(machine)
        self.cpus = Dispatcher(self, RunQueue(scheduler, quantum_ns))
        self.shortage: Shortage = Queue(self) if machine.host.queueing else Killer(self)
        self.locks = LockQueue(self)
        self.disk = Disk(self, disk or DiskSpec())
        self.by_pid: dict[int, Task] = {}
        self.by_row: dict[int, Task] = {}
        self.counters: Counter[str] = Counter()
        self.evidence = Evidence(self)
        self.marks: list[tuple[int, str, str]] = []
        self.finished: list[Task] = []
        self._daemon: Task | None = None
        self._pids = 1
        self._files: dict[str, int] = {}
        self.cold_files: set[str] = set()  # of those that nobody has named yet
        self.programs = Shelf(machine, self.file_named)
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

    def file_named(self, name: str, pages: int, *, cold: bool = False) -> int:
        """Return the row of a file, made with this many pages if it is new.

        A `cold` one is on the disk only; others are in the page cache once they are mapped.
        """
        if name not in self._files:
            cold = cold or name in self.cold_files
            self._files[name] = self.machine.new_file(KIND_FILE, pages, known=True, cold=cold)
        return self._files[name]

    def file_known(self, name: str) -> int | None:
        """Return the row of a file that somebody has named before, else ``None``."""
        return self._files.get(name)

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

    def add_daemon(self, task: Task) -> None:
        """Let the kernel's own thread run: no process, and nothing that a run would go on for."""
        self._daemon = task
        self.by_pid[task.pid] = task
        task.start()

    def _end_daemon(self) -> None:
        """Stop the kernel thread's timer when no task is left."""
        timer = self._daemon.timer if self._daemon is not None else None
        events = self.env._queue
        alone = len(events) == 1 and events[0][-1] is timer and self.cpus.at_rest()
        if alone and self._daemon is not None:
            self.cancel_timer(self._daemon)

    def forget(self, task: Task) -> None:
        """Give back the row of a task that is no more."""
        self.by_row.pop(task.row, None)
        self.by_pid.pop(task.pid, None)
        self.machine.free_task(task.row)

    def living(self) -> Iterator[Task]:
        """Yield tasks that have not exited, in order of birth, without the kernel's."""
        tasks = list(self.by_pid.values())
        return (task for task in tasks if task.ended is None and task is not self._daemon)

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

    def faults_so_far(self, task: Task) -> Counter[str]:
        """Count the faults of a task since its birth, major ones among them."""
        found = Counter({kind: self.fault_count(task, kind) for kind in FAULT_KINDS})
        found["major"] = int(self.machine.arrays.counts[task.row, work.MAJOR_FAULT])
        return found

    def measured_faults(self, task: Task) -> Counter[str]:
        """Count the faults of a task since the end of warm-up."""
        return self.faults_so_far(task) - task.faults_before

    def restart_faults(self) -> None:
        """Let the faults of all processes count from now on: the end of warm-up."""
        for task in self.by_pid.values():
            task.faults_before = self.faults_so_far(task)
            task.group_faults.clear()
        for task in (*self.finished, *self.by_pid.values()):
            if task.figures is not None:  # taken just before its exit
                task.figures |= {"faults": dict.fromkeys(FAULT_KINDS, 0)}
                task.figures |= {"minor_faults": 0, "major_faults": 0}

    def take_figures(self, task: Task) -> None:
        """Keep what a process held and did, just before its exit or at the end of the run.

        What a thread did counts as its process's.
        """
        m = self.machine.arrays
        if task.leader is not task:
            task.leader.group_faults += self.measured_faults(task)
            task.leader.group_cpu_ns += int(m.tasks[task.row].cpu_ns)
            return
        space = self.space_of(task)
        resident, pss, unique, peak = 0, 0, 0, 0
        if space != NONE:
            resident, pss, unique = footprint(m, space)
            peak = int(m.spaces[space].peak_rss)
        group = list(task.group())
        counted = sum((self.measured_faults(t) for t in group), task.group_faults)
        faults = {kind: counted[kind] for kind in FAULT_KINDS}
        task.figures = {
            "faults": faults,
            "minor_faults": sum(faults.values()),
            "major_faults": counted["major"],
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

    def new_thread(
        self, leader: Task, name: str, program: Callable[[Task], Any], source: Callable[..., Any]
    ) -> Task:
        """Return a thread of a process that is still to be built; `source` is its program."""
        return Task(self, name, program, pin=leader.pin, leader=leader, source=source)

    def end_threads(self, task: Task) -> None:
        """End all other tasks of a task's process."""
        for member in list(task.group()):
            if member is not task:
                self._interrupt(member, Signal.GROUP_EXIT)

    def _interrupt(self, task: Task, signal: Signal) -> None:
        """Have a task exit wherever it is: its waits are cancelled."""
        if task.killed is not None or task.ending or task.life is None:
            return
        self.evidence.cut_off(task)
        task.killed = signal
        t = self.machine.arrays.tasks[task.row]
        t.killed = 1
        t.op = ops.OP_NONE
        task.busy = False
        self.cpus.stop_idling_of(task)
        self.shortage.withdraw(task)
        self.locks.withdraw(task)
        self.disk.withdraw(task)
        self.cpus.unstall(task)
        self.cancel_timer(task)
        if task.building is not None:
            self._abandon(task.building)
        task.life.interrupt(signal)

    def cancel_timer(self, task: Task) -> None:
        """Cancel the timer that would have woken a task: the run must not wait for it."""
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
        observe_one(self.machine.arrays, FORK, latency_ns)

    def end_ns(self) -> int:
        """Return the time now, or at the end of the run: the horizon if it was reached."""
        return self.horizon_ns if self.ending == "horizon" else self.now_ns

    def bring_up_to_now(self) -> None:
        """Bring samples and integrals up to now."""
        burst.bring_up_to(self.machine.arrays, self.end_ns())

    def note_peak(self) -> None:
        """Take the memory in use now as its peak."""
        burst.note_peak(self.machine.arrays)

    def everybody(self) -> list[Task]:
        """Return all processes, ended or not, by pid."""
        alive = [task for task in self.living() if task.born and task.leader is task]
        return sorted([*self.finished, *alive], key=lambda task: task.pid)

    def charge(self, task: Task, cpu: int, line: int) -> None:
        """Make a task pay for one unit of work that is no step of its own."""
        burst.charge(self.machine.arrays, cpu, task.row, line)

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
            self.cpus.settle()
            self._end_daemon()
            upcoming = self.env.peek()
            until_ns = self.horizon_ns
            if upcoming != simpy.core.Infinity:
                until_ns = min(until_ns, int(upcoming))
            m = self.machine.arrays
            reason, cpu, at_ns = burst.advance(m, until_ns, self.burst_steps)
            if self.tell is not None:
                self.tell(self.now_ns)
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
                self.disk.take_requests()
                if reason != burst.LENGTH:
                    self._act(reason, cpu)
                    self.locks.attend()
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
        task = self.cpus.running[cpu]
        if task is None:
            raise KernelPanicError("the burst ran a CPU without a task", str(cpu))
        if reason == burst.FINISHED:
            self.locks.look_again()
            if task.busy:
                task.complete()
        elif reason == burst.SLICE_OVER:
            self.cpus.preempt(cpu)
        elif reason == burst.MEMORY_SHORT:
            self.shortage.refused(task, cpu)
        elif reason == burst.MMAP_LOCKED:
            self.locks.refused(task, cpu)
        elif reason == burst.PAGE_WAITED_FOR:
            self.disk.refused(task, cpu)
        elif reason in (burst.READS_WANTED, burst.LOCK_GIVEN):
            pass  # that is seen to after every burst, whatever else there was to do
        elif reason == burst.INVALID:
            self.charge(task, cpu, work.SEGFAULT)
            self.evidence.crashed(task)
            self.kill(task, Signal.SEGFAULT)
        elif reason == burst.GIVES_WAY:
            self.cpus.give_way(cpu)
        elif reason == burst.RELEASED:
            self.shortage.released()
        elif reason == burst.SERVED:
            self.shortage.served(task)
        else:
            raise KernelPanicError("the burst ended for no known reason", str(reason))
