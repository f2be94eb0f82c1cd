"""Control groups in words: their limits, who is in them, and what happens at the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.base.units import format_bytes
from sim.engine.conditions import group_conditions
from sim.engine.replicas import suffixes_of
from sim.scenario.explain.section import Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def groups_section(resolved: Mapping[str, Any]) -> Section | None:
    """Return what each group may hold; None where there are none."""
    groups = resolved["groups"]
    if not groups:
        return None
    lines = [(name, _text(name, resolved)) for name in groups]
    lines.append(
        (
            "charged",
            "pages to whoever touches them first, page tables, kernel stacks, kernel objects; in "
            "batches of 64 for each CPU",
        )
    )
    lines += [(each.where, each.what) for each in group_conditions(groups)]
    return Section("Control groups", tuple(lines))


def _text(name: str, resolved: Mapping[str, Any]) -> str:
    group = resolved["groups"][name]
    inside = ", ".join(who for who, p in resolved["processes"].items() if p["group"] == name)
    parent = f", in {group['parent']}" if group["parent"] else ""
    if group["replicas"] > 1:
        parent += f", {group['replicas']} of them"
    said = f"{inside or 'nobody of its own'}{parent}; "
    if group["memory_max"] is None:
        return f"{said}no limit of its own"
    kill = "all in it are killed" if group["oom_group"] else "one in it is killed"
    each = "each " if len(suffixes_of(resolved["groups"])[name]) > 1 else ""
    return (
        f"{said}{each}at most {format_bytes(group['memory_max'])}: then clean pages of files are "
        f"dropped, and if there are none {kill}"
    )


def limits_of(
    name: str | None, groups: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, int]]:
    """Yield the groups with a limit that a process of group `name` is in, and their limits."""
    at = name
    while at is not None:
        if groups[at]["memory_max"] is not None:
            yield at, groups[at]["memory_max"]
        at = groups[at]["parent"]
