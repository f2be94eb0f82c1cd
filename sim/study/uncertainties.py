"""The three uncertainties of an answer, side by side: chance, inputs, the model.  Never one figure.

Chance is a share of runs.  What inputs leave open is a share of what somebody stated about them.
The model's error is what comparisons with real programs have shown.  To add them up would be to
take statements for probabilities.
"""

from collections.abc import Sequence
from typing import Any

from sim.base.units import format_bytes
from sim.study.comparisons import model_error
from sim.study.corner import Corner
from sim.study.doubts import model_sentence
from sim.study.drawn import reach
from sim.study.need import Need
from sim.study.plan import Planner
from sim.study.rests import Base, Effect, range_of
from sim.study.sampled import Sampled


def uncertainty_rows(
    planner: Planner,
    base: Base | None,
    need: Need | None,
    effects: Sequence[Effect],
    drawn: Sampled | None,
    worst: Corner | None,
) -> list[dict[str, Any]]:
    """Return one row an uncertainty of an answer: its kind, of what, in words; none without one."""
    if base is None:
        return []
    rows = [("chance", "with all inputs as they are thought to be", _chance(planner, base, need))]
    if any(moved.n for effect in effects for moved in effect.moved):
        low, high, more = range_of(effects, base)
        text = f"{base.text(low)} to {'more than ' if more else ''}{base.text(high)}"
        rows.append(("inputs", "one at a time, at the ends of their ranges", text))
    if drawn is not None and drawn.n > 0:
        of_what = f"all at once, in {100 * drawn.content:.3g} % of what was stated about them"
        rows.append(("inputs", of_what, reach(drawn, base)))
    if worst is not None and worst.figure is not None:
        text = f"{'more than ' if worst.at_least else ''}{base.text(worst.figure)}"
        rows.append(("inputs", "all at once, at their worst ends", text))
    scenario = planner.main_cell(base.point).scenario
    program = next(iter(scenario["processes"].values()))["program"]
    error = model_error(scenario, planner.programs)
    said = model_sentence(error, program, None if need is None else need.parts_bytes)
    rows.append(("model", "beside real programs", said))
    return [{"kind": kind, "of": of, "text": text} for kind, of, text in rows]


def _chance(planner: Planner, base: Base, need: Need | None) -> str:
    figure = base.text(base.figure)
    if need is None:
        return f"{figure}; its spread over runs is in the table of points"
    bound, event = need.bound, planner.study.answer.event
    if bound.n == 1:
        return f"{figure}; a single run tells nothing of chance"
    margin = format_bytes(bound.bound - need.mean_bytes)
    return (
        f"{figure}, of which {margin} for chance: {100 * bound.content:.3g} % of {event}, at "
        f"{100 * bound.confidence:g} % confidence"
    )
