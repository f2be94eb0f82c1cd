"""Latency histograms inside the burst; the layout of buckets is that of `sim.stats.quantile`."""

from typing import Final

from sim.jit import inlined
from sim.machine.layout import N_LINES, Arrays

REQUEST: Final = N_LINES
"""Row of request latencies; the rows before it are fault kinds, numbered as lines of work."""
FORK: Final = N_LINES + 1
RUNQUEUE: Final = N_LINES + 2


@inlined
def bucket(value: int) -> int:
    """Return the bucket of a value from 0 to 2**63 - 1."""
    shift = 0
    rest = value >> 7
    for step in (32, 16, 8, 4, 2, 1):
        if rest >> step > 0:
            rest >>= step
            shift += step
    if rest > 0:
        shift += 1
    return (shift << 6) + (value >> shift)


@inlined
def observe(m: Arrays, latency: int, value_ns: int) -> None:
    """Count one latency."""
    m.histograms[latency, bucket(value_ns)] += 1
