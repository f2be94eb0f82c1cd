"""Whether a run answers its question: a pure function of what the run says of itself.

A figure of a run in which nothing took place, or that was cut off, is no answer.  `findings` names
what was found, one line a code and kind of process; `judged` gives the two fields that stand
beside a run's metrics.  What a scenario is there to show (``run.expect``) is no error.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Literal

from sim.base.counts import counted
from sim.base.units import S, format_duration
from sim.engine.conditions import CONDITIONS, conditions_of
from sim.engine.endings import NOBODY_IN_GROUP
from sim.engine.finding import MOST_WAITING, Finding, Severity
from sim.engine.names import kind_of
from sim.engine.shortfalls import (
    ended_badly,
    groups_out_of_memory,
    need_cut_off,
    peak_is_room,
    refused,
    throttled,
)
from sim.program import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LONGEST_RUN_NS: Final = 1000 * 3600 * S
"""When a run that has no horizon is cut off: simulated time that nothing should take."""

Code = Literal[
    "deadlock",
    "crashed",
    "killed",
    "evicted",
    "refused",
    "need_cut_off",
    "all_warmup",
    "nothing_happened",
    "unfinished",
    "not_served",
]
"""What ``run.expect`` may name."""

CODES: Final = {
    "deadlock": "processes wait, and nothing can wake them",
    "crashed": "a process was ended by SIGSEGV or SIGBUS",
    "killed": "the out-of-memory killer ended a process",
    "evicted": "the kubelet ended a pod",
    "refused": "the kernel refused a call",
    "need_cut_off": "memory ran short, so that more would have been used",
    "peak_is_room": "reclaim took what there was no room for, so that the peak is no need",
    "throttled": "tasks slept because a group was above its memory_high",
    "all_warmup": "the run ended before anything was measured",
    "nothing_happened": "what a program is there to do never took place",
    "unfinished": "the horizon cut off what was under way",
    "not_served": "requests arrived faster than they were served",
    "not_as_expected": "a code of `run.expect` did not occur",
    **CONDITIONS,
}
"""Every code, and what it says; the order of findings."""

CUTS_NEED: Final = ("killed", "evicted", "refused", "deadlock")
"""Findings after which memory in use is less than what would have been used."""

NO_CPU_IDLE: Final = "no CPU was idle"

NO_IDLE_CPU: Final = 0.95
"""Share of CPU time in use from which no CPU counts as idle."""


def judged(document: Mapping[str, Any], scenario: Mapping[str, Any]) -> dict[str, Any]:
    """Return `validity` and `answered` for a run's document and its resolved scenario.

    Pure: nothing else is looked at, and neither argument is changed.
    """
    found = findings(document, scenario)
    return {
        "answered": all(finding.severity != "error" for finding in found),
        "validity": [asdict(finding) for finding in found],
    }


def findings(document: Mapping[str, Any], scenario: Mapping[str, Any]) -> list[Finding]:
    """Return what was found in a run, in the order of `CODES`, then of processes."""
    found = [
        *_deadlock(document),
        *ended_badly(document, scenario),
        *refused(document, scenario),
        *need_cut_off(document),
        *peak_is_room(document),
        *throttled(document),
        *_all_warmup(document, scenario),
        *_nothing_happened(document, scenario),
        *_unfinished(document, scenario),
        *_not_served(document, scenario),
    ]
    expected = set(scenario["run"].get("expect", ()))
    judged = [_as_expected(finding, expected, found) for finding in found]
    conditions = conditions_of(scenario)
    said = [Finding(each.code, "note", each.what, each.where, each.remedy) for each in conditions]
    return [*judged, *_missing(expected, found), *said]


def _as_expected(finding: Finding, expected: set[str], found: Iterable[Finding]) -> Finding:
    """Return a finding, as a note if the scenario is there to show it.

    A need that is cut off follows from kills, refusals and deadlocks: it is expected where they
    all are.
    """
    silent = finding.code in expected
    if finding.code == "need_cut_off" and not silent:
        causes = {other.code for other in found if other.code in CUTS_NEED}
        silent = bool(causes) and causes <= expected
    return _with_severity(finding, "note") if silent else finding


def _with_severity(finding: Finding, severity: Severity) -> Finding:
    return Finding(**{**asdict(finding), "severity": severity})


def _missing(expected: set[str], found: Iterable[Finding]) -> Iterator[Finding]:
    occurred = {finding.code for finding in found}
    for code in CODES:
        if code in expected and code not in occurred:
            yield Finding(
                "not_as_expected",
                "error",
                f"`{code}` was to be shown and did not occur (it would have been said that "
                f"{CODES[code]})",
                "run.expect",
                f"take `{code}` out of run.expect, or change the scenario until it occurs",
            )


def _deadlock(document: Mapping[str, Any]) -> Iterator[Finding]:
    if document["ending"] == "deadlock":
        remedy = "give the host more memory, or let whoever is waited for end"
        full = groups_out_of_memory(document)
        if full and NOBODY_IN_GROUP in document["deadlock"]:
            keys = " and ".join(f"groups.{group}.memory_max" for group in full)
            remedy = f"raise {keys}, or let somebody in it be killed (`oom_score_adj` above -1000)"
        yield Finding(
            "deadlock",
            "error",
            f"nothing can go on at {format_duration(document['simulated_ns'])}: "
            f"{document['deadlock']}",
            "run",
            remedy,
        )


def _all_warmup(document: Mapping[str, Any], scenario: Mapping[str, Any]) -> Iterator[Finding]:
    warmup_ns = scenario["run"]["warmup"]
    if warmup_ns > 0 and document["simulated_ns"] <= warmup_ns:
        yield Finding(
            "all_warmup",
            "error",
            f"the run ended at {format_duration(document['simulated_ns'])}, within its warm-up "
            f"of {format_duration(warmup_ns)}: nothing was measured",
            "run.warmup",
            "shorten the warm-up, or give the processes more to do",
        )


def _nothing_happened(
    document: Mapping[str, Any], scenario: Mapping[str, Any]
) -> Iterator[Finding]:
    for count in document["evidence"]["events"]:
        if count["measured"] > 0:
            continue
        event, until = count["event"], format_duration(document["simulated_ns"])
        if count["begun"]:
            what = f"every {event} ended within the warm-up: none was measured"
            remedy = "shorten run.warmup"
        elif died := _died(document, count["process"]):
            what, remedy = f"no {event} began: {died}", "mend what ended it"
        else:
            what = f"no {event} began before the end of the run, at {until}"
            remedy = _to_begin(document, scenario, count["process"])
        yield Finding("nothing_happened", "error", what, count["process"], remedy)


def _to_begin(document: Mapping[str, Any], scenario: Mapping[str, Any], origin: str) -> str:
    """Say what lets an event begin: more time, from whoever ended the time there was."""
    if document["ending"] == "horizon":
        return "let it begin earlier, or the run end later (run.horizon)"
    if "duration" in scenario["processes"][origin]:
        return f"let it begin earlier, or go on for longer (processes.{origin}.duration)"
    return f"let it begin before {origin} ends: nothing else ended the run"


def _died(document: Mapping[str, Any], origin: str) -> str:
    """Say how the process of the scenario ended, if it did not end well."""
    for process in document["processes"]:
        well = process["ended"] == "running" or process["ended"].startswith("exit")
        if kind_of(process["name"]) == origin and not well:
            return f"{process['name']} ended at {format_duration(process['ended_ns'])}"
    return ""


def _unfinished(document: Mapping[str, Any], scenario: Mapping[str, Any]) -> Iterator[Finding]:
    if document["ending"] != "horizon":
        return
    endless = set(document["evidence"]["endless"])
    running: dict[str, int] = Counter(
        process["name"].split("/")[0]
        for process in document["processes"]
        if process["ended"] == "running"
    )
    events: dict[str, list[Mapping[str, Any]]] = {}
    for count in document["evidence"]["events"]:
        if count["begun"] > count["ended"]:
            events.setdefault(count["process"], []).append(count)
    until = format_duration(document["simulated_ns"])
    for origin in dict.fromkeys([*events, *map(kind_of, running)]):
        open_events = events.get(origin, [])
        if not open_events and origin in endless:
            continue
        said = [
            f"{counted(count['begun'] - count['ended'], count['event'])} under way, "
            f"{count['ended']:,} done"
            for count in open_events
        ] or ["it had not reached its end"]
        yield Finding(
            "unfinished",
            "error",
            f"cut off by the horizon, at {until}: {', '.join(said)}",
            origin,
            _longer(scenario["processes"][origin]["program"]),
        )


def _longer(program: str) -> str:
    """Say how to let a program reach its end; one that does not ship may have none."""
    remedy = "leave run.horizon out, or make it longer"
    if program in PROGRAMS:
        return remedy
    return f"{remedy}; if {program} serves without end, @program(..., endless=True) says so"


def _not_served(document: Mapping[str, Any], scenario: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield loads that were not served, or late, where that is for want of CPU time."""
    for load in document["evidence"]["arrivals"]:
        full = _without_idle_cpu(load, document, scenario)
        waiting, arrived = load["waiting"], load["begun"] + load["waiting"]
        took_ns = load["last_ns"] - load["first_ns"]
        behind = waiting > MOST_WAITING * arrived
        if not full or not (behind or load["late_ns"] > MOST_WAITING * took_ns > 0):
            continue
        rate_per_s = arrived * S / max(took_ns, 1)
        rate = f" ({rate_per_s:,.4g}/s)" if took_ns > 0 else ""
        if full == NO_CPU_IDLE:
            full += _cpus_needed(load, scenario, rate_per_s)
        what = (
            f"{arrived:,} requests arrived{rate} faster than they were served: the last was done "
            f"{format_duration(load['late_ns'])} after it had come; {full}"
        )
        if behind:
            what = (
                f"{waiting:,} of {arrived:,} requests that had arrived{rate} were not begun at the "
                f"end, and what they would have used is not counted; {full}"
            )
        yield Finding(
            "not_served",
            "error" if behind else "warning",
            what,
            load["process"],
            "lower the load, or give it more CPU time (host.cpus, more processes)",
        )


def _without_idle_cpu(
    load: Mapping[str, Any], document: Mapping[str, Any], scenario: Mapping[str, Any]
) -> str | None:
    """Say which CPU time was all in use while requests arrived and queued, or nothing if not all.

    One thread can use one CPU, and a process that is bound to a CPU no other.  What CPUs did at
    other times of the run bears on nothing; but where no request was begun, the time may be any,
    however short, and all of the run counts.
    """
    if load["window_ns"] is None:
        return None
    (from_ns, until_ns), cpu_ns = load["window_ns"], load["cpu_ns"]
    if load["begun"] == 0:
        from_ns, until_ns, cpu_ns = 0, document["simulated_ns"], document["evidence"]["cpu_ns"]
    shares = [ns / max(1, until_ns - from_ns) for ns in cpu_ns]
    if sum(shares) >= NO_IDLE_CPU * len(shares):
        return NO_CPU_IDLE
    bound = scenario["processes"][load["process"]]["cpu"]
    if bound is not None and shares[bound] >= NO_IDLE_CPU:
        return f"CPU {bound}, to which it is bound, was never idle"
    if load["busiest"] is not None and load["busiest"][1] >= NO_IDLE_CPU:
        return f"{load['busiest'][0]} was never off its CPU"
    return None


def _cpus_needed(load: Mapping[str, Any], scenario: Mapping[str, Any], rate_per_s: float) -> str:
    """Say how many CPUs requests at this rate would keep busy, by what those served took."""
    if load["begun"] == 0:
        return ""
    cpus = sum(load["cpu_ns"]) / load["begun"] * rate_per_s / S
    return f": about {cpus:,.3g} CPUs of work for {scenario['host']['cpus']}"
