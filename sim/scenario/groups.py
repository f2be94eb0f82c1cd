"""Control groups of a scenario: what may be written of one, and what it means.

Written in the words of `memory.max`, or as Kubernetes, Docker and systemd have them; what those set
is resolved here to the same few keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from sim.base.units import PAGE_BYTES, format_bytes, parse_bytes
from sim.machine.rules.cgroup import (
    V1_NO_HIGH,
    V1_NO_OOM_GROUP,
    V1_NO_PROTECTION,
    V1_SWAPPINESS,
    cgroup_rules,
)
from sim.scenario.containers import (
    Asked,
    Node,
    Words,
    kubelet_oom_score_adj,
    kubernetes_bytes,
    said_by_docker,
    said_by_kubernetes,
    said_by_systemd,
)
from sim.scenario.quantities import BYTES_SCHEMA, Bytes, Closed, Duration, Name, within

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sim.scenario.document import Document

NO_LIMIT: Final = ("max", "infinity")


LIMIT_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [*BYTES_SCHEMA["anyOf"], {"enum": list(NO_LIMIT)}],
    "$comment": "a size, or `max`",
}


def _limit(value: object) -> object:
    """Return a limit in bytes, in whole pages as the kernel rounds it down; None for no limit."""
    if value is None or value in NO_LIMIT:
        return None
    size_bytes = parse_bytes(value)
    if size_bytes < PAGE_BYTES:
        raise ValueError(f"{value} is less than a page; write at least 4 KiB, or `max`")
    return size_bytes // PAGE_BYTES * PAGE_BYTES


def _or_nothing(value: object) -> object:
    """Return a limit as `_limit`, or 0: of swap, or of what is protected."""
    if value is not None and value not in NO_LIMIT and parse_bytes(value) == 0:
        return 0
    return _limit(value)


def _cpus(value: object) -> object:
    """Return a number of CPUs of Kubernetes: ``500m`` is .5."""
    if isinstance(value, str) and value.endswith("m") and value[:-1].isdecimal():
        return int(value[:-1]) / 1000
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


Limit = Annotated[
    int | None,
    BeforeValidator(_limit),
    WithJsonSchema(LIMIT_SCHEMA),
]
"""A limit in bytes, or None for ``max``."""
PodMemory = Annotated[
    int | None,
    BeforeValidator(lambda value: _limit(kubernetes_bytes(value))),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}], "$comment": "a size"}),
]
SwapLimit = Annotated[
    int | None,
    BeforeValidator(_or_nothing),
    WithJsonSchema(LIMIT_SCHEMA),
]
NumberOrMax = BeforeValidator(lambda value: None if value in NO_LIMIT else value)
Protection = Annotated[
    int | None,
    BeforeValidator(_or_nothing),
    WithJsonSchema(LIMIT_SCHEMA),
]
"""What is protected, in bytes, or None for ``max``: all that the group holds."""
PodCpus = Annotated[
    float,
    BeforeValidator(_cpus),
    Field(gt=0),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^[0-9]+m$"}]}),
]


class Resources(Closed):
    """What a container of Kubernetes asks for, or may have."""

    memory: PodMemory = Field(
        default=None,
        description="memory, as Kubernetes reads it: `500Mi`; `1G` is decimal, a bare number bytes",
    )
    cpu: PodCpus | None = Field(
        default=None,
        description="CPUs, e.g. `500m`; decides the class, limits nothing here",
    )

    def asked(self) -> Asked:
        """Return the same as plain values."""
        return Asked(self.memory, self.cpu)


class Group(Closed):
    """A control group: what all its processes together may take of memory."""

    parent: Name | None = Field(default=None, description="the group it is nested in")
    memory_max: Limit = Field(
        default=None, description="the most memory it may hold; beyond it somebody in it is killed"
    )
    memory_high: Limit = Field(
        default=None,
        description="above it whoever takes memory reclaims, and sleeps if that is no help; nobody "
        "is killed (v2)",
    )
    memory_low: Protection = Field(
        default=0, description="what reclaim spares of it while there is anything else (v2)"
    )
    memory_min: Protection = Field(
        default=0, description="what reclaim never takes of it: somebody is killed first (v2)"
    )
    oom_group: bool | None = Field(
        default=None, description="whether a kill takes all its processes (memory.oom.group)"
    )
    swap_max: SwapLimit = Field(
        default=None, description="the most swap; without swap it limits nothing"
    )
    swappiness: Annotated[int, within(0, 200)] | None = Field(
        default=None,
        description="how willingly its anonymous memory goes first (v1); default: the host's",
    )
    cpu_max: Annotated[PodCpus | None, NumberOrMax] = Field(
        default=None, description="CPUs (cpu.max); limits nothing here, which the run says"
    )
    cpu_weight: Annotated[int, within(1, 10_000)] | None = Field(
        default=None, description="cpu.weight, default 100; decides nothing here, the run says so"
    )
    pids_max: Annotated[Annotated[int, within(1, 2**31)] | None, NumberOrMax] = Field(
        default=None, description="tasks (pids.max); limits nothing here, which the run says"
    )
    requests: Resources | None = Field(
        default=None,
        description="as Kubernetes has it: decides `oom_score_adj` and `cpu_weight`; no memory is "
        "kept for it",
        examples=["{memory: 1Gi, cpu: 500m}"],
    )
    limits: Resources | None = Field(
        default=None,
        description="as Kubernetes has it: `memory_max`, `cpu_max`, and `oom_group` with cgroup v2",
        examples=["{memory: 2Gi}"],
    )
    memory_request: Bytes | None = Field(
        default=None,
        description="what the kubelet compares its working set with (`policy.eviction`); "
        "`requests.memory` sets it, and a group without is no pod",
    )
    priority: Annotated[int, within(-(2**31), 2**31 - 1)] | None = Field(
        default=None, description="the pod's priority, default 0, for `policy.eviction`"
    )
    docker: str | None = Field(
        default=None,
        description="flags of `docker run` about memory, CPUs and tasks, as one text",
        examples=['"--memory 512m --oom-score-adj 500"'],
    )
    systemd: str | dict[str, str | int] | None = Field(
        default=None,
        description="properties of a unit: a mapping, or its lines as one text",
        examples=["{MemoryMax: 500M, OOMPolicy: kill}"],
    )
    replicas: Annotated[int, within(1, 100_000)] | None = Field(
        default=None,
        description="how many alike there are, each with the groups and processes in it: NAME.1, "
        "NAME.2, ...",
        examples=["20"],
    )
    start_within: Duration = Field(
        default=0,
        description="each of its replicas starts at a random time below this, one for all that is "
        "in it, on top of what its processes say: so pods are staggered, and each starts as one",
        examples=["60 s"],
    )


KEYS: Final[Mapping[str, Any]] = {
    "parent": None,
    "memory_max": None,
    "memory_high": None,
    "memory_low": 0,
    "memory_min": 0,
    "swap_max": None,
    "swappiness": None,
    "oom_group": False,
    "cpu_max": None,
    "cpu_weight": 100,
    "pids_max": None,
    "memory_request": None,
    "priority": 0,
    "replicas": 1,
    "start_within": 0,
}
"""What a resolved group has, and what holds where nobody says anything."""

_ONLY_V2: Final = {
    "memory_high": V1_NO_HIGH,
    "memory_low": V1_NO_PROTECTION,
    "memory_min": V1_NO_PROTECTION,
    "oom_group": V1_NO_OOM_GROUP,
}
"""Keys, and the difference by which version 1 has no such thing."""
_NEVER_NULL: Final = {"oom_group", "cpu_weight", "replicas"}
"""Keys whose null says nothing; of others it is `max`."""


def resolve_groups(
    given: Mapping[str, Group], node: Node, document: Document
) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """Return the groups of a scenario in base units, those that others are nested in first.

    And the `oom_score_adj` of the processes in those that decide it.  Raises `ScenarioError` for a
    parent that is not there, for groups in a ring, and for what cannot be meant.
    """
    done: dict[str, dict[str, Any]] = {}
    adjustments: dict[str, int] = {}
    waiting = dict(given)
    while waiting:
        ready = [n for n, group in waiting.items() if group.parent is None or group.parent in done]
        if not ready:
            name = next(iter(waiting))
            _complain_of_parent(name, given, document)
        for name in ready:
            found = _resolved(waiting.pop(name), name, node, document)
            if (adj := found.pop("oom_score_adj", None)) is not None:
                adjustments[name] = adj
            done[name] = found
    return done, adjustments


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


_OF_KUBERNETES: Final[Mapping[tuple[str, ...], str]] = {
    ("limits", "memory"): "memory_max",
    ("limits", "cpu"): "cpu_max",
    ("requests", "memory"): "memory_request",
}
"""Where a resolved group has what Kubernetes calls otherwise."""


def settled(scenario: Mapping[str, Any], path: Sequence[str]) -> list[str]:
    """Return where a resolved scenario has the value of a key that is written at `path`."""
    match path:
        case ["groups", name, *rest] if tuple(rest) in _OF_KUBERNETES:
            return ["groups", name, _OF_KUBERNETES[tuple(rest)]]
        case ["processes", name, "replicas"] if name in scenario["processes"]:
            group = scenario["processes"][name]["group"]
            return ["groups", group, "replicas"] if group else ["processes", name, "copies"]
    return list(path)


def _resolved(group: Group, name: str, node: Node, document: Document) -> dict[str, Any]:
    """Return the keys of a group, each said once; what a tool implies gives way to them."""
    found: dict[str, Any] = {}
    implied: dict[str, Any] = {}
    said_by: dict[str, str] = {}
    for dialect, read in _DIALECTS.items():
        try:
            words = read(group, node)
        except ValueError as error:
            raise document.error(("groups", name, dialect), str(error)) from None
        implied |= words.implied
        for key, value in words.said.items():
            if key in found:
                message = f"`{said_by[key]}` says {key} already; take one of the two out"
                raise document.error(("groups", name, dialect), message)
            if key not in (*KEYS, "oom_score_adj"):
                message = f"{key} is not simulated; take it out"
                raise document.error(("groups", name, dialect), message)
            found[key] = value
            said_by[key] = dialect or key
    _check_request(group, name, document)
    lacks = cgroup_rules(node.cgroup)
    for key, difference in _ONLY_V2.items():
        if lacks & difference:
            if found.get(key, KEYS[key]) != KEYS[key]:
                message = f"{key}: control groups of version 1 have no such thing; take it out"
                raise document.error(("groups", name, said_by[key]), message)
            implied[key] = KEYS[key]
    if not lacks & V1_SWAPPINESS and found.get("swappiness") is not None:
        message = "swappiness: only version 1 of control groups has one; set host.swappiness"
        raise document.error(("groups", name, said_by["swappiness"]), message)
    resolved = {**KEYS, **implied, **found}
    if not resolved["start_within"]:  # so that runs without it stay the runs they were
        del resolved["start_within"]
    return resolved


def _own(group: Group, node: Node) -> Words:
    said = {key: getattr(group, key) for key in KEYS if key in group.model_fields_set}
    return Words({k: v for k, v in said.items() if v is not None or k not in _NEVER_NULL})


def _kubernetes(group: Group, node: Node) -> Words:
    if group.requests is None and group.limits is None:
        return Words()
    requests, limits = _asked(group)
    words = said_by_kubernetes(requests, limits)
    asked = limits.memory if requests.memory is None else requests.memory
    words.implied["memory_request"] = asked or 0
    words.implied["oom_score_adj"] = kubelet_oom_score_adj(requests, limits, node.memory_bytes)
    return words


def _docker(group: Group, node: Node) -> Words:
    return Words() if group.docker is None else said_by_docker(group.docker, node)


def _systemd(group: Group, node: Node) -> Words:
    return Words() if group.systemd is None else said_by_systemd(group.systemd, node)


_DIALECTS: Final[Mapping[str, Callable[[Group, Node], Words]]] = {
    "": _own,
    "limits": _kubernetes,
    "docker": _docker,
    "systemd": _systemd,
}
"""Who may say something of a group, by the key that it is written under."""


def _asked(group: Group) -> tuple[Asked, Asked]:
    return (group.requests or Resources()).asked(), (group.limits or Resources()).asked()


def _check_request(group: Group, name: str, document: Document) -> None:
    requests, limits = _asked(group)
    if requests.memory is None or limits.memory is None or requests.memory <= limits.memory:
        return
    message = (
        f"{format_bytes(requests.memory)} is more than the limit, "
        f"{format_bytes(limits.memory)}; Kubernetes refuses that: lower it"
    )
    raise document.error(("groups", name, "requests", "memory"), message)
