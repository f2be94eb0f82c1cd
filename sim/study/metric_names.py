"""The names of a run's metrics, dotted, so that a study that asks for another is told at once."""

from typing import Final

from sim.machine.parts import PARTS
from sim.observe.faults import FAULT_METRICS

_SUMMARY: Final = ("count", "mean", "p50", "p90", "p99", "p999", "max")
_PARTS: Final[dict[str, tuple[str, ...]]] = {
    "fault_latency_ns": _SUMMARY,
    "fork_latency_ns": _SUMMARY,
    "request_latency_ns": _SUMMARY,
    "runqueue_wait_ns": _SUMMARY,
    "free_pages": ("min", "mean", "end"),
    "memory_need_bytes": ("total", *PARTS),
}  # fmt: skip
_PLAIN: Final = (
    "forks", "vforks", "execs", "exits", "fork_failures", "minor_faults", "major_faults",
    *FAULT_METRICS.values(),
    "segfaults", "oom_kills", "direct_reclaims", "pages_swapped_in", "pages_swapped_out",
    "context_switches", "cpu_busy_fraction", "psi_memory_some", "psi_memory_full",
)  # fmt: skip

METRICS: Final = (
    *_PLAIN,
    *(f"{name}.{part}" for name, parts in _PARTS.items() for part in parts),
)
"""Every metric of a run."""


def meant_metric(name: str) -> str | None:
    """Return the metric that a name without its last part stands for; None if there is none.

    >>> meant_metric("memory_need"), meant_metric("fork_latency"), meant_metric("forks")
    ('memory_need_bytes.total', 'fork_latency_ns.mean', None)
    """
    for whole, parts in _PARTS.items():
        if name in (whole, whole.rpartition("_")[0]):
            return f"{whole}.{'mean' if 'mean' in parts else parts[0]}"
    return None
