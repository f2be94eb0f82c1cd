"""Control groups and kills of a run, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import format_bytes, format_duration
from sim.cli.tables import Table
from sim.machine.rules.cgroup import V1_FAILCNT, V1_MEMSW, cgroup_rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_KILLS: Final = 5
_EVENTS: Final = ("max", "oom", "oom_kill")
_EVENTS_OF_V1: Final = ("failcnt", "oom_kill")
_BEFORE: Final = ("low", "high")
_BEHIND: Final = ("oom_group_kill",)
"""Events that have a column where any occurred, before and behind the others."""
_PROTECTIONS: Final = ("low", "min")


def tables_of_groups(groups: Mapping[str, Mapping[str, Any]], version: str = "v2") -> list[Table]:
    """Return what each group held at the end and at most, beside its limits; and what it met.

    Of version 1, that is the refused charges of `memory.failcnt` and the kills.  What of a group
    was on the swap device is a table of its own, where anything was, or was to be.

    What no group has set is left out; so is the working set where it is all of what a group holds,
    and pressure where there was none.
    """
    rules = cgroup_rules(version)
    swapped = any(
        group.get("swap_peak_bytes") or group["events"].get("swap_fail")
        for group in groups.values()
    )
    return [
        _memory(groups),
        *([_swap(groups, rules)] if swapped else []),
        _met(groups, rules),
    ]


def _memory(groups: Mapping[str, Mapping[str, Any]]) -> Table:
    limits = [
        name
        for name in ("max", "high", *_PROTECTIONS)
        if name == "max" or any(group[f"{name}_bytes"] != _unset(name) for group in groups.values())
    ]
    sizes = ["current", "peak"]
    if any(group["inactive_file_bytes"] for group in groups.values()):
        sizes.append("working_set")
    table = Table(("group", *limits, *(name.replace("_", " ") for name in sizes)))
    for name, group in groups.items():
        told = (group[f"{limit}_bytes"] for limit in limits)
        table.rows.append(
            (
                _named(name, group),
                *("max" if size_bytes is None else format_bytes(size_bytes) for size_bytes in told),
                *(format_bytes(group[f"{size}_bytes"]) for size in sizes),
            )
        )
    return table


def _swap(groups: Mapping[str, Mapping[str, Any]], rules: int) -> Table:
    """Return what of each group was swapped out; version 1 limits it together with memory."""
    both = bool(rules & V1_MEMSW)
    limit, heading = ("memsw_bytes", "memory+swap max") if both else ("swap_max_bytes", "max")
    sizes = ("swap_bytes", "swap_peak_bytes")
    table = Table(
        (
            "swap of group",
            heading,
            "current",
            "peak",
            *(() if both else ("refused at max",)),
            "fail",
        )
    )
    for name, group in groups.items():
        most, events = group[limit], group["events"]
        table.rows.append(
            (
                _named(name, group),
                "max" if most is None else format_bytes(most),
                *(format_bytes(group[size]) for size in sizes),
                *(() if both else (f"{events['swap_max']:,}",)),
                f"{events['swap_fail']:,}",
            )
        )
    return table


def _met(groups: Mapping[str, Mapping[str, Any]], rules: int) -> Table:
    always = _EVENTS_OF_V1 if rules & V1_FAILCNT else _EVENTS
    events = [
        name
        for name in (*_BEFORE, *always, *_BEHIND)
        if name in always or any(group["events"][name] for group in groups.values())
    ]
    slept = any(group["high_sleeps"] for group in groups.values())
    stalled = any(group["psi_memory_some"] for group in groups.values())
    headings = ["sleeps: times, in all"] if slept else []
    headings += ["pressure: some, full"] if stalled else []
    table = Table(("events in group", *events, *headings))
    for name, group in groups.items():
        shares = (f"{group[f'psi_memory_{how}']:.2%}" for how in ("some", "full"))
        sleeps = f"{group['high_sleeps']:,}, {format_duration(group['high_slept_ns'])}"
        table.rows.append(
            (
                _named(name, group),
                *(f"{group['events'][event]:,}" for event in events),
                *([sleeps] if slept else []),
                *([", ".join(shares)] if stalled else []),
            )
        )
    return table


def _named(name: str, group: Mapping[str, Any]) -> str:
    return name if group["parent"] is None else f"{group['parent']}/{name}"


def _unset(limit: str) -> int | None:
    """Return what a limit is where nothing was said of it."""
    return 0 if limit in _PROTECTIONS else None


def lines_of_kills(kills: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each of the first kills, with what dmesg says of one."""
    lines = [_line(kill) for kill in kills[:_MOST_KILLS]]
    if len(kills) > _MOST_KILLS:
        lines.append(f"and {len(kills) - _MOST_KILLS:,} more: see `kills` in --json")
    return lines


def _line(kill: Mapping[str, Any]) -> str:
    group = kill["limit_of"]
    limit = format_bytes(kill["limit_bytes"])
    both = " of memory and swap" if kill.get("of_memory_and_swap") else ""
    why = f"group {group} at its limit of {limit}{both}" if group else f"out of memory ({limit})"
    if kill.get("evicted"):
        left = format_bytes(kill["usage_bytes"])
        why = f"memory.available {left}, less than {limit}: evicted pod {kill['killed_with']}"
        who = f"killed process {kill['pid']} ({kill['process']})"
        return f"{format_duration(kill['t_ns'])}: {why}: {who}"
    together = kill["killed_with"]
    if together is not None and kill["badness_pages"] is None:
        why = f"with the rest of group {together}"
    if parent := kill.get("in_place_of"):
        why += f", in place of its parent {parent}"
    held = ", ".join(
        f"{name} {format_bytes(kill[f'{key}_bytes'])}"
        for name, key in (
            ("total-vm", "total_vm"),
            ("anon-rss", "anon_rss"),
            ("file-rss", "file_rss"),
            ("shmem-rss", "shmem_rss"),
            ("pgtables", "page_tables"),
        )
    )
    return (
        f"{format_duration(kill['t_ns'])}: {why}: killed process {kill['pid']} "
        f"({kill['process']}), {held}, oom_score_adj {kill['oom_score_adj']}; "
        f"asked by {kill['asked_by']}"
    )
