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
    """Return what each group held at the end and at most, its limit, and what it met.

    The working set is told where it is not all of it, and pressure where there was any.
    """
    sizes = ["current", "peak"]
    if any(group["inactive_file_bytes"] for group in groups.values()):
        sizes.append("working_set")
    stalled = any(group["psi_memory_some"] for group in groups.values())
    headings = [name.replace("_", " ") for name in sizes]
    headings += [f"{name} events" for name in _EVENTS]
    table = Table(("group", "limit", *headings, *(["pressure: some, full"] if stalled else [])))
    for name, group in groups.items():
        limit = group["max_bytes"]
        shares = (f"{group[f'psi_memory_{how}']:.2%}" for how in ("some", "full"))
        table.rows.append(
            (
                name if group["parent"] is None else f"{group['parent']}/{name}",
                "max" if limit is None else format_bytes(limit),
                *(format_bytes(group[f"{size}_bytes"]) for size in sizes),
                *(f"{group['events'][event]:,}" for event in _EVENTS),
                *([", ".join(shares)] if stalled else []),
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
    if kill.get("evicted"):
        left = format_bytes(kill["usage_bytes"])
        why = f"memory.available {left}, less than {limit}: evicted pod {kill['killed_with']}"
        who = f"killed process {kill['pid']} ({kill['process']})"
        return f"{format_duration(kill['t_ns'])}: {why}: {who}"
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
