"""What a run ran short of: whom the killer took and by which limit, what was refused."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from sim.base.counts import counted
from sim.base.units import PAGE_BYTES, format_bytes, format_duration
from sim.engine.endings import BAD_ENDINGS, CRITICAL
from sim.engine.finding import Finding
from sim.engine.names import kind_of
from sim.engine.replicas import replicated
from sim.machine.layout import HUGE_PAGES
from sim.machine.rules import rules_of
from sim.machine.rules.limits import R_GUESS_TOTAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SHORT: Final = ("promise", "memory", "hugetlb", "group")
"""What refuses a call because there is not enough; one that wants other addresses may get them."""

SLEPT: Final = ("high_sleeps", "high_slept_ns")
"""How often, and for how long, tasks slept because a group was above `memory.high`."""

REMEDIES: Final = {
    "argument": "mend the program: the call is not valid",
    "mode 0": "give the host more memory: one request is larger than it (or set "
    "`host.overcommit: {mode: 1}`)",
    "guess": "have more memory free: before Linux 5.2 no request may be larger than free memory "
    "and page cache at that moment, less a reserve (or set `host.overcommit: {mode: 1}`)",
    "mode 2": "raise CommitLimit (`host.overcommit: {mode: 2, ratio: ...}`, host.memory), or set "
    "`host.overcommit: {mode: 1}`",
    "limit": "map less at a time, or elsewhere",
    "memory": "give the host more memory",
    "group": "raise memory_max of the groups that have pages on the swap device",
    "hugetlb": "raise `host.nr_hugepages` (vm.nr_hugepages), or map less of it",
}
"""What helps against a refusal."""


def ended_badly(document: Mapping[str, Any], scenario: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what was killed, by which limit, and what crashed."""
    for how, (code, what, remedy) in BAD_ENDINGS.items():
        if how == "evicted" and _others_to_evict(scenario):
            remedy += ", or give the pod a larger request (requests.memory): another goes then"
        if how != "oom-killed":
            names = [p["name"] for p in document["processes"] if p["ended"] == how]
            for where, count in _kinds(names).items():
                told = _evicted_at(document, where) if how == "evicted" else ""
                yield Finding(code, "error", what + told, where, remedy, count)
    limits = {kill["pid"]: kill for kill in document.get("kills", ())}
    killed: dict[tuple[str | None, int | None], list[str]] = {}
    for process in document["processes"]:
        if process["ended"] == "oom-killed":
            kill = limits.get(process.get("pid"), {"limit_of": None})
            both_bytes = kill["limit_bytes"] if kill.get("of_memory_and_swap") else None
            killed.setdefault((kill["limit_of"], both_bytes), []).append(process["name"])
    for (group, both_bytes), names in killed.items():
        _, what, remedy = BAD_ENDINGS["oom-killed"]
        if group is not None:
            limit = document["groups"][group]["max_bytes"]
            what = f"killed because group {group} was at its limit, {format_bytes(limit)}"
            key = f"groups.{kind_of(group)}.memory_max"
            if both_bytes is not None:
                what = (
                    f"killed because group {group} was at its limit of memory and swap together, "
                    f"{format_bytes(both_bytes)}"
                )
                key += " or swap_max"
            elif _is_pod(scenario, group):
                key += " (limits.memory, where that sets it)"
            remedy = f"raise {key}, or let fewer processes use it"
        for where, count in _kinds(names).items():
            yield Finding("killed", "error", what, where, remedy, count)


def _evicted_at(document: Mapping[str, Any], where: str) -> str:
    """Say how much memory was left when the kubelet first ended a process, or one of a kind."""
    times = [
        kill
        for kill in document.get("kills", ())
        if kill.get("evicted") and where in (kill["process"], kind_of(kill["process"]))
    ]
    if not times:
        return ""
    left, least = (format_bytes(times[0][f"{key}_bytes"]) for key in ("usage", "limit"))
    first = "first " if times[-1]["t_ns"] > times[0]["t_ns"] else ""
    return f" ({left}, less than {least}, {first}at {format_duration(times[0]['t_ns'])})"


def _is_pod(scenario: Mapping[str, Any], group: str) -> bool:
    """Whether a group has requests, as one has whose limit is `limits.memory`."""
    own: Mapping[str, Any] = scenario.get("groups", {}).get(kind_of(group), {})
    return own.get("memory_request") is not None


def _others_to_evict(scenario: Mapping[str, Any]) -> bool:
    """Whether the kubelet has a choice: more than one pod that it may end."""
    pods = [
        group
        for _, _, group in replicated(scenario.get("groups", {}))
        if group.get("memory_request") is not None and group["priority"] < CRITICAL
    ]
    return len(pods) > 1


def _kinds(names: Iterable[str]) -> dict[str, int]:
    """Return how many of each kind of process there are; one alone by its own name."""
    names = list(names)
    counts = Counter(kind_of(name) for name in names)
    alone = {kind_of(name): name for name in names}
    return {alone[kind] if n == 1 else kind: n for kind, n in counts.items()}


def refused(document: Mapping[str, Any], scenario: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield refusals; one that its program handled matters only where it is about memory."""
    mode = scenario["host"]["overcommit"]["mode"]
    for refusal in document["evidence"]["refusals"]:
        fatal = refusal["failed"] > 0
        if not fatal and refusal["by"] not in SHORT:
            continue
        end = "the process ended" if fatal else "the process went on without"
        by = _by(refusal, scenario["host"])
        what = f"{refusal['call']} was refused with {refusal['errno']} {by}; {end}"
        key = refusal["by"]
        if key == "promise":
            guess = mode == 0 and not rules_of(scenario["host"]["kernel"]) & R_GUESS_TOTAL
            key = "guess" if guess else f"mode {mode}"
        remedy = REMEDIES[key]
        yield Finding("refused", "error", what, refusal["process"], remedy, refusal["count"])


def _by(refusal: Mapping[str, Any], host: Mapping[str, Any]) -> str:
    """Say what a call was refused by, with what was promised then and how much may be."""
    at = f"at {format_duration(refusal['first_ns'])}"
    if refusal["by"] == "argument":
        return f"because {refusal.get('why', 'of its arguments')}, {at}"
    mode = host["overcommit"]["mode"]
    sizes = f"asked for {format_bytes(refusal['asked_bytes'])}, "
    if refusal["by"] == "group":
        return f"because a group was at its limit, and nobody in it was left to kill, {at}"
    if refusal["by"] == "hugetlb":  # which is outside of what is promised
        sizes += f"the pool has {format_bytes(host['nr_hugepages'] * HUGE_PAGES * PAGE_BYTES)}"
    else:
        sizes += (
            f"Committed_AS {format_bytes(refusal['committed_bytes'])}, "
            f"CommitLimit {format_bytes(refusal['commit_limit_bytes'])}"
        )
    by = {
        "promise": f"by overcommit accounting (vm.overcommit_memory {mode})",
        "limit": "because no addresses are free where they are wanted",
        "memory": "because no frames were free",
        "hugetlb": "because the pool has not as many huge pages left that nobody has reserved",
    }
    return f"{by[refusal['by']]}, {at} ({sizes})"


def need_cut_off(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the need, and that of each group, that somebody was killed or refused before."""
    evidence = document["evidence"]
    by_group = groups_out_of_memory(document)
    killed = sum(process["ended"] == "oom-killed" for process in document["processes"])
    evicted = sum(process["ended"] == "evicted" for process in document["processes"])
    reasons = [f"{killed:,} killed"] if killed else []
    reasons += [f"{evicted:,} evicted"] if evicted else []
    refusals = sum(
        refusal["count"] if refusal["by"] in SHORT else refusal["failed"]
        for refusal in evidence["refusals"]
        if refusal["by"] != "argument"
    )
    if refusals:
        reasons.append(f"{counted(refusals, 'call')} refused")
    waits = sum(evidence["memory_waits"].values())
    if waits:
        reasons.append(f"{counted(waits, 'wait')} for memory")
    if not reasons:
        return
    rest = besides_page_cache(document)
    least = document["metrics"]["memory_need_bytes"]["total"] if rest is None else rest
    besides = "" if rest is None else ", page cache left out,"
    remedy = "measure the need on a host with more memory"
    if by_group:
        remedy = f"measure it without a limit: set memory_max of {' and '.join(by_group)} to max"
    elif len(reasons) == 1 and refusals and {r["by"] for r in evidence["refusals"]} == {"hugetlb"}:
        remedy = "measure the need with more huge pages in the pool (`host.nr_hugepages`)"
    known = f"{least_words(document)} {format_bytes(least)}" if least else "not known"
    yield Finding(
        "need_cut_off",
        "error",
        f"the memory needed{besides} is {known}: {', '.join(reasons)}",
        "metrics.memory_need_bytes",
        remedy,
    )


def groups_out_of_memory(document: Mapping[str, Any]) -> list[str]:
    """Return the kinds of groups at whose own limit somebody was killed, or nobody could be.

    An event counts for all groups around as well: those have more only where they met a limit.
    """
    met = [kill["limit_of"] for kill in document.get("kills", ()) if kill["limit_of"] is not None]
    ooms: Counter[str] = Counter()
    for name, group in document.get("groups", {}).items():
        count = group.get("events", {}).get("oom", 0)
        ooms[name] += count
        if group.get("parent") is not None:
            ooms[group["parent"]] -= count
    return list(dict.fromkeys(kind_of(group) for group in (*met, *+ooms)))


def least_words(document: Mapping[str, Any]) -> str:
    """Return how a need that was cut off is told: ``more than`` its peak, or ``at least``.

    It is more where somebody was short of memory at the peak.  After the peak, or where the kubelet
    ended a pod or a promise was refused, the peak may be all that is needed.
    """
    held = document.get("evidence", {}).get("held", {})
    rest = besides_page_cache(document)
    short = held.get("short_bytes" if rest is None else "short_besides_page_cache_bytes", 0)
    if not short:
        return "at least"
    least = document["metrics"]["memory_need_bytes"]["total"] if rest is None else rest
    return "more than" if short >= least else "at least"


def is_room(metrics: Mapping[str, Any]) -> bool:
    """Return whether a run's peak is what there was room for: reclaim dropped something."""
    return bool(metrics.get("pages_stolen"))


def besides_page_cache(document: Mapping[str, Any]) -> float | None:
    """Return what was certainly in use besides page cache at some moment, in bytes.

    None where reclaim dropped nothing: the peak is the need then.  Else the most that the engine
    saw (`sim.engine.held`), or what was in use besides when all of it was most.
    """
    metrics = document["metrics"]
    if not is_room(metrics):
        return None
    need = metrics["memory_need_bytes"]
    held = document.get("evidence", {}).get("held", {})
    return float(max(need["total"] - need["page_cache"], held.get("besides_page_cache_bytes", 0)))


def peak_is_room(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield that page cache took what there was room for, where reclaim dropped some of it."""
    rest = besides_page_cache(document)
    if rest is None:
        return
    swap = document.get("swap") or {"stolen_pages": 0, "peak_bytes": 0}
    metrics = document["metrics"]
    dropped = metrics["pages_stolen"] - swap["stolen_pages"]
    did = [f"dropped {format_bytes(dropped * PAGE_BYTES)} of page cache"] if dropped else []
    remedy = (
        "take the figure without page cache as the least, or measure on a host with more memory"
    )
    more = ""
    if swap["stolen_pages"]:
        remedy = "measure what is needed on a host with more memory, where nothing is swapped out"
        zeros = swap.get("swpout_zero", 0)
        out = format_bytes((metrics["pages_swapped_out"] + zeros) * PAGE_BYTES)
        of_zeros = f" ({format_bytes(zeros * PAGE_BYTES)} of it zeros)" if zeros else ""
        did.append(f"swapped out {out}{of_zeros}")
        more = f", and up to {format_bytes(swap['peak_bytes'])} on the swap device"
        if zram := swap.get("zram_peak_bytes"):
            more += f", which took up to {format_bytes(zram)} of memory for it"
    need = metrics["memory_need_bytes"]
    peak = format_bytes(need["total"])
    when = ""
    if rest > need["total"] - need["page_cache"]:
        at_ns = document["evidence"]["held"]["besides_page_cache_ns"]
        when = f", at {format_duration(at_ns)}"
    yield Finding(
        "peak_is_room",
        "warning",
        f"reclaim {' and '.join(did)}: the peak, {peak}, is what there was room for, "
        f"not what is needed; besides page cache at least {format_bytes(rest)} was in use{when}"
        f"{more}",
        "metrics.memory_need_bytes",
        remedy,
    )


def throttled(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the groups above whose `memory_high` tasks slept; of groups in each other the outer."""
    groups = document.get("groups", {})
    slept: dict[str, list[str]] = {}
    for name, group in groups.items():
        if group["high_sleeps"] and _outermost_high(groups, name) == name:
            slept.setdefault(kind_of(name), []).append(name)
    for kind, names in slept.items():
        where = names[0] if len(names) == 1 else kind
        sleeps, ns = (sum(groups[name][key] for name in names) for key in SLEPT)
        high = format_bytes(groups[names[0]]["high_bytes"])
        yield Finding(
            "throttled",
            "warning",
            f"tasks slept {counted(sleeps, 'time')}, {format_duration(ns)} in all, because the "
            f"group, or one in it, was above its memory_high ({high}): latencies have that in them",
            f"groups.{where}",
            f"raise groups.{kind}.memory_high, or have less memory in use there",
            len(names),
        )


def _outermost_high(groups: Mapping[str, Mapping[str, Any]], name: str) -> str | None:
    """Return the outermost group with a `memory_high` among a group and those it is in."""
    found = None
    at: str | None = name
    while at is not None:
        found = at if groups[at]["high_bytes"] is not None else found
        at = groups[at]["parent"]
    return found
