"""What of its host and its groups a run does not follow exactly: pure, of what is resolved.

Said wherever a figure is: by `explain`, `run`, studies and their reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.machine.releases import NEWEST, release_name
from sim.machine.rules import RULES, rules_of
from sim.machine.rules.told import release_note

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_EXACT: Final = "not exact: MGLRU"

FROM_RECLAIM: Final = (
    "minor_faults",
    "file_maps",
    "major_faults",
    "fault_latency_ns",
    "request_latency_ns",
    "first_oom_ns",
    "oom_kills",
    "direct_reclaims",
    "pages_swapped_in",
    "pages_swapped_out",
    "free_pages",
    "memory_need_bytes.total",
    "memory_need_bytes.page_cache",
    "allocation_stalls",
    "allocation_stall_ns",
    "pages_scanned",
    "pages_stolen",
    "refaults",
    "psi_memory_some",
    "psi_memory_full",
)
"""Metrics that depend on which pages reclaim takes; a name without its part stands for all."""

FROM_SWAP: Final = (
    "swap_maps",
    "fork_latency_ns",
    "vfork_latency_ns",
    "cow_copies",
    "cow_reuses",
    "memory_need_bytes",
)
"""Those that depend on it where there is swap, so that reclaim takes pages of processes too."""

CONDITIONS: Final = {
    "not_linux": "which page leaves memory is not decided as by Linux",
    "nearest_rules": "the kernel goes by the rules of another release",
    "not_exact": "figures that depend on reclaim are not exact",
    "not_simulated": "something that the scenario says changes nothing here",
}
"""Codes of what is said of hosts and groups, and what each says."""


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
        names = ", ".join((*FROM_RECLAIM, *(FROM_SWAP if host.get("swap") else ())))
        what = f"{NOT_EXACT}: reclaim goes by the classic lists; what depends on it: {names}"
        remedy = (
            "take these figures as rough, see how far policy.replacement: mglru_like moves them, or"
            " turn MGLRU off (echo n > .../lru_gen/enabled)"
        )
        found.append(HostCondition("not_exact", "host.lru", what, remedy))
    return found


def group_conditions(groups: Mapping[str, Mapping[str, Any]]) -> list[HostCondition]:
    """Return which limits of groups are not simulated, a line a group."""
    found = []
    for name, group in groups.items():
        limits = {
            "cpu_max": group.get("cpu_max"),
            "cpu_weight": None if group.get("cpu_weight") == 100 else group.get("cpu_weight"),
            "pids_max": group.get("pids_max"),
        }
        said = [f"{key} {value:g}" for key, value in limits.items() if value is not None]
        if said:
            what = f"{', '.join(said)}: not simulated, CPU time and tasks are shared by the host"
            remedy = "give the host as many CPUs as the group may use (host.cpus), and allow for it"
            found.append(HostCondition("not_simulated", f"groups.{name}", what, remedy))
    return found


def process_conditions(processes: Mapping[str, Mapping[str, Any]]) -> list[HostCondition]:
    """Return which files of arrivals nobody reads, a line a process."""
    return [
        HostCondition(
            "not_simulated",
            f"processes.{name}",
            f"arrivals_file {process['arrivals_file']} is not read: arrivals are "
            f"{process['arrivals']}",
            "write `arrivals: file`, or take arrivals_file out",
        )
        for name, process in processes.items()
        if process.get("arrivals_file") and process.get("arrivals") != "file"
    ]


def release_conditions(resolved: Mapping[str, Any]) -> list[HostCondition]:
    """Return which rules of its release a scenario with groups is not run by."""
    if not resolved.get("groups"):
        return []
    rules = rules_of(resolved["host"].get("kernel", release_name(NEWEST)))
    return [
        HostCondition(
            "not_simulated",
            "host.kernel",
            f"as from {release_name(rule.since)} on, {rule.now}; before that, {rule.before}",
            f"allow for it in {rule.changes}",
        )
        for rule in RULES.values()
        if rule.of_groups and not rule.simulated and not rules & rule
    ]


def policy_conditions(policy: Mapping[str, Any]) -> list[HostCondition]:
    """Return what a resolved policy does that Linux does not, where nothing else would say so."""
    replacement = policy.get("replacement", "linux")
    if replacement == "linux":
        return []
    what = f"{replacement}, of all pages alike: a policy of textbooks, no Linux reclaims so"
    if replacement == "mglru_like":
        what = f"{replacement}, of all pages alike: an approximation, no Linux reclaims just so"
    remedy = "leave it out for what Linux would do"
    return [HostCondition("not_linux", "policy.replacement", what, remedy)]


def conditions_of(resolved: Mapping[str, Any]) -> list[HostCondition]:
    """Return what is to be said of a resolved scenario: of its host, policy and what runs there."""
    return [
        *host_conditions(resolved["host"]),
        *policy_conditions(resolved.get("policy", {})),
        *group_conditions(resolved.get("groups", {})),
        *process_conditions(resolved.get("processes", {})),
        *release_conditions(resolved),
    ]


def uses_mglru(host: Mapping[str, Any]) -> bool:
    """Whether the kernel of a resolved host reclaims by MGLRU, which is not simulated."""
    return bool(host.get("lru") == "mglru")


def exactness(metric: str, host: Mapping[str, Any]) -> str:
    """Return what is to be said behind a metric's value: ``not exact: MGLRU``, or nothing.

    >>> exactness("free_pages.min", {"lru": "mglru"}), exactness("forks", {"lru": "mglru"})
    ('not exact: MGLRU', '')
    """
    if not uses_mglru(host):
        return ""
    depend = (*FROM_RECLAIM, *(FROM_SWAP if host.get("swap") else ()))
    return NOT_EXACT if any(name in depend for name in (metric, metric.partition(".")[0])) else ""
