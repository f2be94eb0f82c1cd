"""Groups of which a scenario has several, each with its own copy of the processes in it.

A group with ``replicas: 3`` is three groups, ``pod.1`` to ``pod.3``; so is each group in it, and
each process of theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


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
    suffixes = suffixes_of(groups)
    for name, group in groups.items():
        each = len(suffixes[name]) // len(suffixes[group["parent"]])
        for number, suffix in enumerate(suffixes[name]):
            within = suffixes[group["parent"]][number // each]
            parent = None if group["parent"] is None else f"{group['parent']}{within}"
            yield f"{name}{suffix}", parent, group


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
