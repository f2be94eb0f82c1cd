"""Control groups of a scenario: what may be written of one, and what it means.

Written in the words of `memory.max`, or as Kubernetes, Docker and systemd have them; what those set
is resolved here to the same few keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from sim.base.units import PAGE_BYTES, format_bytes, parse_bytes
from sim.scenario.quantities import BYTES_SCHEMA, Closed, Name, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.scenario.document import Document

NO_LIMIT: Final = ("max", "infinity")
GUARANTEED_ADJ: Final = -997
BEST_EFFORT_ADJ: Final = 1000
"""`oom_score_adj` that the kubelet gives (`pkg/kubelet/qos/policy.go`)."""


def _limit(value: object) -> object:
    """Return a limit in bytes, in whole pages as the kernel rounds it down; None for no limit."""
    if value is None or value in NO_LIMIT:
        return None
    size_bytes = parse_bytes(value)
    if size_bytes < PAGE_BYTES:
        raise ValueError(f"{value} is less than a page; write at least 4 KiB, or `max`")
    return size_bytes // PAGE_BYTES * PAGE_BYTES


def _cpus(value: object) -> object:
    """Return a number of CPUs of Kubernetes: ``500m`` is .5."""
    if isinstance(value, str) and value.endswith("m") and value[:-1].isdecimal():
        return int(value[:-1]) / 1000
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


Limit = Annotated[
    int | None,
    BeforeValidator(_limit),
    WithJsonSchema({"anyOf": [BYTES_SCHEMA, {"enum": list(NO_LIMIT)}]}),
]
"""A limit in bytes, or None for ``max``."""
PodCpus = Annotated[
    float,
    BeforeValidator(_cpus),
    Field(gt=0),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^[0-9]+m$"}]}),
]


class Resources(Closed):
    """What a container of Kubernetes asks for, or may have."""

    memory: Limit = Field(default=None, description="memory, e.g. `500Mi`")
    cpu: PodCpus | None = Field(
        default=None,
        description="CPUs, e.g. `500m`; decides the class, limits nothing",
    )


class Group(Closed):
    """A control group: what all its processes together may take of memory."""

    parent: Name | None = Field(default=None, description="the group it is nested in")
    memory_max: Limit = Field(
        default=None, description="the most memory it may hold; beyond it somebody in it is killed"
    )
    oom_group: bool | None = Field(
        default=None, description="whether a kill takes all its processes (memory.oom.group)"
    )
    requests: Resources | None = Field(
        default=None,
        description="as Kubernetes has it: decides `oom_score_adj` and nothing else",
        examples=["{memory: 1Gi, cpu: 500m}"],
    )
    limits: Resources | None = Field(
        default=None,
        description="as Kubernetes has it: `memory_max`, and `oom_group` with cgroup v2",
        examples=["{memory: 2Gi}"],
    )
    replicas: Annotated[int, within(1, 100_000)] | None = Field(
        default=None,
        description="how many alike there are, each with the groups and processes in it: NAME.1, "
        "NAME.2, ...",
        examples=["20"],
    )


def resolve_groups(given: Mapping[str, Group], document: Document) -> dict[str, dict[str, Any]]:
    """Return the groups of a scenario in base units, those that others are nested in first.

    Raises `ScenarioError` for a parent that is not there, and for groups in a ring.
    """
    done: dict[str, dict[str, Any]] = {}
    waiting = dict(given)
    while waiting:
        ready = [n for n, group in waiting.items() if group.parent is None or group.parent in done]
        if not ready:
            name = next(iter(waiting))
            _complain_of_parent(name, given, document)
        for name in ready:
            done[name] = _resolved(waiting.pop(name), name, document)
    return done


def _complain_of_parent(name: str, given: Mapping[str, Group], document: Document) -> None:
    at = name
    seen = []
    while at in given and at not in seen:
        seen.append(at)
        at = given[at].parent or ""
    path = ("groups", seen[-1], "parent")
    if at in given:
        raise document.error(path, f"{' in '.join([*seen, at])} is a ring; take one `parent` out")
    known = ", ".join(sorted(given))
    raise document.error(path, f"there is no group called {at!r}; write one of {known}")


def _resolved(group: Group, name: str, document: Document) -> dict[str, Any]:
    limit = group.memory_max
    in_pod = group.requests is not None or group.limits is not None
    if group.limits is not None and group.limits.memory is not None:
        if limit is not None:
            message = "`limits` says how much already; take one of the two out"
            raise document.error(("groups", name, "memory_max"), message)
        limit = group.limits.memory
    asked = _request(group)
    if asked is not None and limit is not None and asked > limit:
        message = (
            f"{format_bytes(asked)} is more than the limit, {format_bytes(limit)}; "
            "Kubernetes refuses that: lower it"
        )
        raise document.error(("groups", name, "requests", "memory"), message)
    together = in_pod if group.oom_group is None else group.oom_group
    return {
        "parent": group.parent,
        "memory_max": limit,
        "oom_group": together,
        "replicas": group.replicas or 1,
    }


def settle_replicas(
    processes: Mapping[str, dict[str, Any]],
    groups: Mapping[str, dict[str, Any]],
    given: Mapping[str, Group],
    document: Document,
) -> None:
    """Move the `replicas` of processes to their groups; in no group they are `copies`.

    Raises `ScenarioError` where two that decide of a group do not agree.
    """
    said = {name: ("the group", own.replicas) for name, own in given.items() if own.replicas}
    for name, process in processes.items():
        count, group = process.pop("replicas"), process["group"]
        if count is None:
            continue
        path = ("processes", name, "replicas")
        if group is None:
            if process["copies"] > 1:
                message = "is the same as `copies` without a `group`; take one of the two out"
                raise document.error(path, message)
            process["copies"] = count
            continue
        who, other = said.setdefault(group, (name, count))
        if other != count:
            message = f"{who} has {other} of {group}; write the same number, or another `group`"
            raise document.error(path, message)
        groups[group]["replicas"] = count


def _request(group: Group) -> int | None:
    """Return the memory that a container asks for: its limit, unless it says something else."""
    if group.requests is not None and group.requests.memory is not None:
        return group.requests.memory
    return None if group.limits is None else group.limits.memory


def quality_of_service(group: Group) -> str:
    """Return the class that Kubernetes puts a container in."""
    requests, limits = group.requests or Resources(), group.limits or Resources()
    named = (requests.memory, requests.cpu, limits.memory, limits.cpu)
    if all(value is None for value in named):
        return "BestEffort"
    for asked, limit in ((requests.memory, limits.memory), (requests.cpu, limits.cpu)):
        if limit is None or asked not in (None, limit):
            return "Burstable"
    return "Guaranteed"


def oom_score_adj(group: Group, capacity_bytes: int) -> int | None:
    """Return what the kubelet sets for a container on a node of that capacity; else None.

    Source: Kubernetes, `pkg/kubelet/qos/policy.go`, `GetContainerOOMScoreAdjust`.
    """
    if group.requests is None and group.limits is None:
        return None
    quality = quality_of_service(group)
    if quality != "Burstable":
        return GUARANTEED_ADJ if quality == "Guaranteed" else BEST_EFFORT_ADJ
    share = 1000 * (_request(group) or 0) // capacity_bytes
    return min(max(1000 + GUARANTEED_ADJ, 1000 - share), BEST_EFFORT_ADJ - 1)
