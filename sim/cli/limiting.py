"""Options that say how much a run may take, and what one shows while it goes on."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sim.base.errors import ScenarioError
from sim.base.limits import Limits
from sim.base.units import format_duration, parse_bytes, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LINE_EVERY_S: Final = 30.0
"""Distance of progress lines where standard error is no terminal."""
_SHOW_EVERY_S: Final = 0.5


def limits_of(time_limit: str | None, memory_limit: str | None) -> Limits:
    """Return the limits of a run as they were typed.

    Raises `ScenarioError` for what is no duration or no size.
    """
    return Limits(
        _parsed("--time-limit", parse_duration, time_limit),
        _parsed("--memory-limit", parse_bytes, memory_limit),
    )


def _parsed(option: str, parse: Callable[[str], int], text: str | None) -> int | None:
    if text is None:
        return None
    try:
        value = parse(text)
    except ValueError as error:
        raise ScenarioError(str(error), key=option) from None
    if value <= 0:
        raise ScenarioError("a limit is more than 0; leave it out for none", key=option)
    return value


@contextmanager
def progress_of_a_run(horizon_ns: int | None) -> Iterator[Callable[[int], None]]:
    """Yield what is to be told the simulated time now and then; it shows it on standard error.

    On a terminal in a line that is overwritten and wiped out in the end, elsewhere in a line every
    half a minute, so that a short run says nothing.
    """
    live = sys.stderr.isatty()
    began_s = time.monotonic()
    every_s = _SHOW_EVERY_S if live else LINE_EVERY_S
    due_s = began_s + every_s
    shown = 0

    def tell(now_ns: int) -> None:
        nonlocal due_s, shown
        now_s = time.monotonic()
        if now_s < due_s:
            return
        due_s = now_s + every_s
        most = "" if horizon_ns is None else f", at most {format_duration(horizon_ns)}"
        line = f"{format_duration(now_ns)} simulated{most}; {now_s - began_s:.0f} s so far"
        sys.stderr.write(f"\r{line.ljust(shown)}" if live else f"{line}\n")
        sys.stderr.flush()
        shown = len(line)

    try:
        yield tell
    finally:
        if live and shown:
            sys.stderr.write(f"\r{' ' * shown}\r")
            sys.stderr.flush()
