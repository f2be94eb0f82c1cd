"""How far a study is, from what its store says at this moment: for people beside it.

A study plans its rounds one after the other, and results decide what the next one is, so what is
left is what is left of the runs planned so far.  How long these take rests on finished ones.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median_low
from typing import Any, Final

from sim.base.errors import ScenarioError
from sim.study.kept import kept_points
from sim.study.reasons import last_line, raised_in
from sim.study.snapshot import holder, snapshot, written_s
from sim.study.store import Reader
from sim.study.stored import Ended, Outcome, PlannedRun, Session

LEAST_FINISHED: Final = 3
"""Fewer runs finished since the study was begun say nothing of the time that others take."""
LEAST_ALIKE: Final = 2
"""Fewer finished runs of a scenario say nothing of its others: one may be a process's first."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many runs are planned somewhere, and what became of them."""

    planned: int
    done: int
    failed: int

    @property
    def left(self) -> int:
        """How many have no result and no failure yet."""
        return self.planned - self.done - self.failed


@dataclass(frozen=True, slots=True)
class Left:
    """What the runs left come to.

    `work_s` is their time one after the other, None where no run is finished that would tell;
    `alike` of them have finished runs enough of the same scenario.  `time_s` is until they are
    done, None where nobody is at work or too little is finished: `at_once` runs are made at a time,
    as was seen over `seen_s`, in which `finished` runs were finished.
    """

    runs: int
    work_s: float | None
    alike: int
    time_s: float | None
    at_once: float | None
    seen_s: float | None
    finished: int


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that failed: where it stands, its key, why, and where the error was raised."""

    part: str
    point: int
    point_name: str
    host: int
    replication: int
    run: str
    reason: str
    raised_in: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """How far a study is.

    `process` is the one that runs it, 0 or less if it is known to be run but not by whom, None if
    nobody does; `watched` is false where nobody can tell.  `quiet_s` is how long ago something was
    written last.  `points` are counts by part and point, in that order.  `damaged` runs were made,
    and are left again: their results cannot be read any more.
    """

    name: str
    question: str
    command: str
    watched: bool
    process: int | None
    quiet_s: float
    whole: Count
    parts: Mapping[str, Count]
    points: Mapping[tuple[str, int], Count]
    point_names: Mapping[int, str]
    failures: Sequence[FailedRun]
    left: Left
    damaged: int = 0

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {
            "name": self.name,
            "question": self.question,
            "command": self.command,
            "running": self.process is not None if self.watched else None,
            "process": self.process if self.process and self.process > 0 else None,
            "last_written_s_ago": self.quiet_s,
            **_plain(self.whole),
            "parts": [{"part": part, **_plain(count)} for part, count in self.parts.items()],
            "points": [
                {
                    "part": part,
                    "point": point,
                    "point_name": self.point_names.get(point, ""),
                    **_plain(count),
                }
                for (part, point), count in self.points.items()
            ],
            "failures": [asdict(failure) for failure in self.failures],
            "rest": asdict(self.left),
            "damaged": self.damaged,
        }


def _plain(count: Count) -> dict[str, int]:
    return {**asdict(count), "left": count.left}


def status_of(path: Path, now_s: float | None = None) -> Status:
    """Return how far the study is whose store is the file `path`, as of `now_s` by the clock.

    Writes nothing and takes no lock.  Raises `ScenarioError` where there is no study.
    """
    try:
        watched, process = True, holder(path)
    except (OSError, NotImplementedError):
        watched, process = False, None
    with snapshot(path) as store:
        now_s = time.time() if now_s is None else now_s
        quiet_s = max(0.0, now_s - written_s(path))
        kept, plan, outcomes = store.study(), store.plan(), store.outcomes()
        session, ended, damaged = store.session(), store.ended(), store.damaged()
        outcomes = {key: outcome for key, outcome in outcomes.items() if key not in damaged}
        work_of = partial(_expected_work_s, store)
        told = (plan, outcomes, None if process is None else session, ended, now_s)
        try:
            left = left_of(*told, work_of)
        except (ScenarioError, KeyError):  # a scenario is damaged, or of an earlier version
            left = left_of(*told)
    known = kept_points(kept)
    return Status(
        name=known.study.name,
        question=known.study.question,
        command=kept["command"],
        watched=watched,
        process=process,
        quiet_s=quiet_s,
        whole=_count(plan, outcomes),
        parts={part: _count(runs, outcomes) for part, runs in _by_part(plan).items()},
        points={place: _count(runs, outcomes) for place, runs in _by_point(plan).items()},
        point_names=known.names,
        failures=[
            FailedRun(
                part=run.place.part,
                point=run.place.point,
                point_name=known.names.get(run.place.point, ""),
                host=run.place.host,
                replication=run.place.replication,
                run=run.key,
                reason=last_line(outcome.reason),
                raised_in=raised_in(outcome.reason),
            )
            for run in plan
            if (outcome := outcomes.get(run.key)) is not None and outcome.reason is not None
        ],
        left=left,
        damaged=len(damaged),
    )


def left_of(
    plan: Sequence[PlannedRun],
    outcomes: Mapping[str, Outcome],
    session: Session | None,
    ended: Ended,
    now_s: float,
    work_of: Callable[[str], float] | None = None,
) -> Left:
    """Return what the runs without an outcome come to.

    `session` is since when runs are made, None if nobody makes any; `ended` is how many of the
    store have ended by now; `work_of` is what a run of a scenario, by its SHA-256, is expected to
    take, in s.
    """
    walls_s: dict[str, list[float]] = defaultdict(list)
    for run in plan:
        outcome = outcomes.get(run.key)
        if outcome is not None and outcome.reason is None:
            walls_s[run.scenario].append(outcome.wall_s)
    waiting = {run.key: run.scenario for run in plan if run.key not in outcomes}
    times_s = _times_s(set(waiting.values()), walls_s, work_of)
    known = [times_s[scenario] for scenario in waiting.values() if scenario in times_s]
    work_s = sum(known) if len(known) == len(waiting) else None
    finished, at_once, seen_s, time_s = 0, None, None, None
    if session is not None and now_s > session.began_s:
        finished, seen_s = ended.runs - session.before.runs, now_s - session.began_s
        at_once = (ended.wall_s - session.before.wall_s) / seen_s
        if work_s is not None and finished >= LEAST_FINISHED and at_once > 0:
            time_s = max(work_s / at_once, max(known, default=0.0))
    alike = sum(len(walls_s.get(scenario, ())) >= LEAST_ALIKE for scenario in waiting.values())
    return Left(len(waiting), work_s, alike, time_s, at_once, seen_s, finished)


def _times_s(
    scenarios: Collection[str],
    walls_s: Mapping[str, Sequence[float]],
    work_of: Callable[[str], float] | None,
) -> dict[str, float]:
    """Return how long a run of each scenario is likely to take, in s; nothing if none would tell.

    Low medians: the first run of a process takes longest, and may be one of two.  A scenario with
    fewer than `LEAST_ALIKE` finished runs may have such a one alone, so there it is what is
    expected of it, times what others took of what was expected of them; without others, the median
    of its own, or of all.
    """
    often = {s: median_low(walls) for s, walls in walls_s.items() if len(walls) >= LEAST_ALIKE}
    factor = None
    if work_of is not None and often and not often.keys() >= set(scenarios):
        factor = median_low(wall / work_of(scenario) for scenario, wall in often.items())
    every = [wall for walls in walls_s.values() for wall in walls]
    times_s = {}
    for scenario in scenarios:
        if scenario in often:
            times_s[scenario] = often[scenario]
        elif factor is not None and work_of is not None:
            times_s[scenario] = factor * work_of(scenario)
        elif every:
            times_s[scenario] = median_low(walls_s.get(scenario) or every)
    return times_s


def _expected_work_s(store: Reader, sha: str) -> float:
    from sim.scenario.effort import expected_work_s  # of a study that is done nobody asks

    return expected_work_s(store.scenario(sha))


def _by_part(plan: Iterable[PlannedRun]) -> dict[str, list[PlannedRun]]:
    found: dict[str, list[PlannedRun]] = defaultdict(list)
    for run in plan:
        found[run.place.part].append(run)
    return found


def _by_point(plan: Iterable[PlannedRun]) -> dict[tuple[str, int], list[PlannedRun]]:
    found: dict[tuple[str, int], list[PlannedRun]] = defaultdict(list)
    for run in plan:
        found[run.place.part, run.place.point].append(run)
    return found


def _count(plan: Sequence[PlannedRun], outcomes: Mapping[str, Outcome]) -> Count:
    """Count runs by place: one that stands at two places is two."""
    ended = [outcome for run in plan if (outcome := outcomes.get(run.key)) is not None]
    failed = sum(outcome.reason is not None for outcome in ended)
    return Count(len(plan), len(ended) - failed, failed)
