"""From the store to plain records: what each run said, one row of numbers a run.

A run says in its `validity` whether it answered what it was made for; here that is cut down to
two facts: the errors that stand in the way, and whether its memory need was cut off.

What is read of every run is kept beside its result once it has been read (`GISTS`): ten thousand
results with their time series take longer to read than all that is done with them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from sim.engine.long_run import long_run_words
from sim.engine.shortfalls import SHORT, besides_page_cache, least_words
from sim.study.need import kept_bytes
from sim.study.store import Store
from sim.study.stored import Place


@dataclass(frozen=True, slots=True)
class Record:
    """One finished run, without its long lists (time series, distributions).

    `scalars` are its metrics by dotted name; a metric without samples is None.  `ran_out` tells
    whether memory ran out: a kill, or a refusal.  `cut_off` tells that its need is known only to be
    larger than what was measured, as the host ran short: somebody was killed, refused, or waited
    for memory.  Who is killed at the limit of a group, or refused huge pages by their pool, would
    be on any host; that is an error like others.  `errors` are the findings that make it no answer,
    as ``{code, what, where, ...}``.  `programs` are those of its scenario, `ended_ns` is how much
    time was simulated, `long_run` what the run by itself says of the mean latency of requests in
    the long run.  `besides_bytes` is what was certainly in use besides page cache; None where
    reclaim dropped nothing, so that the peak is the need.  `needs_more` tells that a need that was
    cut off is certainly more than what was measured.
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
    cut_off: bool = False
    errors: tuple[Mapping[str, Any], ...] = ()
    programs: frozenset[str] = frozenset()
    ended_ns: int = 0
    long_run: str = ""
    besides_bytes: float | None = None
    needs_more: bool = False

    @property
    def answered(self) -> bool:
        """Whether nothing stands in the way of its figures."""
        return not self.errors

    def in_the_way(self, *, of_need: bool, of_kills: bool = False) -> list[Mapping[str, Any]]:
        """Return the errors besides those that a cut-off need explains.

        Where the need is what is asked for (`of_need`), a run that was cut off says at least that
        it is larger; any other figure such a run has lost if somebody was killed or refused, but
        for what is about kills (`of_kills`).
        """
        explained = {"need_cut_off"}
        if of_kills or (of_need and self.cut_off):
            explained = set(CUT_OFF_CODES)
        return [error for error in self.errors if error["code"] not in explained]


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
    known = _KNOWN.setdefault(store, {})
    hosts: dict[str, Mapping[str, Any]] = {}
    new: list[tuple[str, str, Any]] = []
    outcomes, plan = store.outcomes(), store.plan()
    told_of = store.gists(RECORD, {run.key for run in plan} - known.keys())
    for run in plan:
        outcome = outcomes.get(run.key)
        if outcome is None:
            continue
        if outcome.reason is not None:
            failures.append(Failure(run.place, run.key, outcome.reason))
            continue
        if run.key not in known:
            told = told_of.get(run.key)
            if told is None:
                result = store.result(run.key)
                if result is None:  # damaged
                    continue
                told = _told(result)
                new += [(run.key, kind, made(result)) for kind, made in GISTS.items()]
            if run.scenario not in hosts:
                hosts[run.scenario] = _host(store.scenario(run.scenario))
            errors = tuple(told["errors"])
            known[run.key] = Record(
                run.place,
                run.key,
                run.scenario,
                **hosts[run.scenario],
                **{**told, "errors": errors},
            )
        record = known[run.key]
        records.append(record if record.place == run.place else replace(record, place=run.place))
    if new:
        store.put_gists(new)
    return records, failures


_KNOWN: Final[WeakKeyDictionary[Store, dict[str, Record]]] = WeakKeyDictionary()
"""Records that were read of a store, by keys, which stand for what is in them: rounds ask again."""


def read_distributions(store: Store, keys: Sequence[str]) -> list[Mapping[str, Mapping[str, Any]]]:
    """Return the distributions of latencies of each of the runs `keys`, by kind.

    A run without a result has none.
    """
    found = _read(store, DISTRIBUTIONS, keys)
    return [_unfolded(found[key]) if key in found else {} for key in keys]


def read_work(store: Store, keys: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the units of work of each of the runs `keys`; none of one without a result."""
    found = _read(store, WORK, keys)
    return [found.get(key, {}) for key in keys]


def _read(store: Store, kind: str, keys: Sequence[str]) -> dict[str, Any]:
    """Return what there is of some kind of the runs `keys`, kept beside their results or in them.

    What was in them, as in a store from before it was kept so, is kept now.
    """
    found = store.gists(kind, keys)
    new = {}
    for key in dict.fromkeys(keys):
        if key not in found and (result := store.result(key)) is not None:
            found[key] = new[key] = GISTS[kind](result)
    if new:
        store.put_gists((key, kind, part) for key, part in new.items())
    return found


def _told(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a record has of its run's result, as plain values."""
    return {
        "scalars": dict(sorted(flatten(result["metrics"]))),
        "stages_ns": result.get("stages", {}),
        "resident_bytes": _resident_at_fork_bytes(result),
        "ran_out": ran_out(result),
        "ending": result["ending"],
        "cut_off": cut_off(result),
        "errors": errors_of(result),
        "ended_ns": int(result["simulated_ns"]),
        "long_run": long_run_words(result),
        "besides_bytes": besides_page_cache(result),
        "needs_more": cut_off(result) and least_words(result) == "more than",
    }


def _work(result: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = result.get("work", {})
    return found


def _folded(result: Mapping[str, Any]) -> list[Any]:
    """Return the distributions of a result, with percentiles that all of them have said once.

    To read them takes half the time.
    """
    found: Mapping[str, Any] = result.get("distributions", {})
    percents: Any = next((table["p"] for table in found.values()), [])
    own = {kind: table["p"] for kind, table in found.items() if table["p"] != percents}
    return [percents, {kind: [t["n"], t["ns"]] for kind, t in found.items()}, own]


def _unfolded(folded: Sequence[Any]) -> Mapping[str, Mapping[str, Any]]:
    percents, tables, own = folded
    return {k: {"p": own.get(k, percents), "ns": ns, "n": n} for k, (n, ns) in tables.items()}


RECORD: Final = "record 4"
DISTRIBUTIONS: Final = "distributions 2"
WORK: Final = "work 1"
GISTS: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
    RECORD: _told,
    DISTRIBUTIONS: _folded,
    WORK: _work,
}
"""What is kept of each result, by name: a new number where the same result makes another."""


def _host(scenario: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a record has of its run's scenario."""
    memory_bytes = int(scenario["host"]["memory"])
    return {
        "memory_bytes": memory_bytes,
        "usable_bytes": memory_bytes - kept_bytes(scenario),
        "programs": _programs(scenario),
    }


def _programs(scenario: Mapping[str, Any]) -> frozenset[str]:
    processes = scenario["processes"].items()
    return frozenset(str(process.get("program", name)) for name, process in processes)


def ran_out(result: Mapping[str, Any]) -> bool:
    """Return whether memory ran out in a run, warm-up included: a kill or a refusal."""
    metrics = result["metrics"]
    if metrics.get("oom_kills", 0) or metrics.get("fork_failures", 0):
        return True
    ends = (str(process.get("ended", "")) for process in result.get("processes", ()))
    return any(end in ("oom-killed", "evicted") or "ENOMEM" in end for end in ends)


CUT_OFF_CODES: Final = frozenset(
    {"need_cut_off", "killed", "evicted", "refused", "unfinished", "deadlock"}
)
"""Errors that are what a cut-off need looks like; any other is one for itself."""


def cut_off(result: Mapping[str, Any]) -> bool:
    """Return whether a run's host cut its memory need off: it is larger than what was measured."""
    codes = {finding["code"] for finding in result.get("validity", ())}
    return ("need_cut_off" in codes or ran_out(result)) and not _as_on_any_host(result)


def _as_on_any_host(result: Mapping[str, Any]) -> bool:
    """Return whether all that cut a need off would have come on any host.

    Kills at the limits of groups would, and refusals by the pool of huge pages, which is as large
    as was said.
    """
    kills = result.get("kills", ())
    refusals = result.get("evidence", {}).get("refusals", ())
    short = [refusal["by"] for refusal in refusals if refusal["by"] in SHORT]
    return (
        bool(kills or short)
        and all(kill["limit_of"] is not None for kill in kills)
        and all(by == "hugetlb" for by in short)
    )


def errors_of(result: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the findings of a run that make it no answer.

    A result of a version that had no such findings is judged by what it has: whether memory ran
    out, and a deadlock.
    """
    if "validity" in result:
        return tuple(f for f in result["validity"] if f.get("severity") == "error")
    errors = []
    if ran_out(result):
        errors.append({"code": "need_cut_off", "what": "memory ran out", "where": ""})
    if result["ending"] == "deadlock":
        errors.append({"code": "deadlock", "what": "nothing can go on", "where": ""})
    return tuple(errors)


def _resident_at_fork_bytes(result: Mapping[str, Any]) -> int:
    """Return the largest resident set of a process that has children; of any, if none has."""
    processes = result.get("processes", ())
    parents = {str(process.get("name", "")).rpartition("/")[0] for process in processes}
    forked = [process for process in processes if process.get("name") in parents]
    return max((int(p.get("peak_rss_bytes", 0)) for p in forked or processes), default=0)


_NUMBERS: Final = (int, float)


def flatten(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | None]]:
    """Yield every number in nested metrics under its dotted name.

    >>> dict(flatten({"forks": 2, "fork_latency_ns": {"p99": None}}))
    {'forks': 2.0, 'fork_latency_ns.p99': None}
    """
    for name, value in metrics.items():
        if isinstance(value, dict):  # faster than Mapping, and there are hundreds a run
            yield from flatten(value, f"{prefix}{name}.")
        elif value is None or isinstance(value, _NUMBERS):
            yield f"{prefix}{name}", None if value is None else float(value)
