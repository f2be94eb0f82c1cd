"""The whole chain of a plan: does its answer hold in fresh runs?

Of `redis_host`, which ships, and of a small cousin whose host may be as small as it can, to a page:
a Redis of 4 MiB, of which chance decides about 40 pages.  The plan's answer is run with random
numbers that had no part in it; so is the size below, which is to fail more often than was asked, or
to be one of which the plan says that it cannot tell.
"""

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from scipy import stats
from support.samples import sample

from sim.engine.run import simulate
from sim.scenario import load_scenario
from sim.scenario.conditions import condition_of
from sim.stats.proportion import exact_limits
from sim.stats.tolerance import values_needed
from sim.study.executor import InlineExecutor
from sim.study.judged import judge
from sim.study.plan_run import run_plan

WHOLE = sample(1, 2) == 2
pytestmark = [
    pytest.mark.truth,
    pytest.mark.stress,
    pytest.mark.skipif(not WHOLE, reason="a plan of real runs takes minutes; see make stress"),
]
SHARE, FRESH = 0.99, 1_000
FIRST_FRESH = 1_000_000
SHIPPED = Path(__file__).parents[2] / "configs" / "studies" / "redis_host.yaml"
COUSIN = f"""\
version: 1
name: cousin
base: redis_bgsave
set:
  run.horizon: 60 s
  host.overcommit.mode: 1
  processes.redis.dataset: 4 MiB
  processes.redis.writes: 4000/s
plan: {{minimise: host.memory, in: [4 MiB, 6 MiB], resolution: 0.0005, probes: {FRESH // 10}}}
objectives: {{share: {SHARE}, confidence: 0.95, each_run: ["oom_kills = 0"]}}
seed: 20250701
"""


@pytest.fixture(scope="module", params=["redis_host", "cousin"])
def planned(request, tmp_path_factory):
    """Return the plan's facts, and how many fresh runs fail at its answer and at the size below."""
    folder = tmp_path_factory.mktemp("plan")
    file = folder / "study.yaml"
    text = COUSIN if request.param == "cousin" else SHIPPED.read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    study = yaml.safe_load(text)
    told = run_plan(file, folder / "out", quiet=True, executors=lambda _: InlineExecutor()).told
    facts = told.facts
    sizes = [facts[name]["figure"] for name in ("answer", "neighbour")]
    at_answer, below = (failures(study, round(size)) for size in sizes)
    return SimpleNamespace(study=study, told=told, facts=facts, at_answer=at_answer, below=below)


def failures(study, memory):
    """Return how many of the fresh runs on a host of so many bytes do not meet the objectives."""
    sets = [f"{key}={value}" for key, value in study["set"].items()]
    scenario = load_scenario(study["base"], [*sets, f"host.memory={memory} B"])
    conditions = [condition_of(each) for each in study["objectives"]["each_run"]]
    runs = (simulate(scenario, seed=20250701, replication=FIRST_FRESH + r) for r in range(FRESH))
    return sum(not judge(run.document, conditions).passed for run in runs)


def test_the_answer_fails_in_no_more_fresh_runs_than_it_may(planned):
    assert planned.facts["replications"] == values_needed(content=SHARE, confidence=0.95)
    most = int(stats.binom.isf(0.015, FRESH, 1 - SHARE))
    assert most == 17
    assert planned.at_answer <= most


def test_the_size_below_fails_more_often_or_cannot_be_told(planned):
    below = planned.facts["neighbour"]
    assert below["failed"]
    told = below["verdict"] == "not enough"
    assert told or "cannot be told" in " ".join(planned.told.sentences)
    assert not told or exact_limits(planned.below, FRESH).high > 1 - SHARE


def test_a_size_far_below_would_be_noticed(planned):
    """Negative control: three hundredths less than the answer, as much as chance moves needs."""
    most = int(stats.binom.isf(0.015, FRESH, 1 - SHARE))
    assert failures(planned.study, round(planned.facts["answer"]["figure"] * 0.97)) > most
