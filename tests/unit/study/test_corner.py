"""The worst corner: all inputs at the ends that raise the answer, in one run."""

import json
from functools import partial

import pandas as pd

from sim.scenario.study import load_study
from sim.study.base import planner_of
from sim.study.executor import InlineExecutor
from sim.study.need import smallest_host_bytes
from sim.study.rounds import Rounds
from sim.study.run import run_study

STUDY = """\
version: 1
name: small
base: redis_bgsave
set: {run.horizon: 60 s, processes.redis.writes: 4000/s}
axes: {processes.redis.dataset: [64 MiB]}
replications: 4
seed: 7
need: {set: {host.memory: {times: processes.redis.dataset, by: BY}}}
answer: {subject: a Redis host, event: saves, normal_because: the luck of the stand-in is normal}
"""


def carried_out(folder, simulate, by="8", text=""):
    path = folder / "small.yaml"
    path.write_text(STUDY.replace("BY", by) + text)
    executors = lambda n_workers: InlineExecutor(simulate)  # noqa: E731
    outcome = run_study(path, folder / "out", quiet=True, executors=executors)
    return outcome, json.loads((folder / "out" / "findings.json").read_text())


def test_the_corner_has_each_input_at_the_end_that_raises_the_answer(tmp_path, standin):
    outcome, facts = carried_out(tmp_path, standin.simulate)
    corner = facts["corner"]
    figure = facts["answer"]["figure"]
    assert corner["figure"] > figure
    for each in facts["inputs"]:
        higher = {e["value"]: e["figure"] for e in each["ends"] if e["figure"] > figure}
        if higher and not each["asked"]:
            assert corner["inputs"][each["key"]] == max(higher, key=higher.get)
            assert corner["figure"] >= max(higher.values())
        else:
            assert each["key"] not in corner["inputs"]
    assert "With all inputs at their worst ends at once it is " in "\n".join(outcome.sentences)


def test_it_is_what_a_run_there_needs(tmp_path, standin):
    """Against runs by hand: the answer, moved by the difference of the same replication."""
    _, facts = carried_out(tmp_path, standin.simulate)
    planner, _ = planner_of(load_study(tmp_path / "small.yaml"))
    speed = 100 << 20
    sets = {"processes.redis.save_speed": f"{speed} B/s", "processes.redis.fragmentation": 1.2}
    sets["processes.redis.writes"] = 5000
    assert facts["corner"]["inputs"]["processes.redis.writes"] == "5,000/s"
    assert set(facts["corner"]["inputs"]) == set(sets)
    before = standin.simulate(planner.main_cell(0).scenario, seed=7, replication=0)
    after = standin.simulate(planner.corner_cell(0, sets).scenario, seed=7, replication=0)
    moved = [r["metrics"]["memory_need_bytes"]["total"] for r in (before, after)]
    bound = pd.read_csv(tmp_path / "out" / "tables" / "need.csv")["bound_bytes"].iloc[0]
    on_host = partial(planner.on_host, 0, sets=sets)
    host = smallest_host_bytes(bound + moved[1] - moved[0], on_host)
    assert facts["corner"]["figure"] == host
    assert facts["corner"]["n"] == 1


def test_a_corner_that_runs_out_of_memory_is_more_than(tmp_path, standin):
    def runs_out(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        redis = scenario["processes"]["redis"]
        if redis["save_speed"] == 100 << 20 and redis["fragmentation"] == 1.2:
            result["metrics"]["oom_kills"] = 1
            finding = {"code": "killed", "severity": "error", "what": "redis was killed"}
            return {**result, "validity": [finding]}
        return result

    outcome, facts = carried_out(tmp_path, runs_out)
    assert facts["corner"]["at_least"]
    assert "at their worst ends at once it is more than " in "\n".join(outcome.sentences)


def test_without_inputs_that_were_tried_there_is_none(tmp_path, standin):
    """Negative control."""
    outcome, facts = carried_out(tmp_path, standin.simulate, text="one_at_a_time: 0\n")
    assert facts["corner"] is None
    assert "worst ends" not in "\n".join(outcome.sentences)


def test_the_three_uncertainties_stand_side_by_side_and_are_never_one(tmp_path, standin):
    from sim.report.page import write_report

    path = tmp_path / "small.yaml"
    path.write_text(STUDY.replace("BY", "8") + "sample: 60\n")
    executors = lambda n_workers: InlineExecutor(standin.simulate)  # noqa: E731
    outcome = run_study(
        path, tmp_path / "out", quiet=True, executors=executors, report=write_report
    )
    facts = json.loads((tmp_path / "out" / "findings.json").read_text())
    rows = facts["uncertainty"]
    assert [row["kind"] for row in rows] == ["chance", "inputs", "inputs", "inputs", "model"]
    assert "% of saves, at 95 % confidence" in rows[0]["text"]
    drawn = facts["sampled"]
    assert drawn["low"] < drawn["high"] <= facts["corner"]["figure"]
    assert "in 90 % of what was stated" in rows[2]["of"]
    assert rows[4]["text"].startswith("A real redis had 2 to 6 % more pages copied")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Three uncertainties, none of which is added to another" in page
    chances = [s for s in outcome.sentences if "% of simulated saves" in s]
    assert not any("draws" in s or "worst" in s or "real redis" in s for s in chances)


def test_hosts_that_are_too_small_for_changed_inputs_are_enlarged(tmp_path, standin, monkeypatch):
    """1.36 times the data hold the point itself, and neither the corner nor some inputs' ends."""

    def told(by, folder):
        folder.mkdir()
        outcome, facts = carried_out(folder, standin.simulate, by)
        runs = facts["study"]["runs"]
        assert runs.keys() - {"too small"} == {"need", "inputs", "corner"}
        assert facts["provenance"]["runs_done"] == outcome.n_new == sum(runs.values())
        ends = {(i["key"], e["value"]): e for i in facts["inputs"] for e in i["ends"]}
        return {"corner": facts["corner"], **ends}

    roomy, tight = (told(by, tmp_path / by) for by in ("8", "1.36"))
    assert not any(each["at_least"] for each in tight.values())
    assert {k: e["figure"] for k, e in tight.items()} == {k: e["figure"] for k, e in roomy.items()}
    # Without it they are cut off.
    monkeypatch.setattr(Rounds, "_that_ran_out", lambda self, orders: [])
    cut_off = [key for key, each in told("1.36", tmp_path / "no").items() if each["at_least"]]
    assert "corner" in cut_off
    assert len(cut_off) > 1
