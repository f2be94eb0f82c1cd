"""How large a study may be: seen before anything of it is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.base.counts import counted
from sim.scenario.questions import Replications

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.scenario.study import Study
    from sim.study.points import Axis

MOST_POINTS: Final = 1_000_000
MOST_RUNS: Final = 100_000
"""Limits that `--large` lifts: most studies beyond are a slip of the keyboard."""
_OWN_INPUTS: Final = 10
"""About as many inputs are uncertain by what the programs say themselves."""


def require_moderate_size(study: Study, axes: Sequence[Axis], points: int) -> None:
    """Raise `ScenarioError` if a study has more points or runs than most people would want."""
    if points > MOST_POINTS:
        levels = [len(axis.levels) for axis in axes]
        product = " times ".join(map(str, levels[:10])) + (" …" if len(levels) > 10 else "")
        message = f"{product} levels make {_many(points)} points; {_remedy(MOST_POINTS, 'points')}"
        raise study.error(message, "axes")
    runs = most_runs(study, points)
    if runs > MOST_RUNS:
        makes = f"{counted(points, 'point')} {'makes' if points == 1 else 'make'}"
        message = f"{makes} up to {_many(runs)} runs; {_remedy(MOST_RUNS, 'runs')}"
        where = "axes" if study.file.axes else "design"
        raise study.error(message, "replications" if study.file.replications else where)


def most_runs(study: Study, points: int) -> int:
    """Return how many runs a study may come to: what it names, at every point."""
    file = study.file
    given = file.replications
    each = given.most if isinstance(given, Replications) else given or 1
    boxed = file.container
    tried = 0 if boxed is None else len(*boxed.of.values()) * (boxed.replications + 2 * boxed.tried)
    ends = file.sample + tried + (2 * (len(file.uncertain) + _OWN_INPUTS) + 1) * file.one_at_a_time
    if file.check is None:
        return points * each + ends
    check, most = file.check, file.check.replications.most
    around_points = 1 if check.around_at == "answer" else points
    around = around_points * len(check.around) * most
    return points * (each + len(check.by) * most) + around + check.fresh + ends


def _remedy(most: int, of_what: str) -> str:
    return f"write at most {most:,} {of_what}, or add --large"


def _many(number: int) -> str:
    return f"{number:,}" if number < 10**15 else f"10^{len(str(number)) - 1}"
