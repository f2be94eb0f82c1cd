"""What an answer leaves open, in words: the inputs nobody measured, the model's error, omissions.

Each is a sentence of its own; none is added to another, nor to chance.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sim.base.counts import out_of
from sim.base.units import format_bytes
from sim.study.comparisons import ModelError, model_error
from sim.study.inputs import Input, Omission, omissions_of
from sim.study.need import Need
from sim.study.plan import Planner
from sim.study.records import Record
from sim.study.rests import Base, Effect, range_of

VISIBLE_FROM: Final = 0.005
"""Share of the answer by which an input must move it to be named in a sentence."""
MOST_NAMED: Final = 4


def condition(effects: Sequence[Effect], base: Base) -> str:
    """Return what the answer takes for granted, to begin its sentence with; perhaps nothing.

    The assumed inputs that move it most: ``With save speed 200 MiB/s and keys uniform (assumed),``.
    """
    assumed = [each for each in _visible(effects, base) if each.input.evidence == "assumed"]
    if not assumed:
        return ""
    named = [f"{each.input.label} {each.input.text}" for each in assumed[:MOST_NAMED]]
    return f"With {listed(named)} ({'all ' if len(named) > 2 else ''}assumed), "


def ignorance_sentences(effects: Sequence[Effect], base: Base, *, advise: bool) -> list[str]:
    """Return how far the answer moves over its inputs, one at a time.

    And, to `advise`, what to measure first: shares of variance, where there are any, say it better.
    """
    tried = [e for e in effects if not e.input.asked and _n_runs(e)]
    if not tried:
        return ["How far the answer moves with its inputs was not tried."]
    unknown = [
        f"{e.input.label} {moved.end.text}" for e in effects for moved in e.moved if not moved.n
    ]
    lacking = [f"With {listed(unknown)} no run has an answer."] if unknown else []
    low, high, more = range_of(effects, base)
    reach = f"{base.text(low)} to {'more than ' if more else ''}{base.text(high)}"
    visible = [each for each in _visible(effects, base) if not each.input.asked]
    most = max(moved.n for each in tried for moved in each.moved)
    runs = f"{'one run' if most == 1 else f'{most} runs'} each"
    if not visible:
        names = listed([each.input.label for each in tried[:MOST_NAMED]])
        return [f"No input moves it by {100 * VISIBLE_FROM:g} %: not {names} ({runs}).", *lacking]
    named = [_range_words(each.input) for each in visible[:MOST_NAMED]]
    rest = len(tried) - len(named)
    also = f"; {rest} more {'input moves' if rest == 1 else 'inputs move'} it less" if rest else ""
    sentences = [
        f"With one input at a time at an end of its range it is {reach} ({'; '.join(named)}{also}; "
        f"{runs})."
    ]
    first = next((e for e in visible if e.input.measure and e.input.evidence != "measured"), None)
    if advise and first is not None:
        what = "decides most" if first is visible[0] else "decides most of what is not measured"
        sentences.append(f"Measure first: {first.input.measure} ({first.input.label} {what}).")
    return sentences + lacking


def page_cache_sentences(records: Sequence[Record]) -> list[str]:
    """Return that peaks are what there was room for, where reclaim took anything."""
    swapped = sum(bool(record.scalars.get("pages_swapped_out")) for record in records)
    if swapped:
        return [
            f"In {out_of(swapped, len(records), 'run')} pages were swapped out: their peak is what "
            "there was room for, and what is needed is more. Measure it with more memory, or "
            "`swap: 0`."
        ]
    least = (record.besides_bytes for record in records)
    known = sorted(rest for rest in least if rest is not None)
    if not known:
        return []
    low, high = format_bytes(known[0]), format_bytes(known[-1])
    rest = low if low == high else f"{low} to {high}"
    return [
        f"In {out_of(len(known), len(records), 'run')} reclaim dropped page cache: their peak is "
        f"what there was room for, not what is needed; besides page cache at least {rest} was in "
        "use."
    ]


def other_sentences(planner: Planner, point: int, need: Need | None) -> list[str]:
    """Return the model's own error at a point, and what it leaves out."""
    scenario = planner.main_cell(point).scenario
    program = next(iter(scenario["processes"].values()))["program"]
    parts = None if need is None else need.parts_bytes
    return [
        model_sentence(model_error(scenario, planner.programs), program, parts),
        *omission_sentences(omissions_of(scenario, planner.programs)),
    ]


def model_sentence(
    error: ModelError | None, program: str, parts_bytes: Mapping[str, float] | None
) -> str:
    """Return how the model compares with real programs, and what that is of the answer."""
    if error is None:
        return (
            f"The model's own error is not known: nobody has compared {program} with a real "
            "program."
        )
    low, high = (f"{100 * share:.0f}" for share in (error.low, error.high))
    share = f"{high} %" if low == high else f"{low} to {high} %"
    text = f"A real {error.program} had {share} more {error.what} than the model ({error.where})"
    if parts_bytes is not None:
        sizes = [format_bytes(parts_bytes[error.part] * x) for x in (error.low, error.high)]
        amount = sizes[1] if sizes[0] == sizes[1] else f"{sizes[0]} to {sizes[1]}"
        text += f": {amount}, not in the figure"
    if error.unlike:
        text += f". With {error.unlike} nobody has compared the two"
    return f"{text}."


def omission_sentences(omissions: Sequence[Omission]) -> list[str]:
    """Return what was not given, and so is taken as none."""
    missing = [omission.what for omission in omissions if not omission.size_bytes]
    return [f"Not given, so taken as 0: {listed(missing)}."] if missing else []


def price_sentences(latencies: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return how long a fork stalls its caller, and requests take, over the prices' ranges."""
    by_name = {row["name"]: row for row in latencies}
    sentences = []
    if fork := by_name.get("fork, mean"):
        sentences.append(f"The fork stalls its caller for {fork['text']}.")
    if slow := by_name.get("request, p99"):
        sentences.append(f"p99 of its requests: {slow['text']}.")
    return sentences


def listed(words: Sequence[str]) -> str:
    """Return words as a list in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _visible(effects: Sequence[Effect], base: Base) -> list[Effect]:
    least = VISIBLE_FROM * abs(base.figure)
    return [each for each in effects if each.swing(base.figure) > least]


def _n_runs(effect: Effect) -> int:
    return sum(moved.n for moved in effect.moved)


def _range_words(each: Input) -> str:
    """Return an input's range: ``save speed 100 to 400 MiB/s``, ``keys zipf``."""
    texts = [end.text for end in each.ends]
    if each.is_choice:
        return f"{each.label} {' or '.join(texts)}"
    if len(texts) == 1:
        return f"{each.label} {each.text} to {texts[0]}"
    return f"{each.label} {' to '.join(texts)}"
