"""Which point a study's answer is about, and whether there is an answer at all.

The point is the one that `answer.at` names, or else the largest of those it leaves.  That is
decided by the plan and by what the runs showed, never by what could be measured: a point whose need
was cut off counts as larger than all others, and one without an answer leaves the study without.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sim.base.counts import counted, out_of
from sim.base.errors import InsufficientDataError
from sim.study.first_kill import ABOUT_KILLS, FIRST_KILL, median_first_kill
from sim.study.percentiles import distributions_of, percent_of, pooled_percentile
from sim.study.plan import Planner
from sim.study.records import Record
from sim.study.store import Store
from sim.study.summary import mean_of
from sim.study.tables import Groups

Kind = Literal["answered", "more than", "no answer"]

NEED: Final = "memory_need_bytes"
"""What a cut-off need cuts off: metrics of this name are lower bounds then."""


@dataclass(frozen=True, slots=True)
class Headline:
    """The point an answer is about; None if it could not be chosen.

    ``more than`` tells that what was measured is a lower bound.  Without an answer, `reasons` says
    why, a line a reason.
    """

    kind: Kind
    point: int | None
    reasons: tuple[str, ...] = ()


Figure = Callable[[Sequence[Record]], float]
"""Returns the answer's figure for a point's runs; raises `InsufficientDataError` if none is."""


def figure_from(store: Store, metric: str) -> Figure:
    """Return what tells a metric's figure: a percentile of all values, or the mean over runs.

    The time to the first kill has a median.
    """

    def figure(records: Sequence[Record]) -> float:
        if metric == FIRST_KILL:
            return median_first_kill(records)
        if percent_of(metric) is not None:
            return pooled_percentile(distributions_of(store, records), records, metric)
        mean = mean_of(records, metric)
        if mean is None:
            raise InsufficientDataError(f"{metric} has no value in some run")
        return mean

    return figure


def headline(
    groups: Groups, planner: Planner, hosts_bytes: Mapping[int, int], figure: Figure
) -> Headline:
    """Return what a study's answer is about.

    `hosts_bytes` are the points whose need has a bound, and the hosts they need; `figure` tells
    the answer's figure where the question is another.
    """
    part, candidates = planner.main_part, planner.candidates()
    runs = {point: groups.get((part, point, 0), []) for point in candidates}
    missing = [point for point in candidates if not runs[point]]
    if missing:
        if len(missing) == 1:
            return Headline("no answer", missing[0], ("no run of it is finished",))
        reason = f"{len(missing)} of {len(candidates)} points have no finished run"
        return Headline("no answer", None, (reason,))
    for point in candidates:
        reasons = _reasons(runs[point], planner)
        if reasons:
            return Headline("no answer", point, reasons)
    cut = [point for point in candidates if _is_cut_off(point, runs[point], planner, hosts_bytes)]
    if cut:
        return Headline("more than", max(cut, key=lambda point: at_least(planner, runs[point])))
    if planner.study.need is not None:
        unknown = [point for point in candidates if point not in hosts_bytes]
        if unknown:
            return Headline("no answer", unknown[0], ("no host is large enough",))
        return Headline("answered", max(candidates, key=lambda point: hosts_bytes[point]))
    figures = {}
    for point in candidates:
        try:
            figures[point] = figure(runs[point])
        except InsufficientDataError as error:
            return Headline("no answer", point, (str(error),))
    return Headline("answered", max(candidates, key=lambda point: figures[point]))


def unanswered(
    groups: Groups, planner: Planner, hosts_bytes: Mapping[int, int]
) -> dict[int, tuple[str, ...]]:
    """Return the points of a study that have no answer, or only "more than", and why."""
    found = {}
    for point in range(len(planner.points)):
        runs = groups.get((planner.main_part, point, 0), [])
        reasons = _reasons(runs, planner)
        if not runs:
            reasons = ("no run of it is finished",)
        elif not reasons and _is_cut_off(point, runs, planner, hosts_bytes):
            cut_off = sum(record.cut_off for record in runs)
            reasons = (f"memory ran out in {out_of(cut_off, len(runs), 'run')}, it needs more",)
        if reasons:
            found[point] = reasons
    return found


def asks_for_need(planner: Planner) -> bool:
    """Return whether a study's figure is the memory need: on a large host, or as it is."""
    return planner.study.need is not None or planner.study.answer.metric.startswith(NEED)


def _reasons(records: Sequence[Record], planner: Planner) -> tuple[str, ...]:
    of_kills = planner.study.need is None and planner.study.answer.metric in ABOUT_KILLS
    return reasons_of(records, of_need=asks_for_need(planner), of_kills=of_kills)


def reasons_of(
    records: Sequence[Record], *, of_need: bool, of_kills: bool = False
) -> tuple[str, ...]:
    """Return why runs of a point are no answer, one line a code and place, with a count.

    Whatever else was wrong in these runs is told as well: it is often the cause.
    """
    wording: dict[tuple[str, str], str] = {}
    counts: dict[tuple[str, str], int] = {}
    for record in records:
        if not record.in_the_way(of_need=of_need, of_kills=of_kills):
            continue
        own = {(str(e["code"]), str(e.get("where") or "")): e for e in record.errors}
        for place, error in own.items():
            wording.setdefault(place, _words(error))
            counts[place] = counts.get(place, 0) + 1
    return tuple(f"{wording[p]} ({n} of {counted(len(records), 'run')})" for p, n in counts.items())


def _words(error: Mapping[str, Any]) -> str:
    where = str(error.get("where") or "")
    what = str(error.get("what") or error["code"])
    return f"{where}: {what}" if where and where not in what else what


def _is_cut_off(
    point: int, records: Sequence[Record], planner: Planner, hosts_bytes: Mapping[int, int]
) -> bool:
    """Return whether what is asked for is known only to be larger than what was measured."""
    if not asks_for_need(planner) or not any(record.cut_off for record in records):
        return False
    return planner.study.need is None or point not in hosts_bytes


def _certain(record: Record) -> float:
    """Return what a run certainly needed of memory: its peak, less page cache that had room."""
    rest = record.besides_bytes
    return (record.scalars.get(f"{NEED}.total") or 0.0) if rest is None else rest


def at_least(planner: Planner, records: Sequence[Record]) -> float:
    """Return what the answer's figure of a cut-off point is certainly more than.

    For a need, the largest host on which memory ran out; for a metric, the mean of what was
    measured, cut off or not, of a need without the page cache that only had room.
    """
    if planner.study.need is not None:
        return float(max(record.memory_bytes for record in records if record.cut_off))
    metric = planner.study.answer.metric
    if metric == f"{NEED}.total":
        least = [_certain(record) for record in records]
        return sum(least) / len(least)
    return mean_of(records, metric) or 0.0
