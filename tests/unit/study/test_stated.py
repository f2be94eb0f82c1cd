"""Distributions, data and prices as uncertain inputs of a study."""

import json

import numpy as np
import pytest

from sim.base.errors import ScenarioError
from sim.cost.catalogue import price_spec
from sim.scenario.study import load_study
from sim.study.base import planner_of
from sim.study.executor import InlineExecutor
from sim.study.inputs import inputs_at
from sim.study.points import value_at
from sim.study.run import report_again, run_study
from sim.study.sampled import draws
from sim.study.stated import source_of
from sim.study.stated_ranges import check_uncertain

HEAD = """\
version: 1
name: small
base: redis_bgsave
set: {run.horizon: 60 s, processes.redis.writes: 4000/s}
axes: {processes.redis.dataset: [64 MiB]}
replications: 3
seed: 7
"""
SPEED = "processes.redis.save_speed"


def planned(folder, text):
    path = folder / "small.yaml"
    path.write_text(HEAD + text)
    planner, _ = planner_of(load_study(path))
    check_uncertain(planner)
    return planner


def drawn(folder, text, n=150):
    planner = planned(folder, text)
    return planner, draws(planner, 0, n, reads_disk=False)


def speeds(cells):
    return np.array([value_at(cell.scenario, SPEED) for _, cell in cells]) / (1 << 20)


def test_a_distribution_is_drawn_and_its_median_is_what_all_other_runs_take(tmp_path):
    text = f"uncertain: {{{SPEED}: {{distribution: {{lognorm: {{s: 0.3, scale: 200 MiB/s}}}}}}}}\n"
    planner, cells = drawn(tmp_path, text)
    assert value_at(planner.main_cell(0).scenario, SPEED) == pytest.approx(200 << 20, abs=1)
    logs = np.log(speeds(cells) / 200)
    assert abs(logs.mean()) < 4 * 0.3 / np.sqrt(len(logs))
    assert logs.std() == pytest.approx(0.3, rel=0.25)
    own = {i.key: i for i in inputs_at(planner, 0, reads_disk=False)}[SPEED]
    assert [end.text for end in own.ends] == ["122 MiB/s", "328 MiB/s"]  # 200 e^(-+1.645 x .3)
    assert own.source == "lognorm (s 0.3, scale 200 MiB/s)"


def test_low_and_high_cut_a_distribution(tmp_path):
    law = "{norm: {loc: 200 MiB/s, scale: 100 MiB/s}}"
    text = f"uncertain: {{{SPEED}: {{distribution: {law}, low: 150 MiB/s, high: 220 MiB/s}}}}\n"
    values = speeds(drawn(tmp_path, text)[1])
    assert 150 <= values.min() < 155
    assert 215 < values.max() <= 220


def test_data_are_drawn_as_they_are_and_are_measured(tmp_path):
    (tmp_path / "x.csv").write_text("when,speed\n1,150 MiB/s\n2,200 MiB/s\n3,400 MiB/s\n")
    text = f"uncertain: {{{SPEED}: {{file: x.csv, column: speed}}}}\n"
    planner, cells = drawn(tmp_path, text)
    values, counts = np.unique(speeds(cells), return_counts=True)
    assert values.tolist() == [150.0, 200.0, 400.0]
    assert counts.min() > 25
    own = {i.key: i for i in inputs_at(planner, 0, reads_disk=False)}[SPEED]
    assert (own.evidence, own.source) == ("measured", "3 values as they are")


def test_a_scale_may_be_said(tmp_path):
    text = "uncertain: {processes.redis.value: {low: 100 B, high: 10000 B, scale: SCALE}}\n"
    means = {}
    for scale in ("log", "linear"):
        cells = drawn(tmp_path, text.replace("SCALE", scale), n=60)[1]
        means[scale] = np.mean([value_at(c.scenario, "processes.redis.value") for _, c in cells])
    assert means["log"] < 0.6 * means["linear"]


def test_prices_from_one_source_move_together_and_others_do_not(tmp_path):
    _, cells = drawn(tmp_path, "", n=40)
    prices = [cell.scenario["host"]["prices"] for _, cell in cells]
    names = list(prices[0])
    base = planned(tmp_path, "").main_cell(0).scenario["host"]["prices"]
    ratio = {n: [price_spec(p[n]).mean_ps / price_spec(base[n]).mean_ps for p in prices]
             for n in names if price_spec(base[n]).mean_ps}  # fmt: skip
    first, second = _two_assumed(base, ratio)
    other = next(n for n in ratio if source_of(base[n]) != "assumed")
    ranks = {n: np.argsort(np.argsort(ratio[n])) for n in (first, second, other)}
    assert np.corrcoef(ranks[first], ranks[second])[0, 1] > 0.99
    assert abs(np.corrcoef(ranks[first], ranks[other])[0, 1]) < 0.6
    for name, values in ratio.items():
        low, high = (base[name][f"{end}_ps"] / price_spec(base[name]).mean_ps
                     for end in ("low", "high"))  # fmt: skip
        assert min(1, low) - 0.01 <= min(values)
        assert max(values) <= max(1, high) + 0.01


def _two_assumed(base, ratio):
    return [n for n in ratio if source_of(base[n]) == "assumed" and np.ptp(ratio[n]) > 0.2][:2]


def test_a_price_may_be_uncertain_by_itself_and_keeps_its_shape(tmp_path):
    text = "uncertain: {host.prices.cow_copy: {low: 500 ns, likely: 900 ns, high: 2 us}}\n"
    planner, cells = drawn(tmp_path, text, n=60)
    likely = planner.main_cell(0).scenario["host"]["prices"]["cow_copy"]
    assert price_spec(likely).mean_ps == pytest.approx(900_000)
    assert "lognormal" in likely
    means = [price_spec(c.scenario["host"]["prices"]["cow_copy"]).mean_ps for _, c in cells]
    assert 500_000 <= min(means) < 750_000
    assert 1_300_000 < max(means) <= 2_000_000
    assert "host.prices.cow_copy" in cells[0][0].places
    own = {i.key: i for i in inputs_at(planner, 0, reads_disk=False)}
    assert [end.text for end in own["host.prices.cow_copy"].ends] == ["500 ns", "2 us"]
    for end in own["host.prices"].ends:  # all others at once leave it as it is
        assert end.sets["host.prices"]["cow_copy"] == likely


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{distribution: {lognorm: {s: 0.3, scale: 200}}}", "200 has no unit; write e.g."),
        ("{distribution: {lognormal: {}}}", "no continuous distribution 'lognormal'; e.g. `norm`"),
        ("{distribution: {lognorm: {}}}", "lognorm lacks s; it has s, loc, scale"),
        ("{file: none.csv}", "save_speed.file: there is no file 'none.csv' here; check the path"),
        ("{file: two.csv}", "'two.csv' has the columns a, b; name one with `column`"),
        ("{file: text.csv}", "'x' is no number; write e.g. `5` or `200 MiB/s`"),
        ("{fit: norm}", "has nothing to fit to; add `data: [...]`, or `file: x.csv`"),
        ("{data: [1 MiB/s], fit: norm}", "1 values are too few for a fit; give 5, or no `fit`"),
        ("{data: [1 MiB/s], instead: [2 MiB/s]}", "has two of `distribution`, data and `instead`"),
    ],
)  # fmt: skip
def test_mistakes_are_told(tmp_path, given, told):
    (tmp_path / "two.csv").write_text("a,b\n1 MiB/s,2 MiB/s\n")
    (tmp_path / "text.csv").write_text("a\nx\n")
    with pytest.raises(ScenarioError) as refusal:
        planned(tmp_path, f"uncertain: {{{SPEED}: {given}}}\n")
    assert "small.yaml:8: uncertain.processes.redis.save_speed" in str(refusal.value)
    assert told in str(refusal.value)


def test_a_price_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(ScenarioError, match="host.prices.cow_copy: 5 has no unit; write"):
        planned(tmp_path, "uncertain: {host.prices.cow_copy: {low: 5}}\n")
    with pytest.raises(ScenarioError, match="host.prices.cow_cop: there is no such price"):
        planned(tmp_path, "uncertain: {host.prices.cow_cop: {low: 1 ns, high: 5 ns}}\n")


def test_a_study_with_data_of_a_file_is_told_again_without_it(tmp_path, standin):
    data = tmp_path / "x.csv"
    data.write_text("speed\n150 MiB/s\n200 MiB/s\n400 MiB/s\n")
    (tmp_path / "small.yaml").write_text(
        HEAD + f"uncertain: {{{SPEED}: {{file: x.csv}}}}\nsample: 60\n"
    )
    executors = lambda n_workers: InlineExecutor(standin.simulate)  # noqa: E731
    outcome = run_study(tmp_path / "small.yaml", tmp_path / "out", quiet=True, executors=executors)
    data.unlink()
    assert report_again(tmp_path / "out").sentences == outcome.sentences
    assert "save speed: 3 values as they are" in "\n".join(outcome.sentences)
    assert json.loads((tmp_path / "out" / "findings.json").read_text())["sampled"]["n"] == 60
