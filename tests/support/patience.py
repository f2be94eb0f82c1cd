"""Waiting for what other processes do: as long as it takes, on a machine however busy."""

import time
from collections.abc import Callable

LONGEST_S = 1800.0
"""Nothing takes this long: by then it has not happened at all."""


def wait_until(happened: Callable[[], object], every_s: float = 0.02) -> None:
    """Return once something has happened; fail if it never does."""
    started_s = time.monotonic()
    while not happened():
        assert time.monotonic() - started_s < LONGEST_S, "it never happened"
        time.sleep(every_s)
