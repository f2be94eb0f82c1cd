"""SimPy processes that a plug-in starts itself: what goes wrong in them is its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import simpy

from sim.base.text import shown
from sim.program.blame import MODULE_PREFIX, blaming

if TYPE_CHECKING:
    from collections.abc import Generator


class Environment(simpy.Environment):
    """SimPy's clock, on which the generators of plug-ins run under supervision."""

    if not TYPE_CHECKING:

        def process(self, generator: Generator[Any, Any, Any]) -> simpy.Process:
            """Start a process; see `simpy.Environment.process`."""
            frame = getattr(generator, "gi_frame", None)
            name = "" if frame is None else str(frame.f_globals.get("__name__"))
            foreign = name.startswith(MODULE_PREFIX)
            return simpy.Process(self, _supervised(generator) if foreign else generator)


def not_an_event(event: Any) -> TypeError | None:
    """Return what is wrong with what a program has yielded; ``None`` if it can be waited for."""
    timeless = isinstance(event, simpy.Timeout) and event._delay != event._delay  # NaN
    if isinstance(event, simpy.Event) and not timeless:
        return None
    what = f"yields {shown(event)}; enter verbs with `yield from`, or yield an event"
    return TypeError(what)


def _supervised(generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    value: Any = None
    error: BaseException | None = None
    with blaming():
        while True:
            try:
                event = generator.throw(error) if error is not None else generator.send(value)
            except StopIteration as stop:
                return stop.value
            error = not_an_event(event)
            if error is None:
                try:
                    value = yield event
                except BaseException as failure:  # its business
                    error = failure
