"""Thresholds from one run: what a run that passed says of the same replication at other sizes.

Where nothing feeds back on memory (`sim.study.feedback`), it does two things.  It lets the
threshold be guessed: the smallest size that holds what the run held at its peak.  A guess decides
nothing, the sizes next to it are run.  And it is the same run at larger sizes, most of which need
not be run.  That is proved of the simulator, not of whatever carries out runs, so some of those are
run all the same (`spread`), and if one of them is another run nothing is known without running.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from sim.base.errors import ScenarioError
from sim.scenario.conditions import Condition
from sim.study.feedback import (
    differ_in_room,
    fits,
    is_about_size,
    is_same_run,
    nothing_feeds_back,
    was_near_a_limit,
)
from sim.study.judged import Judged
from sim.study.records import flatten

MOST_CHECKED: Final = 12
ONE_OF: Final = 6
"""One of so many known runs is made all the same, spread over them, but not more than the most."""

ScenarioAt = Callable[[int], Mapping[str, Any]]
"""Returns the resolved scenario of a size."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Passed:
    """A run that passed: its size and scenario, what of its result is asked for, its judgement."""

    size: int
    scenario: Mapping[str, Any]
    result: Mapping[str, Any]
    judged: Judged


@dataclass(slots=True)
class OneRun:
    """What is known of one replication, at sizes with the scenarios `at`, from runs that passed.

    `n_sizes` is how many there are.
    """

    at: ScenarioAt
    n_sizes: int
    _passed: list[_Passed] = field(default_factory=list)
    _failed: set[int] = field(default_factory=set)

    def note(self, size: int, result: Mapping[str, Any], judged: Judged) -> None:
        """Take note of a run, which says something if it passed."""
        if judged.passed:
            kept = {"metrics": result["metrics"], "groups": _peaks(result)}
            self._passed.append(_Passed(size, self.at(size), kept, judged))
        else:
            self._failed.add(size)

    def guess(self, off: int = 0) -> int | None:
        """Return about where its threshold is; None before it has passed, or if none is seen.

        `off` is by how much guesses are too low (`self.off`), unless a limit was near.
        """
        easiest = self._easiest()
        if easiest is None:
            return None

        def may_hold(size: int) -> bool:
            try:
                return fits(self.at(size), easiest.result)
            except ScenarioError:  # there can be no such size
                return False

        found = bisect_left(range(self.n_sizes), True, key=may_hold)
        if found == self.n_sizes:
            return None
        found += 0 if was_near_a_limit(easiest.result) else off
        return min(max(found, 0), self.n_sizes - 1)

    def off(self) -> int | None:
        """Return by how many sizes the guess was too low; None while that is not known.

        Of a peak far from a limit it is not known how much CPUs had charged ahead, nor from a run
        where nothing was refused which request is larger than a host: so guesses of one scenario
        are all off by about as much.
        """
        guess, easiest = self.guess(), self._easiest()
        if guess is None or easiest is None or was_near_a_limit(easiest.result):
            return None
        least = min(passed.size for passed in self._passed)
        if least > 0 and least - 1 not in self._failed:
            return None
        return least - guess

    def known(self, size: int) -> Judged | None:
        """Return what a run at `size` says that need not be made; None where that is not known."""
        same = self._same_as(size)
        return None if same is None else replace(same.judged, known=True)

    def is_as_known(self, size: int, result: Mapping[str, Any]) -> bool:
        """Return whether a run that was known is so: all its metrics but those of the size."""
        same = self._same_as(size)
        return same is not None and _figures(same.result) == _figures(result)

    def _easiest(self) -> _Passed | None:
        return max(self._passed, key=lambda passed: passed.size, default=None)

    def _same_as(self, size: int) -> _Passed | None:
        """Return the largest run below `size` that is the run at `size`, if one is known to be."""
        below = (passed for passed in self._passed if passed.size < size)
        for passed in sorted(below, key=lambda passed: -passed.size):
            if is_same_run(passed.scenario, passed.result, self.at(size)):
                return passed
        return None


def _peaks(result: Mapping[str, Any]) -> dict[str, Any]:
    groups = result.get("groups") or {}
    return {
        name: {"peak_bytes": group["peak_bytes"], "events": group["events"]}
        for name, group in groups.items()
    }


def _figures(result: Mapping[str, Any]) -> dict[str, float | None]:
    flat = dict(flatten(result["metrics"]))
    return {name: value for name, value in flat.items() if not is_about_size(name)}


def is_one_run(
    hardest: Mapping[str, Any], easiest: Mapping[str, Any], conditions: Sequence[Condition]
) -> bool:
    """Return whether runs at sizes from `hardest` to `easiest` may be known from one another."""
    return (
        nothing_feeds_back(easiest)
        and differ_in_room(hardest, easiest)
        and not any(is_about_size(condition.metric) for condition in conditions)
    )


def spread(items: Sequence[_T]) -> list[_T]:
    """Return one of six items, 12 at most, spread over them, the first among them.

    >>> spread("abcdefgh"), spread("")
    (['a', 'e'], [])
    """
    n = min(MOST_CHECKED, -(-len(items) // ONE_OF))
    return [items[k * len(items) // n] for k in range(n)]
