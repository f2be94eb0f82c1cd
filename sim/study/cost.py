"""What a run is expected to cost the simulator: a rough figure, for order and for time left.

The heaviest runs start first, so that no worker is left with one at the end.  Being wrong here
costs time, never a result.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from sim.units import PAGE_BYTES, S
from sim.workload import PROGRAMS
from sim.workload.signature import Unit, parameters_of

RUN_S: Final = 0.05
"""Worker time of a run besides what grows with it."""
HOST_PAGES_PER_S: Final = 30e6
"""Frames of a host that are set up and audited per second of a worker's time."""
PAGES_PER_S: Final = 10e6
"""Pages of a process that are filled, forked and torn down per second of a worker's time."""
ACCESSES_PER_S: Final = 1e6
"""Paced accesses per second of a worker's time."""


def expected_work_s(scenario: Mapping[str, Any]) -> float:
    """Return the worker time that a run of a resolved scenario may take, in s.

    Each process costs the pages of its sizes and, for as long as it lasts, its rates.  It lasts
    as long as its durations add up to, and as it takes to go through its sizes at its speeds.
    """
    seconds = RUN_S + scenario["host"]["memory"] / PAGE_BYTES / HOST_PAGES_PER_S
    horizon_ns = scenario["run"]["horizon"]
    horizon_s = math.inf if horizon_ns is None else horizon_ns / S
    for process in scenario["processes"].values():
        sizes, rates, speeds = (_values(process, unit) for unit in _UNITS)
        lasts_s = sum(_values(process, "ns")) / S
        if speeds:
            lasts_s += sum(sizes) / min(speeds)
        elif horizon_ns is not None:  # without one, it lasts as long as its durations
            lasts_s += horizon_s
        accesses = sum(rates) * min(lasts_s, horizon_s)
        work_s = sum(sizes) / PAGE_BYTES / PAGES_PER_S + accesses / ACCESSES_PER_S
        seconds += process.get("copies", 1) * work_s
    return float(seconds)


_UNITS: Final[tuple[Unit, ...]] = ("bytes", "per_s", "bytes_per_s")


def _values(process: Mapping[str, Any], unit: Unit) -> list[float]:
    program = PROGRAMS.get(process["program"])
    if program is None:
        return []
    given = (process.get(p.key) for p in parameters_of(program) if p.unit == unit)
    return [float(value) for value in given if isinstance(value, int | float) and value > 0]
