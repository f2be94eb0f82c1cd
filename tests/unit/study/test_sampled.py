import json
import re

import numpy as np
import pytest

from sim.scenario.study import load_study
from sim.stats.laws import triangular
from sim.stats.shares import shares_of
from sim.study.base import planner_of
from sim.study.drawn import sentences
from sim.study.executor import InlineExecutor
from sim.study.rests import Base
from sim.study.run import run_study
from sim.study.sampled import Sampled, draws

STUDY = """\
version: 1
name: small
base: redis_bgsave
set: {run.horizon: 60 s, processes.redis.writes: 4000/s}
axes: {processes.redis.dataset: [64 MiB]}
uncertain:
  processes.redis.fragmentation: {low: 1.0, likely: 1.05, high: 1.2}
  processes.redis.save_speed: {low: 100 MiB/s, likely: 200 MiB/s, high: 400 MiB/s}
replications: 4
seed: 7
need: {set: {host.memory: {times: processes.redis.dataset, by: 8}}}
sample: 200
answer: {subject: a Redis host, event: saves, normal_because: the luck of the stand-in is normal}
"""


@pytest.fixture
def sample_file(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(STUDY)
    return path


def study(path, simulate, **options):
    executors = lambda n_workers: InlineExecutor(simulate)  # noqa: E731
    return run_study(path, path.parent / "out", quiet=True, executors=executors, **options)


def facts_of(path):
    return json.loads((path.parent / "out" / "findings.json").read_text())


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (1 << 30, 2 << 30, "it is 1 GiB to 2 GiB in 95 % of draws"),
        (1 << 30, None, "it is 1 GiB to more than was measured in 95 % of draws"),
        (None, None, "it is more than was measured in 95 % of draws"),
    ],
)
def test_ends_that_were_cut_off_are_told_in_words(low, high, text):
    base = Base(0, 1.5e9, "memory_need_bytes.total", None, lambda records: 0.0)
    found = Sampled(low, None, high, 0.95, 0.95, 90, 88, 0, 0, {}, {}, {}, None, "most are larger")
    said = sentences(found, base)
    assert text in said[0]
    assert "?" not in " ".join(said)


@pytest.mark.parametrize("log", [False, True])
def test_draws_follow_the_triangle(log):
    u = (np.arange(20_000) + 0.5) / 20_000
    values = np.array([triangular(x, 1.0, 4.0, 16.0, log=log) for x in u])
    assert values.min() >= 1
    assert values.max() <= 16
    scale = np.log(values) if log else values
    low, mode, high = np.log((1, 4, 16)) if log else (1, 4, 16)
    assert scale.mean() == pytest.approx((low + mode + high) / 3, rel=1e-3)
    below = (mode - low) / (high - low)
    assert np.mean(scale < mode) == pytest.approx(below, abs=1e-3)


def test_a_triangle_may_be_a_point():
    assert triangular(0.3, 2.0, 2.0, 2.0) == 2.0


@pytest.fixture(scope="module")
def finished(tmp_path_factory, standin):
    """Return the sentences and the facts of the study as it stands above."""
    path = tmp_path_factory.mktemp("sampled") / "small.yaml"
    path.write_text(STUDY)
    return "\n".join(study(path, standin.simulate).sentences), facts_of(path)


def test_the_range_and_the_shares_are_told(finished):
    text, told = finished
    assert "With all inputs drawn at random from their ranges (200 runs;" in text
    assert "in 90 % of draws: what was stated about the inputs, not a chance" in text
    assert "Shares of that variance: " in text
    assert ": measure " in text
    assert "Measure first" not in text  # one at a time it may be another input
    drawn = told["sampled"]
    assert drawn["low"] <= drawn["middle"] <= drawn["high"]
    assert drawn["low"] < told["answer"]["figure"] < drawn["high"]


def uncertain(path, text):
    """Have the study know nothing but what `text` says to be uncertain."""
    head, _, rest = STUDY.partition("uncertain:\n")
    tail = rest.partition("replications")[2]
    path.write_text(f"{head}uncertain:\n{text}replications{tail}")


def test_what_the_kernel_keeps_is_drawn_with_the_host(sample_file, standin):
    """The reserve moves no need: only the host that holds it and the need."""
    key, mib = "host.kernel_reserve", 2**20
    uncertain(sample_file, f"  {key}: {{low: 20 MiB, likely: 40 MiB, high: 160 MiB}}\n")
    study(sample_file, standin.simulate)
    told = facts_of(sample_file)
    planner, _ = planner_of(load_study(sample_file))
    kept = sorted(d.sets[key] for d, _ in draws(planner, 0, 200, reads_disk=False))
    middle = told["answer"]["figure"] - 40 * mib
    drawn = told["sampled"]
    for name, reserve in (("low", kept[10]), ("middle", kept[100]), ("high", kept[-10])):
        assert drawn[name] == pytest.approx(middle + reserve, abs=12 * mib), name
    (first, *_) = drawn["shares"]["shares"]
    assert first["name"] == key


def test_a_number_with_few_values_is_a_choice(sample_file, standin):
    uncertain(sample_file, "  processes.redis.fragmentation: {data: [1.0, 1.05, 1.0, 3.0]}\n")
    study(sample_file, standin.simulate)
    shares = {s["name"]: s for s in facts_of(sample_file)["sampled"]["shares"]["shares"]}
    own = shares["processes.redis.fragmentation"]
    assert own["share"] > 0.97
    assert own["share"] <= 1 + 2 * own["error"]


def test_a_reserve_larger_than_the_need_is_no_hindrance(sample_file, standin):
    key = "host.kernel_reserve"
    uncertain(sample_file, f"  {key}: {{low: 20 MiB, likely: 40 MiB, high: 400 MiB}}\n")
    outcome = study(sample_file, standin.simulate, settings=["sample=0"])
    assert outcome.exit_status == 0
    assert "kernel reserve 20 MiB to 400 MiB" in "\n".join(outcome.sentences)


def test_shares_agree_with_those_of_many_more_runs(finished, sample_file, standin):
    told = {s["name"]: s for s in finished[1]["sampled"]["shares"]["shares"]}
    planner, _ = planner_of(load_study(sample_file))
    many = draws(planner, 0, 300, reads_disk=False)
    needs = [
        standin.simulate(cell.scenario, seed=1, replication=number)["metrics"]
        for number, (_, cell) in enumerate(many)
    ]
    truth = shares_of(
        {key: [d.places[key] for d, _ in many] for key in many[0][0].places},
        [metrics["memory_need_bytes"]["total"] for metrics in needs],
        choices={key: [d.choices[key] for d, _ in many] for key in many[0][0].choices},
    )
    for share in truth.shares:
        own = told[share.name]
        band = 3 * np.hypot(own["error"], share.error)
        assert own["share"] == pytest.approx(share.share, abs=max(band, 0.01)), share.name
    chance = np.sqrt(sum(share.error**2 for share in truth.shares))
    assert sum(share.share for share in truth.shares) <= 1 + 4 * chance


def test_draws_are_the_same_whatever_else_is_asked(sample_file):
    planner, _ = planner_of(load_study(sample_file))
    few, many = (draws(planner, 0, n, reads_disk=False) for n in (3, 6))
    assert [d for d, _ in few] == [d for d, _ in many[:3]]


def test_without_a_sample_nothing_is_said(sample_file, standin):
    outcome = study(sample_file, standin.simulate, settings=["sample=0"])
    assert "drawn at random" not in "\n".join(outcome.sentences)
    assert facts_of(sample_file)["sampled"] is None


def test_draws_without_an_answer_are_counted(sample_file, standin):
    def loses_some(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        if replication >= 1_000_000 and replication % 4 == 0:
            finding = {"code": "crashed", "severity": "error", "what": "a program crashed"}
            return {**result, "validity": [finding]}
        return result

    outcome = study(sample_file, loses_some, settings=["sample=40"])
    text = "\n".join(outcome.sentences)
    assert "10 of 40 draws have no answer and are left out of that." in text


def test_too_few_draws_tell_a_range_and_no_shares(sample_file, standin):
    outcome = study(sample_file, standin.simulate, settings=["sample=12"])
    text = "\n".join(outcome.sentences)
    assert "(12 runs;" in text
    needed = re.search(r"share of that is told: 12 runs are too few; it takes (\d+)\.", text)
    assert needed
    assert int(needed[1]) > 12
    assert "Measure first" in text


@pytest.mark.parametrize("every", [4, 1])
def test_a_draw_with_too_few_values_for_a_percentile_has_no_answer(tmp_path, standin, every):
    """A run's p99 of 499 values is none, as wherever else runs are told of by themselves."""
    path = tmp_path / "small.yaml"
    head = STUDY[: STUDY.index("need:")]
    path.write_text(f"{head}sample: 40\nanswer: {{metric: request_latency_ns.p99}}\n")

    def simulate(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        drawn = replication >= 1_000_000
        few = drawn and replication % every == 0
        result["metrics"]["request_latency_ns"]["count"] = 499 if few else 50_000
        result["metrics"]["forks"] = 0
        return result

    text = "\n".join(study(path, simulate).sentences)
    why = "the run has too few values for request_latency_ns.p99 by itself: draw longer runs"
    if every == 1:
        assert f"Of 40 draws of all inputs none has an answer; in 40 of them {why}." in text
        assert "drawn at random" not in text
    else:
        assert (
            f"10 of 40 draws have no answer and are left out of that (in 10 of them {why})" in text
        )
        assert "(30 runs; triangles" in text
