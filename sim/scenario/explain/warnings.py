"""What will go wrong if a scenario is run as it stands, as far as that can be said before."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from sim.base.units import PAGE_BYTES, format_bytes, format_duration
from sim.engine.replicas import groups_around, how_many, suffixes_of
from sim.scenario.explain.protection import MOST_MISSED, vain_limits
from sim.scenario.explain.section import Section
from sim.scenario.forms.host import data_pages
from sim.scenario.forms.outlook import outlook_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sim.scenario.forms.outlook import Outlook


def warnings_section(
    resolved: Mapping[str, Any], programs: Mapping[str, Callable[..., Any]]
) -> Section | None:
    """Return what bars an answer: a horizon too near, a host too small, too much load; or None."""
    known = {
        name: outlook_of(process, programs[process["program"]])
        for name, process in resolved["processes"].items()
    }
    lines = (*_horizon(resolved, known), *_memory(resolved, known), *_load(resolved, known))
    return Section("Warnings", lines) if lines else None


def _horizon(
    resolved: Mapping[str, Any], known: Mapping[str, Outlook]
) -> Iterator[tuple[str, str]]:
    horizon_ns = resolved["run"]["horizon"]
    for name, outlook in known.items():
        end_ns = resolved["processes"][name]["start"] + outlook.lasts_ns
        if horizon_ns is not None and end_ns > horizon_ns:
            yield (
                f"{name} is cut off",
                f"it ends after {format_duration(end_ns)} at the earliest, and the horizon is "
                f"{format_duration(horizon_ns)}: leave run.horizon out, or make it longer",
            )


def _memory(resolved: Mapping[str, Any], known: Mapping[str, Outlook]) -> Iterator[tuple[str, str]]:
    room = data_pages(resolved["host"]) * PAGE_BYTES
    for name, outlook in known.items():
        process = resolved["processes"][name]
        data = outlook.data_bytes * how_many(process, resolved["groups"])
        if data > (1 + MOST_MISSED) * room:
            yield (
                f"{name} does not fit",
                f"it holds {format_bytes(data)} of data at least, and the host has "
                f"{format_bytes(room)} for data: raise host.memory",
            )
    held: Counter[str] = Counter()
    groups = resolved["groups"]
    alike = {name: len(suffixes) for name, suffixes in suffixes_of(groups).items()}
    for name, outlook in known.items():
        process = resolved["processes"][name]
        for group in groups_around(process["group"], groups):
            held[group] += outlook.data_bytes * (how_many(process, groups) // alike[group])
    for group in held:
        limit = groups[group]["memory_max"]
        if limit is not None and held[group] > limit:
            yield (
                f"group {group} is too small",
                f"its processes hold {format_bytes(held[group])} of data at least, and its limit "
                f"is {format_bytes(limit)}: raise groups.{group}.memory_max",
            )
    yield from vain_limits(groups, alike, held, room)


def _load(resolved: Mapping[str, Any], known: Mapping[str, Outlook]) -> Iterator[tuple[str, str]]:
    cpus = resolved["host"]["cpus"]
    total = 0.0
    for name, outlook in known.items():
        process = resolved["processes"][name]
        total += outlook.cpus * how_many(process, resolved["groups"])
        usable = 1 if process["cpu"] is not None else cpus
        threads = usable if outlook.threads is None else min(usable, outlook.threads)
        if outlook.cpus > threads and (outlook.cpus <= cpus or threads < cpus):
            yield (
                f"{name} is overloaded",
                f"its requests are {outlook.cpus:.3g} CPUs of work, besides faults, and it can use "
                f"{threads}: lower its load",
            )
    if total > cpus:
        yield (
            "the CPUs are overloaded",
            f"requests are {total:.3g} CPUs of work, besides faults, and there are {cpus}: lower "
            "the load, or raise host.cpus",
        )
