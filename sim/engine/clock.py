"""SimPy's clock behind one door: the time, what happens now, and timers.

Nothing else of the engine looks into SimPy's queue.
"""

from __future__ import annotations

from functools import partial
from heapq import heappop
from math import ceil
from typing import TYPE_CHECKING, Any, Protocol

from simpy.events import NORMAL

from sim.engine.foreign import Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import simpy


class Arrivals(Protocol):
    """Timers that are not SimPy's."""

    def next_arrival(self) -> tuple[int, int, int]:
        """Return what comes next, when, and its number among SimPy's events."""

    def arrive(self, row: int) -> None:
        """Let it happen."""


class Clock:
    """Simulated time, in ns.  `env` is the SimPy environment that programs may use."""

    def __init__(self) -> None:
        self.env: simpy.Environment = Environment(initial_time=0)
        self._cancelled: set[simpy.Event] = set()
        self._background: set[simpy.Event] = set()
        self._end_ns: int | None = None

    @property
    def now_ns(self) -> int:
        """Simulated time."""
        return int(self.env._now)

    @property
    def end_ns(self) -> int:
        """The time now, or at the end of the run: the horizon if it was reached."""
        return self.now_ns if self._end_ns is None else self._end_ns

    def stop_at(self, end_ns: int) -> None:
        """Let the run have ended at `end_ns`, which no event may have reached."""
        self._end_ns = end_ns

    def event(self) -> simpy.Event:
        """Return an event that somebody will trigger."""
        return self.env.event()

    def start(self, generator: Generator[Any, Any, Any]) -> simpy.Process:
        """Run a generator as a SimPy process."""
        return self.env.process(generator)

    def move_to(self, at_ns: int) -> None:
        """Let time pass until `at_ns`; SimPy has nothing before that."""
        self.env._now = at_ns

    def numbered(self) -> int:
        """Return a number that SimPy's events from now on are above, those so far below."""
        return next(self.env._eid)

    def happen(self, arrivals: Arrivals) -> int | None:
        """Let happen what SimPy has for now, and arrivals of now in between, in their order.

        Returns the time of its next event, or ``None``.

        An arrival stands where a SimPy event would that was scheduled when it began to be awaited.
        """
        env, queue = self.env, self.env._queue
        now_ns = env._now
        row, due_ns, number = arrivals.next_arrival()
        while due_ns <= now_ns:
            if queue and queue[0] < (due_ns, NORMAL, number):
                env.step()  # which may have cancelled the arrival
            else:
                arrivals.arrive(row)
            row, due_ns, number = arrivals.next_arrival()
        while queue and not queue[0][0] > now_ns:  # a plug-in's NaN is no time: at once
            env.step()
        env._now = now_ns  # a plug-in may have scheduled in fractions of a nanosecond
        return self.next_ns() if queue else None

    def trigger(self, event: simpy.Event) -> None:
        """Let an event happen now, behind whatever SimPy has for now."""
        env, queue = self.env, self.env._queue
        if queue and not queue[0][0] > env._now:
            event.succeed()
            return
        event._ok, event._value = True, None  # as SimPy does when it comes to the event
        callbacks = event.callbacks
        event.callbacks = None  # type: ignore[assignment]  # so SimPy marks it as processed
        for callback in callbacks:
            callback(event)

    def timer(
        self,
        delay_ns: int,
        then: Callable[[], None] | None = None,
        *,
        background: bool = False,
    ) -> simpy.Event:
        """Return an event in `delay_ns`, at which `then` is called; it may be cancelled.

        A run does not go on for timers in the `background`.
        """
        timer = self.env.timeout(delay_ns)
        if timer.callbacks is not None:
            timer.callbacks.append(partial(self._fired, then))
        if background:
            self._background.add(timer)
        return timer

    def cancel(self, timer: simpy.Event) -> None:
        """Cancel a timer that nobody waits for any more: the run must not go on for it."""
        if not timer.processed:
            self._cancelled.add(timer)
            self._background.discard(timer)

    def _fired(self, then: Callable[[], None] | None, timer: simpy.Event) -> None:
        self._background.discard(timer)
        if timer in self._cancelled:  # at the very time at which it was due
            self._cancelled.remove(timer)
        elif then is not None:
            then()

    def next_ns(self) -> int | None:
        """Return the time of the next event, or ``None``; cancelled ones are passed over."""
        queue = self.env._queue
        while queue and queue[0][-1] in self._cancelled:
            self._cancelled.remove(heappop(queue)[-1])
        return ceil(queue[0][0]) if queue else None

    def only_background(self) -> bool:
        """Whether nothing will happen but timers in the background."""
        return len(self.env._queue) - len(self._cancelled) == len(self._background)
