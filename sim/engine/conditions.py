"""What of its host a run does not follow exactly: a pure function of the resolved host.

Said wherever a figure is: by `explain`, `run`, studies and their reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.machine.releases import NEWEST, release_name
from sim.machine.rules.told import release_note

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_EXACT: Final = "not exact: MGLRU"

FROM_RECLAIM: Final = (
    "major_faults",
    "oom_kills",
    "direct_reclaims",
    "pages_swapped_in",
    "pages_swapped_out",
    "free_pages",
    "memory_need_bytes.total",
    "memory_need_bytes.page_cache",
    "allocation_stalls",
    "pages_scanned",
    "pages_stolen",
    "refaults",
    "psi_memory_some",
    "psi_memory_full",
)
"""Metrics that depend on which pages reclaim takes; a name without its part stands for all."""


CONDITIONS: Final = {
    "nearest_rules": "the kernel goes by the rules of another release",
    "not_exact": "figures that depend on reclaim are not exact",
}
"""Codes of what is said of hosts, and what each says."""


@dataclass(frozen=True, slots=True)
class HostCondition:
    """One of them: the code of its finding, the key that it is about, what is to be said."""

    code: str
    where: str
    what: str
    remedy: str


def host_conditions(host: Mapping[str, Any]) -> list[HostCondition]:
    """Return what is to be said of a resolved host; nothing where all of it is followed."""
    found = []
    if note := release_note(host.get("kernel", release_name(NEWEST))):
        remedy = "write a release whose rules are known, or allow for what differs"
        found.append(HostCondition("nearest_rules", "host.kernel", note, remedy))
    if uses_mglru(host):
        names = ", ".join(FROM_RECLAIM)
        what = f"{NOT_EXACT}: reclaim goes by the classic lists; what depends on it: {names}"
        remedy = "take these figures as rough, or turn MGLRU off (echo n > .../lru_gen/enabled)"
        found.append(HostCondition("not_exact", "host.lru", what, remedy))
    return found


def uses_mglru(host: Mapping[str, Any]) -> bool:
    """Whether the kernel of a resolved host reclaims by MGLRU, which is not simulated."""
    return bool(host.get("lru") == "mglru")


def exactness(metric: str, host: Mapping[str, Any]) -> str:
    """Return what is to be said behind a metric's value: ``not exact: MGLRU``, or nothing.

    >>> exactness("free_pages.min", {"lru": "mglru"}), exactness("forks", {"lru": "mglru"})
    ('not exact: MGLRU', '')
    """
    names = (metric, metric.partition(".")[0])
    return NOT_EXACT if uses_mglru(host) and any(name in FROM_RECLAIM for name in names) else ""
