"""Latencies inside the burst: histograms, and exactly their sums and their largest values.

The layout of buckets is that of `sim.stats.quantile`.  A sum is kept in two words, as ns outgrow
63 bits.
"""

from typing import Final

from sim.base.jit import compiled, inlined
from sim.machine.layout import MOST_BATCHES, Arrays
from sim.machine.native import fls64
from sim.machine.work import N_LINES

REQUEST: Final = N_LINES
"""Row of request latencies; the rows before it are fault kinds, numbered as lines of work."""
FORK: Final = N_LINES + 1
RUNQUEUE: Final = N_LINES + 2
VFORK: Final = N_LINES + 3

_SUM_BITS: Final = 61
SUM_LIMIT: Final = 1 << _SUM_BITS
"""What one unit of ``sum_high`` stands for."""


@inlined
def bucket(value: int) -> int:
    """Return the bucket of a value from 0 to 2**63 - 1."""
    shift = fls64(value >> 7)
    return (shift << 6) + (value >> shift)


@inlined
def observe(m: Arrays, latency: int, value_ns: int) -> None:
    """Count one latency, below 2**62 ns."""
    m.histograms[latency, bucket(value_ns)] += 1
    exact = m.latencies[latency]
    low = exact.sum_low + value_ns
    if low >= SUM_LIMIT:
        exact.sum_high += low >> _SUM_BITS
        low &= SUM_LIMIT - 1
    exact.sum_low = low
    exact.largest = max(exact.largest, value_ns)


@inlined
def observe_request(m: Arrays, value_ns: int) -> None:
    """Count the latency of a request, and the request towards its batch."""
    observe(m, REQUEST, value_ns)
    batching = m.batching[0]
    batching.requests += 1
    if batching.requests == batching.each:
        end_batch(m)


@compiled
def end_batch(m: Arrays) -> None:
    """Note what all requests so far took together; when batches are many, join them in pairs."""
    batching = m.batching[0]
    batching.requests = 0
    m.request_sums[batching.batches] = m.latencies[REQUEST].sum_low
    batching.batches += 1
    if batching.batches == MOST_BATCHES:
        for pair in range(MOST_BATCHES // 2):
            m.request_sums[pair] = m.request_sums[2 * pair + 1]
        batching.batches = MOST_BATCHES // 2
        batching.each *= 2
