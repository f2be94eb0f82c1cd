"""Defaults that follow from other values: what Linux would set up on such a machine."""

from __future__ import annotations

from typing import Final

from sim.base.units import KIB, MIB, MS, PAGE_BYTES, US
from sim.machine.rules import rules_of
from sim.machine.rules.limits import R_EEVDF, R_STACK_16K

SEED: Final = 1
"""Root of the random numbers where neither the scenario nor the command line names one."""

STRUCT_PAGE_BYTES: Final = 64
"""Size of the kernel's record of a page frame (``struct page``)."""

BASE_SLICE_NS: Final = 700 * US
"""EEVDF's slice on one CPU; it grows with the logarithm of the CPUs, up to eight of them."""
DISK: Final = {
    "read_ahead": 128 * KIB,
    "largest_read": 1280 * KIB,
    "latency": 100 * US,
    "bandwidth": 1e9,
    "queue_depth": 32,
    "source": "assumed: a solid-state disk",
}
"""Read-ahead and largest request are Linux's (VM_READAHEAD_PAGES, BLK_DEF_MAX_SECTORS)."""

SAMPLE_EVERY_NS: Final = MS
"""Distance of the first points of a time series; it doubles whenever there are 1,000."""

CFS_SLICE_NS: Final = 3 * MS
"""Half of CFS's latency on one CPU, which grows alike: the slice of each of two busy tasks."""


def kernel_reserve_bytes(memory_bytes: int) -> int:
    """Return what the kernel keeps for itself, in whole pages.

    One 64th of memory for page structures; and, assumed, one 16th of memory but at most 192 MiB
    for its text, data, slab and start-up allocations.
    """
    pages = memory_bytes // PAGE_BYTES
    rest = min(memory_bytes // 16, 192 * MIB)
    return -(-(pages * STRUCT_PAGE_BYTES + rest) // PAGE_BYTES) * PAGE_BYTES


def kernel_stack_bytes(kernel: str) -> int:
    """Return the size of a task's kernel stack on x86-64."""
    return 16 * KIB if rules_of(kernel) & R_STACK_16K else 8 * KIB


def quantum_ns(cpus: int, kernel: str = "6.12") -> int:
    """Return the slice after which a waiting task may have the CPU.

    That is EEVDF's base slice, or before Linux 6.6 what CFS gives each of two tasks.  (CFS divides
    its latency among all that wait, down to an eighth of it; a quantum does not.)

    It is not rounded up to ticks here: the engine switches at the first tick at or after its end.
    A quantum of a whole tick would last two, since a slice begins a little after a tick.

    >>> quantum_ns(2), quantum_ns(8), quantum_ns(8, "5.4")
    (1400000, 2800000, 12000000)
    """
    one_cpu_ns = BASE_SLICE_NS if rules_of(kernel) & R_EEVDF else CFS_SLICE_NS
    return one_cpu_ns * min(cpus, 8).bit_length()
