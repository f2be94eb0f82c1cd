"""Limits and protections of control groups that cannot do what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import format_bytes
from sim.engine.replicas import groups_around

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEYS: Final = ("memory_low", "memory_min")
MOST_MISSED: Final = 0.01
"""How much above its room something must be not to fit: what a host has for data is within 1 %."""
_ALL: Final = 1 << 62
"""In place of ``max``: all that a group holds."""


def vain_limits(
    groups: Mapping[str, Mapping[str, Any]],
    alike: Mapping[str | None, int],
    held: Mapping[str, int],
    room_bytes: int,
) -> Iterator[tuple[str, str]]:
    """Yield what to warn of: a label and a sentence.

    `alike` is how many there are of each group; `held` is what the processes of each, and of those
    in it, hold at least, in bytes; `room_bytes` is what the host has for data.
    """
    for name, group in groups.items():
        yield from _above_host(name, groups, room_bytes)
        yield from _high(name, group, held.get(name, 0))
        for key in KEYS:
            if _bytes(group[key]) > 0:
                yield from _beyond_limits(name, group, key)
                yield from _beyond_parent(name, groups, alike, key)
    promised = sum(
        alike[name] * _bytes(group["memory_min"], held.get(name, 0))
        for name, group in groups.items()
        if group["parent"] is None
    )
    if promised > room_bytes:
        yield (
            "too much is protected",
            f"groups have {format_bytes(promised)} of memory_min together, and the host has "
            f"{format_bytes(room_bytes)} for data: once they use it, reclaim finds nothing and "
            "somebody is killed",
        )


def _bytes(size_bytes: int | None, everything: int = _ALL) -> int:
    return everything if size_bytes is None else size_bytes


def _above_host(
    name: str, groups: Mapping[str, Mapping[str, Any]], room_bytes: int
) -> Iterator[tuple[str, str]]:
    """Yield limits that no group can come to: the host is short of memory before."""
    most = (1 + MOST_MISSED) * room_bytes
    around = [groups[outer]["memory_max"] for outer in groups_around(name, groups)][1:]
    if any(limit is not None and limit <= most for limit in around):
        return
    for key in ("memory_high", "memory_max"):
        limit = groups[name][key]
        if limit is not None and limit > most:
            yield (
                f"{key} of group {name} is never reached",
                f"it is {format_bytes(limit)}, and the host has {format_bytes(room_bytes)} for "
                "data: the host is short of memory first, and a kill there may take any of its "
                f"processes; lower groups.{name}.{key}, or raise host.memory",
            )


def _high(name: str, group: Mapping[str, Any], held_bytes: int) -> Iterator[tuple[str, str]]:
    high, limit = group["memory_high"], group["memory_max"]
    if high is None:
        return
    if limit is not None and limit <= high:
        yield (
            f"group {name} is killed before it is slowed down",
            f"memory_high, {format_bytes(high)}, is not below memory_max, {format_bytes(limit)}: "
            "lower it, or take it out",
        )
    elif held_bytes > high:
        yield (
            f"group {name} is slowed down for good",
            f"its processes hold {format_bytes(held_bytes)} of data at least, and memory_high is "
            f"{format_bytes(high)}: they sleep, up to 2 s for each 256 KiB; raise "
            f"groups.{name}.memory_high",
        )


def _beyond_limits(name: str, group: Mapping[str, Any], key: str) -> Iterator[tuple[str, str]]:
    """Yield protections that the group's own limits keep it from using."""
    for limit in ("memory_high", "memory_max"):
        bound = group[limit]
        if bound is not None and group[key] is not None and group[key] > bound:
            yield (
                f"{key} of group {name} is above its {limit}",
                f"{format_bytes(group[key])} are protected from others, but the group's own limit, "
                f"{format_bytes(bound)}, keeps it below that: lower {key}",
            )
            return


def _beyond_parent(
    name: str, groups: Mapping[str, Mapping[str, Any]], alike: Mapping[str | None, int], key: str
) -> Iterator[tuple[str, str]]:
    """Yield protections that the group around does not have to give."""
    parent = groups[name]["parent"]
    if parent is None:
        return
    given = _bytes(groups[parent][key])
    claimed = sum(
        alike[other] // alike[parent] * _bytes(group[key])
        for other, group in groups.items()
        if group["parent"] == parent
    )
    if given == 0:
        yield (
            f"{key} of group {name} holds within {parent} alone",
            f"{parent} has none, so that it protects {name} when {parent} is at its own limit, and "
            f"not when the machine is short: set groups.{parent}.{key}",
        )
    elif claimed > given:
        yield (
            f"{key} of group {name} may be less",
            f"the groups in {parent} claim more than the {format_bytes(given)} that it has: when "
            "they use it all, each gets its share",
        )
