"""`cowpool plan` and `cowpool compare` from end to end: answers, exit statuses, what is refused."""

import json

import pytest
from support.commands import RUNS_HERE

from sim.cli import main

SCENARIO = """\
version: 1
host: {memory: 64 MiB, cpus: 2, kernel_reserve: 0, min_free: 0}
processes:
  parent:
    program: steps
    steps:
      - mmap: {name: A, size: 4 MiB}
      - write: A
      - fork: [{write: {region: A, pattern: {uniform: 300}}}]
      - wait
run: {horizon: 1 s}
"""
STUDY = """\
version: 1
name: tiny
base: ./tiny_scenario.yaml
plan: {minimise: host.memory, in: [4 MiB, 16 MiB], probes: 2, curve: 2}
objectives: {share: 0.5, confidence: 0.9, each_run: ["oom_kills = 0"]}
seed: 1
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    (tmp_path / "tiny_scenario.yaml").write_text(SCENARIO)
    (tmp_path / "tiny.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_plan_answers_draws_and_goes_on(tiny, capsys):
    assert main(["plan", "tiny.yaml", "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "is the smallest that will do" in said
    assert "All 4 replications met the objectives" in said
    assert "at least 50 % of runs do, at 90 % confidence" in said
    folder = tiny / "out" / "tiny-plan"
    assert (folder / "figures" / "capacity.png").stat().st_size > 1000
    assert main(["plan", "tiny.yaml", *RUNS_HERE, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["runs_new"] == 0
    assert 4 << 20 < again["answer"]["figure"] < 8 << 20


def test_one_size_that_is_not_enough(tiny, capsys):
    assert main(["plan", "tiny.yaml", "--size", "4MiB", *RUNS_HERE]) == 1
    assert (
        "host.memory 4MiB does not meet the objectives at a risk of 50 %" in capsys.readouterr().out
    )


BAD = [
    (["--largest", "host.memory", "--smallest", "host.cpus"], "keep one of them"),
    (["--smallest", "host.nothing"], "host.nothing"),
    (["--in", "16MiB", "4MiB"], "write the smaller value first"),
    (["--size", "much"], "--size"),
    (["--time", "0"], "too small"),
    (["--size", "1GiB", "--runs", "3"], "leave --runs and --time out"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_what_cannot_be_planned_is_told_in_one_line(tiny, capsys, options, message):
    assert main(["plan", "tiny.yaml", *options]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tiny / "out").exists()


def test_a_comparison_tells_more_less_and_same(tiny, capsys):
    other = "processes.parent.steps.2.fork.0.write.pattern.uniform=600"
    metrics = [w for m in ("cow_copies", "zero_fills") for w in ("--metric", m)]
    arguments = ["compare", "tiny_scenario.yaml", "--vs", other, *metrics, "--jobs", "1"]
    assert main([*arguments, "--json"]) == 0
    rows = {row["metric"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["cow_copies"]["verdict"] == "more"
    assert 1 < rows["cow_copies"]["low"] <= rows["cow_copies"]["median"] < 2
    assert rows["zero_fills"]["verdict"] == "same"
    assert main([*arguments[:-2], *RUNS_HERE]) == 0
    assert "hold together in 95 % of comparisons" in capsys.readouterr().out


def test_too_few_pairs_tell_nothing(tiny, capsys):
    other = "processes.parent.steps.2.fork.0.write.pattern.uniform=600"
    arguments = ["compare", "tiny_scenario.yaml", "--vs", other, "--metric", "cow_copies"]
    assert main([*arguments, "--runs", "2", *RUNS_HERE]) == 1
    said = capsys.readouterr().out
    assert " cannot tell" in said
    assert "There are no limits of fewer than 8 pairs." in said
    assert "whatever the distribution" not in said


def test_what_nobody_has_is_not_compared(tiny, capsys):
    arguments = ["compare", "tiny_scenario.yaml", "--vs", "host.cpus=1", "--metric", "execs"]
    assert main([*arguments, *RUNS_HERE]) == 1
    assert "Nothing can be compared: " in capsys.readouterr().out


def test_nobody_is_chosen_where_nobody_has_any(tiny, capsys):
    arguments = ["compare", "tiny_scenario.yaml", "--vs", "host.cpus=1", "--most", "oom_kills"]
    assert main([*arguments, *RUNS_HERE]) == 1
    said = capsys.readouterr().out
    assert "No run has any oom_kills: nobody is chosen." in said
    assert "It is base" not in said


def test_what_was_asked_for_and_nobody_has_is_named(tiny, capsys):
    other = "processes.parent.steps.2.fork.0.write.pattern.uniform=600"
    arguments = ["compare", "tiny_scenario.yaml", "--vs", other, "--runs", "2", *RUNS_HERE]
    asked = ["cow_copies", "execs", "request_latency_ns.p99"]
    main([*arguments, *(word for metric in asked for word in ("--metric", metric))])
    assert "No pair of runs has any execs or request_latency_ns.p99." in capsys.readouterr().out
    main(arguments)
    assert "No pair" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--vs", "host.cpus=none"], "host.cpus"),
        (["--vs", "host.cpus=1", "--metric", "forkz"], "did you mean 'forks'?"),
        (["--vs", "run.seed=99"], "--vs: run.seed=99 changes nothing: all variants have one seed"),
        (["--vs", "'run={seed: 99, horizon: 1 s}'"], "all variants have one seed"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_line(tiny, capsys, options, message):
    assert main(["compare", "tiny_scenario.yaml", *options]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
