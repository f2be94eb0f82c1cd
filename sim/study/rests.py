"""How far the answer moves with each of its inputs, one at a time.

Chance is not what makes an answer wrong: the inputs that nobody measured are.  Each run with one
input changed is compared with the run of the same replication in which it was not, so that chance
leaves the difference alone; the answer is then moved by the mean difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sim.base.errors import InsufficientDataError
from sim.base.units import format_bytes_up
from sim.scenario.conditions import metric_text
from sim.study.frames import frame_of
from sim.study.headline import NEED, Figure, figure_from
from sim.study.inputs import End, Input, input_cells, inputs_at, reads_disk
from sim.study.need import Need, smallest_host_bytes
from sim.study.plan import NEED_METRIC, Planner
from sim.study.records import Record
from sim.study.stated import PRICES
from sim.study.store import Store
from sim.study.tables import Groups


@dataclass(frozen=True, slots=True)
class Moved:
    """What the answer is with an input at one of its ends.

    `figure` is in the unit of the answer, None if no run tells; `at_least` says that runs were cut
    off, so that it is more than that.  `n` runs were compared; `records` are those that answered.
    Without a run there is none that could: it was not `tried`.
    """

    end: End
    figure: float | None
    at_least: bool
    n: int
    records: tuple[Record, ...]
    tried: bool = True


@dataclass(frozen=True, slots=True)
class Effect:
    """An input, and where the answer goes with it."""

    input: Input
    moved: tuple[Moved, ...]

    def swing(self, answer: float) -> float:
        """Return how far the answer moves at most."""
        return max((abs(m.figure - answer) for m in self.moved if m.figure is not None), default=0)


@dataclass(frozen=True, slots=True)
class Base:
    """The answer that inputs move: its point, its figure, what it was made from.

    `figure_of` tells the figure of some runs in the unit of `metric`, and raises
    `InsufficientDataError` if they have none.  `bound_bytes` is what a host of `figure` bytes has
    to hold; None if the answer is no host.
    """

    point: int
    figure: float
    metric: str
    bound_bytes: float | None
    figure_of: Figure

    def text(self, figure: float) -> str:
        """Return an answer for people; a host is rounded up, as it has to suffice."""
        if self.bound_bytes is not None:
            return format_bytes_up(figure)
        return metric_text(self.metric, figure)


def base_of(
    planner: Planner,
    store: Store,
    groups: Groups,
    needs: Mapping[int, Need],
    hosts_bytes: Mapping[int, int],
    point: int,
) -> Base | None:
    """Return the answer that inputs move; None if there is no figure."""
    if point in needs:
        bound, host = needs[point].bound.bound, float(hosts_bytes[point])
        return Base(point, host, NEED_METRIC, bound, figure_from(store, NEED_METRIC))
    if planner.study.need is not None:
        return None
    metric = planner.study.answer.metric
    figure_of = figure_from(store, metric)
    try:
        figure = figure_of(groups[planner.main_part, point, 0])
    except InsufficientDataError:
        return None
    return Base(point, figure, metric, None, figure_of)


def effects_of(planner: Planner, groups: Groups, base: Base) -> list[Effect]:
    """Return every input of the answer; those that move it most come first."""
    own = groups[planner.main_part, base.point, 0]
    reads = reads_disk(own)
    moved: dict[str, list[Moved]] = {}
    for number, (each, end, _) in enumerate(input_cells(planner, base.point, reads_disk=reads)):
        records = groups.get(("inputs", base.point, number), [])
        moved.setdefault(each.key, []).append(moved_to(planner, base, end, own, records))
    inputs = inputs_at(planner, base.point, reads_disk=reads)
    effects = [Effect(each, tuple(moved.get(each.key, ()))) for each in inputs]
    return sorted(effects, key=lambda effect: -effect.swing(base.figure))


def moved_to(
    planner: Planner, base: Base, end: End, own: Sequence[Record], records: Sequence[Record]
) -> Moved:
    """Return the answer at an end: `own` are the runs it was made from, `records` those there."""
    told = [r for r in records if not r.in_the_way(of_need=base.metric.startswith(NEED))]
    numbers = {record.place.replication for record in own}
    changed = [record for record in told if record.place.replication in numbers]
    shared = {record.place.replication for record in changed}
    before = [record for record in own if record.place.replication in shared]
    figure = None
    if changed:
        try:
            difference = base.figure_of(changed) - base.figure_of(before)
            figure = _figure(planner, base, end, difference)
        except InsufficientDataError:
            figure = None
    cut_off = any(record.cut_off for record in changed)
    tried = bool(records) or planner.study.one_at_a_time > 0  # else what was to be run has failed
    return Moved(end, figure, cut_off, len(changed), tuple(changed), tried)


def _figure(planner: Planner, base: Base, end: End, difference: float) -> float:
    if base.bound_bytes is None:
        return base.figure + difference
    on_host = partial(planner.on_host, base.point, sets=end.sets)
    return smallest_host_bytes(base.bound_bytes + difference, on_host)


def range_of(effects: Sequence[Effect], base: Base) -> tuple[float, float, bool]:
    """Return the smallest and largest answer over all inputs that are not the question's own.

    The third value tells whether the largest was cut off: then it is more than that.
    """
    moved = [m for e in effects if not e.input.asked for m in e.moved if m.figure is not None]
    low = min((m.figure for m in moved if m.figure is not None), default=base.figure)
    high = max((m.figure for m in moved if m.figure is not None), default=base.figure)
    return min(low, base.figure), max(high, base.figure), any(m.at_least for m in moved)


def effect_facts(effects: Sequence[Effect], base: Base) -> list[dict[str, Any]]:
    """Return effects as JSON-able values, figures also as text."""
    return [
        {
            "key": effect.input.key,
            "label": effect.input.label,
            "text": effect.input.text,
            "evidence": effect.input.evidence,
            "source": effect.input.source,
            "measure": effect.input.measure,
            "asked": effect.input.asked,
            "is_choice": effect.input.is_choice,
            "ends": [_moved_facts(moved, base) for moved in effect.moved],
        }
        for effect in effects
    ]


def _moved_facts(moved: Moved, base: Base) -> dict[str, Any]:
    figure, text = moved.figure, "no answer" if moved.tried else "not tried"
    if figure is not None:
        text = f"{'more than ' if moved.at_least else ''}{base.text(figure)}"
    relative = None if figure is None or not base.figure else figure / base.figure - 1
    return {
        "value": moved.end.text,
        "figure": figure,
        "text": text,
        "relative": relative,
        "at_least": moved.at_least,
        "n": moved.n,
    }


def effects_table(effects: Sequence[Effect], base: Base | None) -> Any:
    """Return one row an input and end: its value, how it is known, and the answer with it."""
    rows = []
    for effect in effects if base is not None else ():
        shared = {
            "input": effect.input.key,
            "value": effect.input.text,
            "evidence": effect.input.evidence,
            "source": effect.input.source,
            "measure": effect.input.measure,
            "part_of_the_question": effect.input.asked,
        }
        if not effect.moved:
            rows.append({**shared, "instead": None, "answer": None, "runs": 0})
        rows += [
            {
                **shared,
                "instead": moved.end.text,
                "answer": moved.figure,
                "at_least": moved.at_least,
                "runs": moved.n,
            }
            for moved in effect.moved
        ]
    return frame_of(rows)


def price_runs(effects: Sequence[Effect]) -> Mapping[str, tuple[Record, ...]]:
    """Return the runs with all prices low, and with all high, by ``low`` and ``high``."""
    for effect in effects:
        if effect.input.key == PRICES:
            return {moved.end.text.removeprefix("all "): moved.records for moved in effect.moved}
    return {}
