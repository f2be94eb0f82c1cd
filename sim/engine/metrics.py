"""The metrics of a run by name: one list, from which results, tables and studies take them."""

from typing import Final

from sim.machine.parts import PARTS
from sim.observe.faults import FAULT_METRICS

LIVES: Final = ("forks", "vforks", "execs", "exits", "fork_failures")
"""Counted by the engine: how processes begin and end."""
SHORTAGE: Final = ("oom_kills", "direct_reclaims")
"""Counted by the engine: what shortage of memory leads to."""
SWAPPED: Final = ("pages_swapped_in", "pages_swapped_out")
RECLAIM: Final = (
    "allocation_stalls",
    "allocation_stall_ns",
    "pages_scanned",
    "pages_stolen",
    "refaults",
)
"""What reclaim of pages of files did."""
EVENTS: Final = (*LIVES, *SHORTAGE, "pages_stolen", *SWAPPED, "context_switches")
"""What is counted besides faults, in the order of the table that a run prints."""

LATENCIES: Final = {
    "fault_latency_ns": "fault",
    "fork_latency_ns": "fork",
    "vfork_latency_ns": "vfork",
    "request_latency_ns": "request",
    "runqueue_wait_ns": "wait for a CPU",
}
"""What a run measures the times of, each as people call it."""

_SUMMARY: Final = ("count", "mean", "p50", "p90", "p99", "p999", "max")
_PARTS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(LATENCIES, _SUMMARY),
    "free_pages": ("min", "mean", "end"),
    "memory_need_bytes": ("total", *PARTS),
}

METRICS: Final = (
    *LIVES,
    *("minor_faults", "major_faults", *FAULT_METRICS.values(), "segfaults", "bus_errors"),
    *SHORTAGE,
    *SWAPPED,
    *RECLAIM,
    *("first_oom_ns", "context_switches", "cpu_busy_fraction"),
    *("psi_memory_some", "psi_memory_full"),
    *(f"{name}.{part}" for name, parts in _PARTS.items() for part in parts),
)
"""Every metric of a run, dotted: a study that asks for another is told at once."""


def meant_metric(name: str) -> str | None:
    """Return the metric that a name without its last part stands for; None if there is none.

    >>> meant_metric("memory_need"), meant_metric("fork_latency"), meant_metric("forks")
    ('memory_need_bytes.total', 'fork_latency_ns.mean', None)
    """
    for whole, parts in _PARTS.items():
        if name in (whole, whole.rpartition("_")[0]):
            return f"{whole}.{'mean' if 'mean' in parts else parts[0]}"
    return None
