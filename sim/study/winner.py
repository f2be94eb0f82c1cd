"""The variant that has least, or most, of a metric, held against all others by fresh runs.

Whoever is first of several is so partly by luck, so what the choice was made by flatters it, the
more so the more there were.  Its fresh runs, and those of the others beside them, chose nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sim.study.compare import Compared, compare
from sim.study.executor import Executor
from sim.study.progress import Progress

WORSE: Final = {"least": "more", "most": "less"}
"""What others have beside the winner, if they are worse, by what was asked for."""


@dataclass(frozen=True, slots=True)
class Winner:
    """`name` was chosen; `fresh` compares all others with it, by runs that are none of the choice.

    Of a variant without a row in `fresh` neither has any.  `left_out` could not be chosen: some run
    of theirs has no answer.
    """

    name: str
    metric: str
    how: str
    fresh: Compared
    left_out: tuple[str, ...]

    @property
    def value(self) -> float | None:
        """The median of its fresh runs; None if some of them have no answer, or that is open."""
        return self.fresh.middles.get((self.name, self.metric))

    @property
    def worse(self) -> str:
        """What a variant that is worse has beside the winner: ``more`` or ``less``."""
        return WORSE[self.how]

    @property
    def beaten(self) -> bool:
        """Whether fresh runs say of some other that it is better: the choice was luck."""
        return not {row.verdict for row in self.fresh.rows} <= {self.worse, "same", "cannot tell"}

    @property
    def told(self) -> bool:
        """Whether fresh runs say of every other that it is no better."""
        verdicts = {row.verdict for row in self.fresh.rows}
        return not self.fresh.unanswered and verdicts <= {self.worse, "same"}


def winner_of(
    found: Compared,
    variants: Mapping[str, Mapping[str, Any]],
    metric: str,
    how: str,
    executor: Executor,
    progress: Progress,
    *,
    seed: int,
    most: int | None = None,
) -> Winner | None:
    """Choose by the runs of a comparison, and compare the others with the choice by fresh runs.

    `how` is ``least`` or ``most``; `most` limits the fresh pairs.  None if there is no choice:
    fewer than two variants have an answer in all of their runs, or nobody has any of what most is
    asked of.
    """
    middles = {name: found.middles.get((name, metric)) for name in variants}
    known = {name: middle for name, middle in middles.items() if middle is not None}
    if len(known) < 2 or (how == "most" and metric in found.absent):
        return None
    sign = 1 if how == "least" else -1
    name = min(known, key=lambda each: sign * known[each])
    order = [name, *(each for each in known if each != name)]
    fresh = compare(
        {each: variants[each] for each in order},
        (metric,),
        executor,
        progress,
        seed=seed,
        most=most,
        first=found.n,
    )
    left_out = tuple(each for each in variants if each not in known)
    return Winner(name, metric, how, fresh, left_out)
