"""The worst corner: every input at the end that raises the answer, all at once.

One input at a time says which end that is; what they do together, only a run can say.  It is no
likely case, and no bound either where inputs work against each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.base.errors import ScenarioError
from sim.study.inputs import End, Input
from sim.study.plan import Cell, Planner
from sim.study.rests import Base, Effect, Moved, moved_to
from sim.study.tables import Groups

PART = "corner"


@dataclass(frozen=True, slots=True)
class Corner:
    """The answer with all inputs at their worst ends.

    `figure` is in the answer's unit, None if no run tells; `at_least` says that runs were cut off.
    `impossible` says why there is no such run.
    """

    ends: tuple[tuple[Input, End], ...]
    figure: float | None
    at_least: bool
    n: int
    impossible: str = ""

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {
            "inputs": {each.key: end.text for each, end in self.ends},
            "figure": self.figure,
            "at_least": self.at_least,
            "n": self.n,
            "impossible": self.impossible,
        }


def worst_ends(effects: Sequence[Effect], base: Base) -> tuple[tuple[Input, End], ...]:
    """Return the end of each input, not the question's own, that raises the answer most."""
    found = []
    for effect in effects:
        known = [m for m in effect.moved if m.figure is not None and _height(m) > base.figure]
        if known and not effect.input.asked:
            found.append((effect.input, max(known, key=_height).end))
    return tuple(found)


def _height(moved: Moved) -> float:
    """Return how high an answer is; one that is cut off is higher than all others."""
    return float("inf") if moved.at_least else moved.figure or 0.0


def corner_cell(planner: Planner, point: int, ends: Sequence[tuple[Input, End]]) -> Cell:
    """Return the cell of a point's worst corner; raises `ScenarioError` if it cannot be."""
    return planner.corner_cell(point, _sets(ends))


def _sets(ends: Sequence[tuple[Input, End]]) -> Mapping[str, Any]:
    return {key: value for _, end in ends for key, value in end.sets.items()}


def found(
    planner: Planner, groups: Groups, base: Base | None, effects: Sequence[Effect]
) -> Corner | None:
    """Return what the worst corner's runs say; None if nothing raises the answer."""
    ends = () if base is None else worst_ends(effects, base)
    if base is None or not ends:
        return None
    try:
        corner_cell(planner, base.point, ends)
    except ScenarioError as error:
        return Corner(ends, None, False, 0, error.message)
    records = groups.get((PART, base.point, 0), [])
    own = groups[planner.main_part, base.point, 0]
    moved = moved_to(planner, base, End("the worst corner", _sets(ends)), own, records)
    return Corner(ends, moved.figure, moved.at_least, moved.n)


def sentences(corner: Corner | None, base: Base | None) -> list[str]:
    """Return what the worst corner says in words; nothing without one."""
    if corner is None or base is None:
        return []
    named = ", ".join(f"{each.label} {end.text}" for each, end in corner.ends)
    if corner.impossible:
        return [f"All inputs at their worst ends at once ({named}) cannot be: {corner.impossible}."]
    if corner.figure is None:
        return [f"With all inputs at their worst ends at once ({named}) no run has an answer."]
    more = "more than " if corner.at_least else ""
    runs = "one run" if corner.n == 1 else f"{corner.n} runs"
    return [
        f"With all inputs at their worst ends at once it is {more}{base.text(corner.figure)} "
        f"({named}; {runs})."
    ]
