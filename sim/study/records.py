"""From the store to plain records: what each run said, one row of numbers a run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sim.study.need import kept_bytes
from sim.study.store import Place, Store
from sim.units import format_bytes, format_duration


@dataclass(frozen=True, slots=True)
class Record:
    """One finished run, without its long lists (time series, distributions).

    `scalars` are its metrics by dotted name; a metric without samples is None.  `ran_out` tells
    whether memory ran out: a kill, or a fork that was refused.
    """

    place: Place
    key: str
    scenario: str
    memory_bytes: int
    usable_bytes: int
    scalars: Mapping[str, float | None]
    stages_ns: Mapping[str, int]
    resident_bytes: int
    ran_out: bool
    ending: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that has no result, and why."""

    place: Place
    key: str
    reason: str


def read_records(store: Store) -> tuple[list[Record], list[Failure]]:
    """Return the runs of the current plan in order of place: the finished and the failed.

    A run that was never started is in neither.
    """
    records, failures = [], []
    hosts: dict[str, tuple[int, int]] = {}
    for run in store.plan():
        result = store.result(run.key)
        if result is None:
            reason = store.failure(run.key)
            if reason is not None:
                failures.append(Failure(run.place, run.key, reason))
            continue
        if run.scenario not in hosts:
            scenario = store.scenario(run.scenario)
            memory = int(scenario["host"]["memory"])
            hosts[run.scenario] = (memory, memory - kept_bytes(scenario))
        memory_bytes, usable_bytes = hosts[run.scenario]
        records.append(
            Record(
                place=run.place,
                key=run.key,
                scenario=run.scenario,
                memory_bytes=memory_bytes,
                usable_bytes=usable_bytes,
                scalars=dict(flatten(result["metrics"])),
                stages_ns=result.get("stages", {}),
                resident_bytes=_resident_at_fork_bytes(result),
                ran_out=ran_out(result),
                ending=result["ending"],
            )
        )
    return records, failures


def ran_out(result: Mapping[str, Any]) -> bool:
    """Return whether memory ran out in a run, warm-up included: a kill or a refusal."""
    metrics = result["metrics"]
    if metrics.get("oom_kills", 0) or metrics.get("fork_failures", 0):
        return True
    ends = (str(process.get("ended", "")) for process in result.get("processes", ()))
    return any(end == "oom-killed" or "ENOMEM" in end for end in ends)


def _resident_at_fork_bytes(result: Mapping[str, Any]) -> int:
    """Return the largest resident set of the first process: the one that forks."""
    processes = result.get("processes", ())
    return int(processes[0].get("peak_rss_bytes", 0)) if processes else 0


def flatten(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | None]]:
    """Yield every number in nested metrics under its dotted name.

    >>> dict(flatten({"forks": 2, "fork_latency_ns": {"p99": None}}))
    {'forks': 2.0, 'fork_latency_ns.p99': None}
    """
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        elif value is None or isinstance(value, int | float):
            yield f"{prefix}{name}", None if value is None else float(value)


def metric_text(name: str, value: float) -> str:
    """Return a metric's value for people, its unit taken from its name.

    >>> metric_text("fork_latency_ns.mean", 1.5e6), metric_text("oom_kills", 3.0)
    ('1.5 ms', '3')
    """
    if "_ns" in name and not name.endswith(".count"):
        return format_duration(value)
    if "_bytes" in name:
        return format_bytes(value)
    if "fraction" in name or name.startswith("psi_"):
        return f"{100 * value:.3g} %"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
