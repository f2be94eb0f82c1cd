"""A plan in which nothing feeds back on memory: thresholds from one run, against real runs."""

import pandas as pd
import pytest

from sim.engine.run import simulate
from sim.study.executor import InlineExecutor
from sim.study.plan_run import run_plan

BASE = """\
version: 1
host: {memory: 128 MiB, cpus: 2}
groups: {pod: {memory_max: 96 MiB}}
processes:
  redis: {program: redis, dataset: 16 MiB, writes: 4000/s, save_every: 100 ms, save_speed: 40 MiB/s}
"""
PLAN = """\
version: 1
name: small
base: base.yaml
plan: {minimise: host.memory, in: [17 MiB, 96 MiB], resolution: 0.02, probes: 25, curve: 5}
objectives:
  share: 0.9
  confidence: 0.95
  each_run: ["oom_kills = 0", "fork_latency_ns.max <= 1 s"]
seed: 7
"""
KNOWN = "a run that passed is the same run where there is more"


@pytest.fixture
def planned(tmp_path):
    """Return what carries out the plan, each in a folder of its own, and how many runs it made."""
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "small.yaml").write_text(PLAN)

    def carried_out(name, *, simulate=whole, settings=()):
        outcome = run_plan(
            tmp_path / "small.yaml",
            tmp_path / name,
            quiet=True,
            settings=settings,
            executors=lambda n_workers: InlineExecutor(simulate),
        )
        return outcome.told, pd.read_csv(tmp_path / name / "tables" / "trials.csv"), outcome

    return carried_out


def whole(scenario, *, seed, replication):
    return simulate(scenario, seed=seed, replication=replication).document


def halved(monkeypatch):
    monkeypatch.setattr("sim.study.planning.is_one_run", lambda *_: False)


SAME = ("answered", "answer", "neighbour", "worse", "moved", "to_set", "supported_share")


def test_the_answer_is_that_of_halving_in_fewer_runs(planned, monkeypatch):
    told, trials, outcome = planned("one")
    halved(monkeypatch)
    other, all_trials, _ = planned("halved")
    for name in SAME:
        if name != "neighbour":  # of which halving may have tried others
            assert told.facts[name] == other.facts[name], name
    assert told.facts["runs"] < 0.9 * other.facts["runs"]
    assert told.facts["moved_runs"] < other.facts["moved_runs"]
    assert len(trials) == told.facts["runs"]
    assert len(all_trials) == other.facts["runs"]
    assert outcome.n_new == told.facts["runs"] + told.facts["moved_runs"]
    seen = {(row.size, row.replication): row.passed for row in all_trials.itertuples()}
    for row in trials.itertuples():
        assert seen.get((row.size, row.replication), row.passed) == row.passed


def test_the_threshold_was_run_and_so_was_one_size_less(planned):
    told, trials, _ = planned("one")
    answer, below = told.facts["answer"]["name"], told.facts["neighbour"]["name"]
    decides = told.facts["neighbour"]["failed"][0]
    own = trials[trials["replication"] == decides].set_index("size")["passed"]
    assert own[answer]
    assert not own[below]


def test_it_says_that_it_was_used_and_how_many_runs_it_spared(planned):
    told, _, _ = planned("one")
    facts = told.facts["one_run"]
    assert facts["used"]
    assert facts["as_known"]
    assert facts["known"] > 0
    assert facts["checked"] == min(12, -(-(facts["known"] + facts["checked"]) // 6))
    said = next(each for each in told.sentences if KNOWN in each)
    assert f"Known from others and not made: {facts['known']} runs; " in said
    assert said.endswith(f"known and made all the same: {facts['checked']}, as known.")
    assert "25 trials spread over the sizes beyond it passed" in " ".join(told.sentences)


def test_where_what_was_known_is_another_run_all_are_made(planned, monkeypatch):
    """Somebody else's runs: on large hosts one more context switch."""

    def other_on_large(scenario, *, seed, replication):
        result = whole(scenario, seed=seed, replication=replication)
        if scenario["host"]["memory"] > 40 << 20:
            result["metrics"]["context_switches"] += 1
        return result

    told, trials, _ = planned("other", simulate=other_on_large)
    facts = told.facts["one_run"]
    assert (facts["used"], facts["known"], facts["as_known"]) == (True, 0, False)
    assert "did not hold in all of " in " ".join(told.sentences)
    halved(monkeypatch)
    other, all_trials, _ = planned("halved", simulate=other_on_large)
    assert {name: told.facts[name] for name in SAME} == {name: other.facts[name] for name in SAME}
    answer = told.facts["answer"]["name"]
    at_answer = [set(t[t["size"] == answer]["replication"]) for t in (trials, all_trials)]
    assert at_answer == [set(range(29)), set(range(29))]


@pytest.mark.parametrize(
    "setting",
    [
        "set.host.swap=16MiB",
        "set.host.thp=always",
        "set.processes.redis.dump=1MiB",
        "objectives.each_run=[oom_kills = 0, free_pages.min >= 0]",
        "plan={maximise: processes.redis.dataset, in: [4 MiB, 12 MiB], probes: 2, curve: 2}",
    ],
)
def test_where_it_is_not_known_thresholds_are_halved(planned, setting):
    told, _, _ = planned("other", settings=[setting, "plan.runs=2"])
    assert told.facts["one_run"] == {"used": False, "known": 0, "checked": 0, "as_known": True}
    assert "Nothing feeds back" not in " ".join(told.sentences)


def test_the_limit_of_a_group_is_planned_so_too(planned, monkeypatch):
    settings = [
        "set={processes.redis.group: pod}",
        "plan={minimise: groups.pod.memory_max, in: [16 MiB, 96 MiB], resolution: .05, runs: 9}",
    ]
    told, _, _ = planned("one", settings=settings)
    assert told.facts["one_run"]["used"]
    assert told.facts["one_run"]["known"] > 0
    halved(monkeypatch)
    other, _, _ = planned("halved", settings=settings)
    assert other.facts["answer"] == told.facts["answer"]
    assert told.facts["runs"] < other.facts["runs"]
