"""Memory needed: a tolerance bound from runs on a large host, and the host that can hold it.

What a workload needs is measured where nothing runs short.  A host must hold that and, besides,
what the kernel keeps for itself and the free pages below which it counts as short (the min
watermark), both of which grow with the host.  So the host is the smallest one that satisfies its
own size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sim.base.errors import InsufficientDataError, ScenarioError
from sim.base.units import MIB, PAGE_BYTES
from sim.machine.parts import PARTS
from sim.stats.proportion import level_of_a_look
from sim.stats.tolerance import UpperBound, upper_bound

MOST_BYTES: Final = 1 << 46
"""No host is looked for that is larger; 64 TiB."""

OnHost = Callable[[int], Mapping[str, Any]]
"""Returns the resolved scenario on a host of so many bytes."""


@dataclass(frozen=True, slots=True)
class Need:
    """What the workload of one point needs, over independent runs; all figures in bytes.

    `low_bytes` is the mirror image of `bound`, below the mean.  `mean_bytes`, `seen_bytes` (the
    smallest and the largest) and `parts_bytes` (means at the moment of the peak) are over the runs
    whose need is known; of `n_cut_off` more it is known only that it was larger than their host.
    """

    mean_bytes: float
    seen_bytes: tuple[float, float]
    bound: UpperBound
    low_bytes: float
    parts_bytes: Mapping[str, float]
    n_cut_off: int = 0


def need_of(
    needs_bytes: Sequence[Mapping[str, float]],
    *,
    content: float,
    confidence: float,
    normal: bool = False,
    n_cut_off: int = 0,
    looks: int = 1,
) -> Need:
    """Return the need of a point from the `memory_need_bytes` of its runs, one a replication.

    `normal` tells that the needs of a point were declared to be normal, `n_cut_off` how many runs
    there were besides that memory ran out in.  Where results decided at one of `looks` moments how
    many runs there are, the level is divided among these.

    Raises `InsufficientDataError` without a run, or if the bound is among the needs cut off.
    """
    totals = [float(need["total"]) for need in needs_bytes]
    level = level_of_a_look(confidence, looks)
    bound = upper_bound(
        totals, content=content, confidence=level, normal=normal, n_cut_off=n_cut_off
    )
    below = upper_bound(
        [-total for total in totals], content=content, confidence=level, normal=normal
    )
    n = len(totals)
    return Need(
        mean_bytes=sum(totals) / n,
        seen_bytes=(min(totals), max(totals)),
        bound=replace(bound, confidence=confidence),
        low_bytes=max(0.0, -below.bound),
        parts_bytes={
            part: sum(float(need.get(part, 0)) for need in needs_bytes) / n for part in PARTS
        },
        n_cut_off=n_cut_off,
    )


def kept_bytes(scenario: Mapping[str, Any]) -> int:
    """Return what a host keeps from its processes: the kernel's own and the min watermark."""
    host = scenario["host"]
    return int(host["kernel_reserve"]) + int(host["min_free"])


def smallest_host_bytes(need_bytes: float, on_host: OnHost) -> int:
    """Return the smallest host, in whole MiB, whose processes may use `need_bytes`.

    The kernel's share grows by less than the host does, so repeated substitution converges: from
    below, or from above where a host of the need alone is less than its kernel keeps.
    """
    size, below = _whole_mib(need_bytes), True
    for _ in range(100):
        try:
            kept = kept_bytes(on_host(size))
        except ScenarioError:
            if size > MOST_BYTES:
                raise
            size, below = 2 * size, False
            continue
        wanted = _whole_mib(need_bytes + kept)
        if wanted == size or (below and wanted < size):
            return size
        size = wanted
    raise InsufficientDataError("no host is large enough: its kernel keeps all that is added")


def _whole_mib(size_bytes: float) -> int:
    pages = -int(-size_bytes // PAGE_BYTES)
    return -(-pages * PAGE_BYTES // MIB) * MIB
