"""What the test of one size came to, in words and as JSON-able values."""

import math
from collections.abc import Sequence

from sim.base.counts import out_of
from sim.scenario.conditions import Condition
from sim.scenario.questions import Objectives
from sim.stats.sequential import SequentialTest, characteristic
from sim.study.planning import Tried
from sim.study.said import Told, percent, said, size_facts, why
from sim.study.sizes import Sizes


def tell_trial(
    tried: Tried, sizes: Sizes, conditions: Sequence[Condition], objectives: Objectives, where: str
) -> Told:
    """Return what the test of one size came to."""
    name, risk = said(sizes, tried.size), percent(1 - objectives.share)
    sure, hoped = percent(objectives.confidence), percent(tried.test.hoped)
    count = f"{out_of(tried.failures, tried.n, 'run')} failed{why(list(tried.judged.values()))}"
    first = {
        "enough": f"{name} meets the objectives: fewer than {risk} of runs fail, at {sure}"
        f" confidence: {count}.",
        "not enough": f"{name} does not meet the objectives at a risk of {risk}: more than {risk}"
        f" of runs fail, at {sure} confidence: {count}.",
        "not shown": f"{name} is not shown to be enough: more than {hoped} of runs fail, at {sure}"
        f" confidence; whether more than {risk} do, cannot be told: {count}.",
        "cannot tell": f"Whether {name} meets the objectives at a risk of {risk} cannot be told:"
        f" {count}, and the test ends.",
    }[tried.verdict]
    facts = {
        "kind": "one size",
        "answered": tried.verdict in ("enough", "not enough"),
        "where": where,
        "verdict": tried.verdict,
        "size": size_facts(sizes, tried.size),
        "objectives": [str(condition) for condition in conditions],
        "share": objectives.share,
        "confidence": objectives.confidence,
        "runs": tried.n,
        "failures": tried.failures,
        "most_runs": tried.test.most,
    }
    return Told((first, _operating(tried.test)), tried.verdict == "enough", facts)


def _operating(test: SequentialTest) -> str:
    """Say what the test does where so many runs fail as it refutes, as it hopes for, and between.

    Between means their geometric mean, half of what is refuted.
    """
    between = math.sqrt(test.refuted * test.hoped)
    worst, middle, best = (characteristic(test, s) for s in (test.refuted, between, test.hoped))
    return (
        f"Where {percent(test.refuted)} of runs fail, this test says that it meets the objectives"
        f" in {percent(worst.enough)} of cases (after {worst.runs:,.0f} runs on average), and that"
        f" it does not in {percent(worst.not_enough)}; where {percent(test.hoped)} do, that it"
        f" meets them in {percent(best.enough)} ({best.runs:,.0f}). Between these it may say that"
        f" it is not shown: where {percent(between)} fail, in {percent(middle.not_shown)}, and that"
        f" it meets them in {percent(middle.enough)} ({middle.runs:,.0f})."
    )
