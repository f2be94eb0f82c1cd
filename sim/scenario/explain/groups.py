"""Control groups in words: their limits, who is in them, and what happens at the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import PAGE_BYTES, S, format_bytes, format_duration
from sim.engine.conditions import group_conditions, release_conditions
from sim.engine.replicas import groups_around, suffixes_of
from sim.machine.rules import rules_of
from sim.machine.rules.cgroup import V1_MEMSW, cgroup_rules
from sim.machine.rules.pressure import R_HIGH_SLEEPS
from sim.scenario.explain.section import Section

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ABOVE_PERCENT: Final = (2, 5, 10)
"""Where the price of being above `memory_high` is told."""

_PROTECTED: Final = {
    "low": "reclaim spares {} of it while there is anything else",
    "min": "reclaim never takes {} of it: somebody is killed first",
}


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
    if (eviction := resolved["policy"]["eviction"]) is not None:
        lines.append(("kubelet", _evicts(eviction["memory_available"])))
    told = (*group_conditions(groups), *release_conditions(resolved))
    lines += [(each.where, each.what) for each in told]
    return Section("Control groups", tuple(lines))


def _text(name: str, resolved: Mapping[str, Any]) -> str:
    group = resolved["groups"][name]
    inside = ", ".join(who for who, p in resolved["processes"].items() if p["group"] == name)
    parent = f", in {group['parent']}" if group["parent"] else ""
    if group["replicas"] > 1:
        parent += f", {group['replicas']} of them"
    each = "each " if len(suffixes_of(resolved["groups"])[name]) > 1 else ""
    said = [f"{inside or 'nobody of its own'}{parent}"]
    if group.get("start_within"):
        when = f"within {format_duration(group['start_within'])}"
        said.append(f"{each}starts as one, at a random time {when}")
    swapped = _swapped(name, resolved)
    if resolved["policy"]["eviction"] is not None:
        asked = format_bytes(group["memory_request"] or 0)
        said.append(f"requests {asked}, priority {group['priority']}")
    if group["memory_max"] is None:
        said.append("no limit of its own")
    else:
        kill = "all in it are killed" if group["oom_group"] else "one in it is killed"
        said.append(
            f"{each}at most {format_bytes(group['memory_max'])}: then clean pages of files are "
            f"dropped{swapped}, and if {_lacking(swapped)} {kill}"
        )
    if group["swappiness"] is not None and resolved["host"]["swap"]:
        said.append(f"swappiness {group['swappiness']}, not the host's")
    if group["memory_high"] is not None:
        said.append(_high(group["memory_high"], resolved["host"], swapped))
    said += [
        what.format(_size(group[f"memory_{key}"]))
        for key, what in _PROTECTED.items()
        if group[f"memory_{key}"] != 0
    ]
    return "; ".join(said)


def _swapped(name: str, resolved: Mapping[str, Any]) -> str:
    """Say that pages of a group are swapped out, and how many at most; nothing where none are."""
    host, groups = resolved["host"], resolved["groups"]
    around = [groups[outer] for outer in groups_around(name, groups)]
    own = around[0]["swappiness"]
    if not host["swap"] or (host["swappiness"] if own is None else own) == 0:
        return ""
    if cgroup_rules(host["cgroup"]) & V1_MEMSW:
        return _swapped_by_v1(around)
    limits = [group["swap_max"] for group in around if group["swap_max"] is not None]
    if not limits:
        return ", others swapped out"
    return f", others swapped out ({format_bytes(min(limits))} at most)" if min(limits) else ""


def _swapped_by_v1(around: Sequence[Mapping[str, Any]]) -> str:
    """Say the same of version 1, which limits memory and swap together (`memory.memsw`)."""
    both = [
        group["memory_max"] + group["swap_max"]
        for group in around
        if group["memory_max"] is not None and group["swap_max"] is not None
    ]
    if not both:
        return ", others swapped out"
    most = around[0]["memory_max"]
    if most is not None and min(both) <= most:  # at its limit it is at that of both
        return ""
    return f", others swapped out (memory and swap together at most {format_bytes(min(both))})"


def _lacking(swapped: str) -> str:
    return "there is no room for them" if swapped else "there are none"


def _evicts(available_bytes: int) -> str:
    """Say when the kubelet ends a pod, and which."""
    # loads compiled code, as below
    from sim.engine.eviction import MONITORING_NS

    return (
        f"looks every {format_duration(MONITORING_NS)}, and where memory.available is below "
        f"{format_bytes(available_bytes)} ends a pod: one above its request first, then the lowest "
        "priority, then the one furthest above its request"
    )


def _high(high_bytes: int, host: Mapping[str, Any], swapped: str) -> str:
    """Say what it costs to hold more than `memory_high`, by the formula of the kernel."""
    above = (
        f"above {format_bytes(high_bytes)} nobody is killed, but for who takes more clean pages of "
        f"files are dropped{swapped}"
    )
    if not rules_of(host["kernel"]) & R_HIGH_SLEEPS:
        return f"{above}, and that is all (from Linux 5.4 on it sleeps if that is no help)"
    # loads compiled code, which the rest of `explain` does without
    from sim.kernel.reclaim.high import calculate_high_delay, calculate_overage
    from sim.machine.layout import STOCK_PAGES

    high_pages, hz = high_bytes // PAGE_BYTES, host["hz"]
    slept = []
    for percent in _ABOVE_PERCENT:
        overage = calculate_overage(high_pages * (100 + percent) // 100, high_pages)
        jiffies = calculate_high_delay(overage, STOCK_PAGES, hz)
        if jiffies > hz // 100:
            slept.append(f"{format_duration(jiffies * S // hz)} at {percent} % more")
    times = f" ({', '.join(slept)})" if slept else ""
    return (
        f"{above}, and if {_lacking(swapped)} it sleeps for each "
        f"{format_bytes(STOCK_PAGES * PAGE_BYTES)}{times}"
    )


def _size(size_bytes: int | None) -> str:
    return "all" if size_bytes is None else format_bytes(size_bytes)
