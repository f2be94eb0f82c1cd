"""How a program is offered by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from sim.program.api import Program

_P = TypeVar("_P", bound=Program)


def program(
    name: str,
    *,
    events: Mapping[str, str] | Sequence[str] = (),
    endless: bool = False,
) -> Callable[[_P], _P]:
    """Offer a generator function as the program `name`, from a file given with ``--plugin``.

    Its keyword-only parameters become keys in YAML, without their unit suffix
    (``heap_bytes`` is written ``heap: 64 MiB``).

    Parameters
    ----------
    name
        Letters, digits and underscores.
    events
        What the program is there to do, so that a run can tell whether it was done: each event
        begins with ``task.begin(EVENT)`` and ends with ``task.end(EVENT)``, in this process or in
        its children.  ``request`` counts by itself: requests that reads and writes with `arrivals`
        began.  A mapping names for each event the parameter whose 0 asks for none of it.  Without
        events, a program is there to reach its end.
    endless
        It has no end of its own, as a server: that the horizon cuts it off says nothing.

    Raises `ValueError` if `name` is no identifier, or an event has no name.

    >>> @program("idle")
    ... def idle(task, *, nap_ns: int = 1_000_000):
    ...     yield from task.sleep(nap_ns)
    >>> idle.program_name
    'idle'
    """
    if not name.isidentifier():
        raise ValueError(f"a program's name is letters, digits and underscores, got {name!r}")

    declared = dict(events) if isinstance(events, Mapping) else dict.fromkeys(events)
    for event, parameter in declared.items():
        if not event or parameter == "":
            raise ValueError(f"an event and its parameter have names, got {event!r}: {parameter!r}")

    def offer(function: _P) -> _P:
        function.program_name = name  # type: ignore[attr-defined]
        function.program_events = declared  # type: ignore[attr-defined]
        function.program_endless = endless  # type: ignore[attr-defined]
        return function

    return offer
