"""The loop that runs a machine: burst after burst, and what each of them came back for.

SimPy processes are the programs and one driver.  The driver gives CPUs to tasks, has the burst run
up to the next event, moves the clock there, and acts on what the burst came back with.  It always
runs last at its time, so that events and programs of that time see the machine between steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.engine import burst
from sim.engine.task import Signal
from sim.kernel.work import SIGBUS
from sim.machine.layout import (
    FOREVER,
    NONE,
    PENDING_FLUSHER,
    PENDING_KSWAPD,
    PENDING_LOCKS,
    PENDING_READS,
)
from sim.machine.words import K_DUE_NS, P_PENDING
from sim.machine.work import SEGFAULT
from sim.observe.series import keep_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.engine.bell import Bell
    from sim.engine.clock import Clock
    from sim.engine.cpus import Cpus
    from sim.engine.devices import Devices
    from sim.engine.evidence import Evidence
    from sim.engine.mmap_lock import LockQueue
    from sim.engine.shortage import Ladders
    from sim.engine.signals import Signals
    from sim.engine.table import TaskTable
    from sim.engine.task import Task
    from sim.engine.throttle import Throttle
    from sim.machine.machine import Machine

LONGEST_BURST: Final = 1_000_000
"""Steps after which compiled code comes back in any case, so that a run can be stopped."""


class Driver:
    """Runs a machine to its `ending`: ``horizon``, ``idle`` or ``deadlock``."""

    def __init__(
        self,
        machine: Machine,
        clock: Clock,
        table: TaskTable,
        cpus: Cpus,
        devices: Devices,
        locks: LockQueue,
        shortage: Ladders,
        throttle: Throttle,
        kswapd: Bell,
        flusher: Bell,
        signals: Signals,
        evidence: Evidence,
        *,
        burst_steps: int = 0,
        horizon_ns: int | None = None,
        check: bool = False,
    ) -> None:
        self._machine = machine
        self._clock = clock
        self._table = table
        self._cpus = cpus
        self._devices = devices
        self._locks = locks
        self._throttle = throttle
        self._signals = signals
        self._evidence = evidence
        self._burst_steps = burst_steps if burst_steps > 0 else LONGEST_BURST
        self._horizon_ns = FOREVER if horizon_ns is None else horizon_ns
        self._check = check
        self._daemons = {PENDING_KSWAPD: kswapd, PENDING_FLUSHER: flusher}
        self._handlers: dict[int, Callable[[Task, int], None]] = {
            burst.MEMORY_SHORT: shortage.refused,
            burst.MMAP_LOCKED: locks.refused,
            burst.PAGE_WAITED_FOR: devices.refused,
            burst.INVALID: self._invalid,
            burst.RELEASED: lambda task, cpu: shortage.released(),
            burst.WRITES_AWAITED: devices.throttle,
            burst.ROOM_AWAITED: self._await_room,
            burst.HIGH_EXCEEDED: throttle.sleep,
            burst.SERVED: lambda task, cpu: shortage.served(task),
        }
        self.tell: Callable[[int], None] | None = None
        self.ending: str | None = None
        self.deadlock: str | None = None

    def run(self) -> None:
        """Run to the horizon, or until nothing is left to do."""
        clock, cpus, horizon_ns = self._clock, self._cpus, self._horizon_ns
        words, address = self._machine.arrays.words, self._machine.arrays.address
        advance, now_ns = burst.advance, clock.now_ns
        while True:
            if cpus.declined:
                cpus.ask_again()
            upcoming_ns = clock.happen(cpus)
            if upcoming_ns is None or upcoming_ns > horizon_ns or self._come_to_rest():
                until_ns = horizon_ns
            else:
                until_ns = upcoming_ns
            reason, cpu = burst.PICK, NONE
            while reason == burst.PICK:
                reason, cpu, now_ns = advance(
                    address, now_ns, until_ns, self._burst_steps, clock.numbered()
                )
                if reason <= burst.IDLE and until_ns >= horizon_ns:
                    self._end(reason)
                    return
                if words.clock[K_DUE_NS] < now_ns:
                    keep_up(self._machine.arrays, now_ns - 1)  # before what happens now
                clock.move_to(now_ns)
                if reason == burst.PICK:
                    cpus.pick(cpu)
                elif reason == burst.SLICE_OVER:
                    cpus.preempt(cpu)
                    reason = burst.PICK
            if self.tell is not None:
                self.tell(now_ns)
            if self._check:
                self._machine.audit()
            if reason == burst.ROWS_SHORT:
                self._machine.make_room()
                continue
            if words.pool[P_PENDING] & PENDING_READS:
                self._devices.take_requests()
            if reason == burst.FINISHED:
                task = cpus.task_on(cpu)
                self._evidence.held.look()
                self._locks.look_again()
            elif reason in self._handlers:
                self._handlers[reason](cpus.task_on(cpu), cpu)
            pending = words.pool[P_PENDING]
            if pending & PENDING_LOCKS:
                self._locks.attend()
            if pending & (PENDING_KSWAPD | PENDING_FLUSHER):
                self._wake_daemons()
            if reason == burst.FINISHED and task.done is not None:
                clock.trigger(task.done)

    def _wake_daemons(self) -> None:
        """Wake the threads of the kernel for which there is work; a refused step may ask for it."""
        words = self._machine.arrays.words
        for flag, bell in self._daemons.items():
            if words.pool[P_PENDING] & flag:
                words.pool[P_PENDING] &= ~flag
                bell.ring()

    def _come_to_rest(self) -> bool:
        """Have tasks that are done leave their CPUs; return whether nothing will happen now.

        But for the kernel's own timers, for which no run goes on: else all is left as it is.
        """
        if not self._clock.only_background():
            return False
        self._cpus.let_go()
        return self._cpus.at_rest()

    def _await_room(self, task: Task, cpu: int) -> None:
        """Let a task that reclaims in vain sleep, or wait until pages of files are written."""
        if self._machine.arrays.operations[task.row].naps == NONE:
            self._devices.await_room(task, cpu)
        else:
            self._throttle.nap(task, cpu)

    def _invalid(self, task: Task, cpu: int) -> None:
        m = self._machine.arrays
        burst.charge(m, cpu, task.row, SEGFAULT)
        self._evidence.crashed(task)
        bus = m.operations[task.row].fault_signal == SIGBUS
        self._signals.kill(task, Signal.BUS_ERROR if bus else Signal.SEGFAULT)

    def _end(self, reason: int) -> None:
        upcoming = self._clock.next_ns() is not None and not self._come_to_rest()
        awaited = upcoming or self._cpus.next_arrival()[0] != NONE
        if reason == burst.REACHED or awaited:
            self.ending = "horizon"
            self._clock.stop_at(self._horizon_ns)
        elif any(True for _ in self._table.living()):
            self.ending = "deadlock"
            self.deadlock = "; ".join(_complaint(task) for task in self._table.living())
        else:
            self.ending = "idle"


def _complaint(task: Task) -> str:
    if task.wait is None:
        return f"{task.name} waits for an event of its program"
    holder = task.wait.holder
    held = "" if holder is None else f" (held by {holder.name})"
    return f"{task.name} waits for {task.wait.what}{held}"
