"""What a run says to objectives, above all to those on kills: one row a case."""

import json
import operator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sim.cli import main
from sim.scenario.conditions import Condition, condition_of
from sim.study.judged import TooShortError, judge

S = 1_000_000_000
HORIZON = 60 * S


def result(*errors, first_s=None, kills=None, ended_s=60, **metrics):
    """Return what a run says that ended then, with these errors besides those of its kills."""
    kills = int(first_s is not None) if kills is None else kills
    codes = [*(["killed", "need_cut_off"] if kills else []), *errors]
    return {
        "metrics": {
            "oom_kills": kills,
            "first_oom_ns": None if first_s is None else first_s * S,
            **metrics,
        },
        "validity": [{"code": code, "severity": "error", "what": code} for code in codes],
        "simulated_ns": ended_s * S,
        "ending": "horizon",
    }


LATER, FEW = "first_oom_ns >= 30 s", "oom_kills <= 2"
ROWS = [
    # objectives, a run, why it fails
    ([LATER], result(), ()),
    ([LATER], result(first_s=30), ()),
    ([LATER], result(first_s=29), ("first_oom_ns is 29 s",)),
    ([LATER], result("unfinished"), ()),
    ([LATER], result("unfinished", first_s=40), ()),
    ([LATER], result("refused", first_s=40), ("refused",)),
    ([LATER], result("evicted"), ("evicted",)),
    ([LATER], result("deadlock", ended_s=10), ("deadlock",)),
    (["first_oom_ns >= 60 s"], result(), ()),
    (["first_oom_ns > 60 s"], result(), ()),
    (["first_oom_ns <= 60 s"], result(), ("first_oom_ns is later than 1 min",)),
    (["first_oom_ns <= 60 s"], result(first_s=50), ()),
    ([FEW], result(), ()),
    ([FEW], result(first_s=5, kills=2), ()),
    ([FEW], result(first_s=5, kills=3), ("oom_kills is 3",)),
    ([FEW], result("unfinished", first_s=5), ("unfinished",)),
    (["oom_kills = 0"], result("killed"), ("killed",)),  # in a warm-up: not counted
    (["oom_kills = 0"], result("unfinished"), ("unfinished",)),
    (["oom_kills = 0"], result(first_s=5), ("oom_kills is 1",)),
    ([LATER, FEW], result(first_s=40, kills=2), ()),
    ([LATER, FEW], result(first_s=40, kills=3), ("oom_kills is 3",)),
    ([LATER, "oom_kills = 0"], result("unfinished"), ("unfinished",)),
    ([LATER, "cpu_busy_fraction < 50 %"], result(cpu_busy_fraction=0.2), ()),
    (
        [LATER, "cpu_busy_fraction < 50 %"],
        result(first_s=40, cpu_busy_fraction=0.2),
        ("killed", "need_cut_off"),
    ),
    ([LATER, "vfork_latency_ns.max < 1 s"], result(), ("vfork_latency_ns.max has no value",)),
]


@pytest.mark.parametrize(("objectives", "run", "broken"), ROWS)
def test_a_run_fails_for_these_reasons(objectives, run, broken):
    assert judge(run, [condition_of(text) for text in objectives]).broken == broken


def test_where_everybody_was_killed_no_number_of_kills_is_allowed():
    dead, alive = ({"ended": how} for how in ("oom-killed", "running"))
    run, objectives = result(first_s=5, kills=2), [condition_of(FEW)]
    assert judge(run | {"processes": [dead, alive]}, objectives).broken == ()
    assert judge(run | {"processes": [dead, dead]}, objectives).broken == ("killed", "need_cut_off")


@pytest.mark.parametrize("sign", [">=", ">", "<=", "<"])
def test_a_run_that_ended_too_soon_is_no_answer(sign):
    conditions = [condition_of("oom_kills = 0"), condition_of(f"first_oom_ns {sign} 61 s")]
    with pytest.raises(TooShortError, match="ended at 1 min by itself, and nobody had been") as it:
        judge(result(), conditions)
    assert it.value.number == 1
    assert judge(result(kills=1), conditions).broken == ("oom_kills is 1",)


TRUE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


@given(st.sampled_from(sorted(TRUE)), st.integers(0, 100), st.integers(1, 100), st.integers(1, 150))
@example(">=", 60, 60, 61)
@example("<", 60, 60, 61)
def test_where_it_is_cut_off_it_is_judged_as_if_it_had_gone_on(sign, limit_s, ended_s, first_s):
    """Whenever the first kill would have been: what is told of a run is true, or it is refused."""
    run = result(first_s=first_s if first_s <= ended_s else None, ended_s=ended_s)
    condition = Condition("first_oom_ns", sign, limit_s * S)
    try:
        passed = judge(run, [condition]).passed
    except TooShortError:
        assert first_s > ended_s < limit_s
    else:
        assert passed == TRUE[sign](first_s, limit_s)


# -- a plan, from end to end ------------------------------------------------------------

SCENARIO = """\
version: 1
host: {memory: 1 GiB, cpus: 2}
groups: {web: {memory_max: 64 MiB}}
processes:
  web:
    program: prefork_web
    app: 4 MiB
    workers: 2
    worker_heap: 1 MiB
    requests: 50/s
    request_cpu: 1 ms
    eroded_pages: 4
    leak: 64 KiB
    max_requests: 100
    duration: 8 s
    group: web
run: {horizon: 6 s}
"""
STUDY = """\
version: 1
name: leak
base: ./web.yaml
plan:
  {minimise: groups.web.memory_max, in: [12 MiB, 64 MiB], resolution: 0.2, probes: 1, curve: 1}
objectives:
  {share: 0.5, confidence: 0.9, each_run: ["first_oom_ns >= 4 s"]}
seed: 1
"""


@pytest.fixture
def leak(tmp_path, monkeypatch):
    (tmp_path / "web.yaml").write_text(SCENARIO)
    (tmp_path / "leak.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_leak_has_a_smallest_limit(leak, capsys):
    assert main(["plan", "leak.yaml", "--jobs", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["answered"]
    assert told["objectives"] == ["first_oom_ns >= 4 s"]
    assert told["neighbour"]["failed"]
    assert told["neighbour"]["why"].startswith("first_oom_ns is ")
    assert "nobody was killed (asked: first_oom_ns >= 4 s)" in " ".join(told["sentences"])


def test_kills_that_come_late_enough_are_no_errors(leak, capsys):
    options = ["--size", "16MiB", "--jobs", "1", "--json"]
    late = "objectives.each_run=['first_oom_ns >= 500 ms']"
    assert main(["plan", "leak.yaml", "--set", late, *options]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "enough"
    rows = (leak / "out" / "leak-plan" / "tables" / "trials.csv").read_text().splitlines()
    assert all(float(row.rpartition(",")[2]) < 4 * S for row in rows[1:])
    assert main(["plan", "leak.yaml", *options]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "not enough"


@pytest.mark.parametrize("command", [["plan", "leak.yaml"], ["explain", "leak.yaml"]])
def test_what_the_horizon_would_hide_is_refused_before_any_run(leak, capsys, command):
    (leak / "leak.yaml").write_text(STUDY.replace(">= 4 s", ">= 1 h"))
    assert main(command) == 2
    assert capsys.readouterr().err == (
        "leak.yaml:7: objectives.each_run.0: first_oom_ns >= 1 h cannot be told of runs that end"
        " at 6 s (run.horizon); set run.horizon to 1 h or more\n"
    )
    assert not (leak / "out").exists()


def test_what_ended_too_soon_is_refused_where_it_is_seen(leak, capsys):
    settings = ["--set", "processes.web.duration=1 s"]
    assert main(["plan", "leak.yaml", *settings, "--jobs", "1"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("leak.yaml:7: objectives.each_run.0: first_oom_ns >= 4 s cannot be told")
    assert told.endswith("let its processes go on until then, or ask `oom_kills = 0`")
