"""Groups of which a scenario has several, each with its own copy of the processes in it.

A group with ``replicas: 3`` is three groups, ``pod.1`` to ``pod.3``; so is each group in it, and
each process of theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def suffixes_of(groups: Mapping[str, Mapping[str, Any]]) -> dict[str | None, list[str]]:
    """Return what stands behind the name of each group, once a replica; None is the machine.

    >>> suffixes_of({"pod": {"parent": None, "replicas": 2}, "app": {"parent": "pod"}})
    {None: [''], 'pod': ['.1', '.2'], 'app': ['.1', '.2']}
    """
    found: dict[str | None, list[str]] = {None: [""]}
    for name, group in groups.items():
        found[name] = list(_numbered(found[group["parent"]], group.get("replicas", 1)))
    return found


def _numbered(suffixes: list[str], count: int) -> Iterator[str]:
    """Yield each suffix `count` times, told apart by numbers if that is more than once."""
    for suffix in suffixes:
        for number in range(1, count + 1):
            yield suffix if count == 1 else f"{suffix}.{number}"


def replicated(
    groups: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[str, str | None, Mapping[str, Any]]]:
    """Yield each group of a resolved scenario: its name, that of the one it is in, what it is."""
    for name, own_name, parent, _ in _replicas(groups):
        yield own_name, parent, groups[name]


def _replicas(
    groups: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[str, str, str | None, int]]:
    """Yield each group: as what it is written, its name, that of the one it is in, its number."""
    suffixes = suffixes_of(groups)
    for name, group in groups.items():
        each = len(suffixes[name]) // len(suffixes[group["parent"]])
        for number, suffix in enumerate(suffixes[name]):
            within = suffixes[group["parent"]][number // each]
            parent = None if group["parent"] is None else f"{group['parent']}{within}"
            yield name, f"{name}{suffix}", parent, number % each + 1


def starts_of(
    groups: Mapping[str, Mapping[str, Any]], luck_of: Callable[[str, str], float]
) -> dict[str | None, int]:
    """Return how much later than they say the processes of each group start, in ns.

    A group with `start_within` draws once for each of its replicas, and all that is in a replica
    waits for it.  The draw goes by the group's name and the replica's number, without ones in front
    of it: so no draw changes if a group, or the one around it, is there twice instead of once.
    """
    starts_ns: dict[str | None, int] = {None: 0}
    numbers: dict[str | None, str] = {None: ""}
    for name, own_name, parent, number in _replicas(groups):
        whole = f"{numbers[parent]}.{number}".removeprefix(".")
        numbers[own_name] = "" if whole == "1" else whole
        within_ns: int = groups[name].get("start_within", 0)
        own_ns = int(within_ns * luck_of(name, numbers[own_name])) if within_ns else 0
        starts_ns[own_name] = starts_ns[parent] + own_ns
    return starts_ns


def names_of(
    name: str, process: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, str | None]]:
    """Return the processes that one of a resolved scenario stands for, each with its group."""
    group = process["group"]
    return [
        (f"{name}{numbered}", None if group is None else f"{group}{suffix}")
        for suffix in suffixes_of(groups)[group]
        for numbered in _numbered([suffix], process["copies"])
    ]


def how_many(process: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]]) -> int:
    """Return how many processes one of a resolved scenario stands for."""
    return int(process["copies"]) * len(suffixes_of(groups)[process["group"]])


def groups_around(name: str | None, groups: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the groups that a process of group `name` is in, the innermost first."""
    while name is not None:
        yield name
        name = groups[name]["parent"]
