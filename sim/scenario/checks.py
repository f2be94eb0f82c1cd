"""What cannot be: machines, runs and processes whose parts contradict each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.text import shorten
from sim.base.units import format_bytes, format_duration
from sim.engine.replicas import groups_around, how_many
from sim.machine.rules import rules_of
from sim.machine.rules.pages import R_FOLIO_SIZES
from sim.machine.rules.pressure import R_MGLRU
from sim.scenario.complaints import suggestion
from sim.scenario.devices import check_latency
from sim.scenario.hosts import most_huge_pages
from sim.scenario.swap import check_swap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.scenario.document import Document

MOST_PROCESSES: Final = 100_000


def check_host(host: Mapping[str, Any], document: Document) -> None:
    """Refuse a machine that cannot exist, or one whose features are not simulated."""
    memory, reserve, min_free = host["memory"], host["kernel_reserve"], host["min_free"]
    if reserve >= memory:
        raise document.error(
            ("host", "kernel_reserve"),
            f"{format_bytes(reserve)} is all of the memory ({format_bytes(memory)}); "
            "lower it, or leave it out",
        )
    free = memory - reserve
    if min_free >= free:
        raise document.error(
            ("host", "min_free"),
            f"{format_bytes(min_free)} is all that the kernel leaves ({format_bytes(free)}); "
            "lower it, or leave it out",
        )
    in_zones = sum(zone["memory"] for zone in host["zones"])
    if in_zones != memory:
        raise document.error(
            ("host", "zones"),
            f"the zones add up to {in_zones} B, but memory is {memory} B; make them equal",
        )
    names = [zone["name"] for zone in host["zones"]]
    if len(set(names)) < len(names):
        raise document.error(("host", "zones"), "two zones have one name; rename one of them")
    if host["percpu_high"] < host["percpu_batch"]:
        raise document.error(
            ("host", "percpu_high"),
            f"{host['percpu_high']} is less than one batch; write at least {host['percpu_batch']}",
        )
    most = most_huge_pages(host)
    if host["nr_hugepages"] > most:
        raise document.error(
            ("host", "nr_hugepages"),
            f"{host['nr_hugepages']} pages of 2 MiB do not fit: above the watermarks there is room "
            f"for {most}; lower it, or raise `memory`",
        )
    if host["thp_sizes"] and not rules_of(host["kernel"]) & R_FOLIO_SIZES:
        message = f'Linux {host["kernel"]} has no such folios; write `kernel: "6.8"` or later'
        raise document.error(("host", "thp_sizes"), message)
    if host["lru"] == "mglru" and not rules_of(host["kernel"]) & R_MGLRU:
        message = f'Linux {host["kernel"]} has no MGLRU; leave it out, or write `kernel: "6.1"`'
        raise document.error(("host", "lru"), message)
    if host["khugepaged"] and host["thp"] == "never":
        message = "it rests where there are no huge pages; set `thp: madvise` or `always`"
        raise document.error(("host", "khugepaged"), message)
    check_latency(host["disk"], "disk", document)
    if host["swap"]:
        check_latency(host["swap_device"], "swap", document)
    check_swap(host, document)


def check_zeroing(policy: Mapping[str, Any], host: Mapping[str, Any], document: Document) -> None:
    """Refuse zeroing apart from faults where there are large folios, of which it has no price."""
    if policy["zeroing"] in ("demand", "eager"):
        return
    if host["thp"] != "never" or host["thp_sizes"] or host["nr_hugepages"]:
        message = (
            "zeroing of huge pages apart from faults is not simulated; set `thp: never` and leave "
            "`thp_sizes` and `nr_hugepages` out, or write `demand`"
        )
        raise document.error(("policy", "zeroing"), message)


def check_run(run: Mapping[str, Any], document: Document) -> None:
    """Refuse a run in which nothing is measured."""
    horizon = run["horizon"]
    if horizon is not None and run["warmup"] >= horizon:
        raise document.error(
            ("run", "warmup"),
            f"{format_duration(run['warmup'])} leaves nothing of the horizon "
            f"({format_duration(horizon)}) to measure; shorten it",
        )


def check_end(
    processes: Mapping[str, Mapping[str, Any]],
    run: Mapping[str, Any],
    programs: Mapping[str, Any],
    document: Document,
) -> None:
    """Refuse a run without an end: a program that serves for ever, and no horizon."""
    if run["horizon"] is not None:
        return
    for name, process in processes.items():
        if getattr(programs[process["program"]], "program_endless", False):
            raise document.error(
                ("processes", name),
                f"{process['program']} has no end of its own; give the run one, as in "
                "`run: {horizon: 60 s}`",
            )


def check_scheduler(
    policy: Mapping[str, Any], schedulers: Sequence[str], document: Document
) -> None:
    """Refuse a scheduler that nobody has written."""
    kind = policy["scheduler"]["kind"]
    if kind not in schedulers:
        raise document.error(
            ("policy", "scheduler", "kind"),
            f"no scheduler called {shorten(kind)!r}; {suggestion(kind, list(schedulers))}",
        )


def check_processes(
    processes: Mapping[str, Mapping[str, Any]],
    groups: Mapping[str, Mapping[str, Any]],
    host: Mapping[str, Any],
    run: Mapping[str, Any],
    document: Document,
) -> None:
    """Refuse processes that could never run on this host, or in this time."""
    total = sum(how_many(process, groups) for process in processes.values())
    if total > MOST_PROCESSES:
        raise document.error(
            ("processes",), f"{total:,} processes; start at most {MOST_PROCESSES:,}"
        )
    for name, process in processes.items():
        path = ("processes", name)
        cpu, cpus = process["cpu"], host["cpus"]
        if cpu is not None and cpu >= cpus:
            raise document.error(
                (*path, "cpu"),
                f"there is no CPU {cpu}; with {cpus} of them, write 0 to {cpus - 1}",
            )
        if run["horizon"] is not None and process["start"] >= run["horizon"]:
            raise document.error(
                (*path, "start"),
                f"{format_duration(process['start'])} is not before the end of the run "
                f"({format_duration(run['horizon'])}); start it earlier",
            )
        _check_start(name, process, groups, run["horizon"], document)


def _check_start(
    name: str,
    process: Mapping[str, Any],
    groups: Mapping[str, Mapping[str, Any]],
    horizon_ns: int | None,
    document: Document,
) -> None:
    """Refuse random starts of a process, and of groups it is in, some of which were too late."""
    within_ns = {("processes", name): process.get("start_within", 0)}
    for group in groups_around(process["group"], groups):
        within_ns["groups", group] = groups[group].get("start_within", 0)
    latest_ns = process["start"] + sum(within_ns.values())
    if horizon_ns is None or latest_ns <= horizon_ns:
        return
    blamed = max(within_ns, key=lambda path: within_ns[path])
    who = "some" if blamed[0] == "processes" else f"some of {name}"
    raise document.error(
        (*blamed, "start_within"),
        f"{who} would start at {format_duration(latest_ns)}, and the run ends at "
        f"{format_duration(horizon_ns)}; write a shorter time",
    )
