"""Control groups and kills of a run, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import format_bytes, format_duration
from sim.cli.tables import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_KILLS: Final = 5
_EVENTS: Final = ("max", "oom", "oom_kill")


def table_of_groups(groups: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return what each group held at the end and at most, its limit, and what it met."""
    table = Table(("group", "limit", "current", "peak", *(f"{name} events" for name in _EVENTS)))
    for name, group in groups.items():
        limit = group["max_bytes"]
        table.rows.append(
            (
                name if group["parent"] is None else f"{group['parent']}/{name}",
                "max" if limit is None else format_bytes(limit),
                format_bytes(group["current_bytes"]),
                format_bytes(group["peak_bytes"]),
                *(f"{group['events'][event]:,}" for event in _EVENTS),
            )
        )
    return table


def lines_of_kills(kills: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each of the first kills, with what dmesg says of one."""
    lines = [_line(kill) for kill in kills[:_MOST_KILLS]]
    if len(kills) > _MOST_KILLS:
        lines.append(f"and {len(kills) - _MOST_KILLS:,} more: see `kills` in --json")
    return lines


def _line(kill: Mapping[str, Any]) -> str:
    group = kill["limit_of"]
    limit = format_bytes(kill["limit_bytes"])
    why = f"group {group} at its limit of {limit}" if group else f"out of memory ({limit})"
    together = kill["killed_with"]
    if together is not None and kill["badness_pages"] is None:
        why = f"with the rest of group {together}"
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
