"""The best of several variants is chosen by some runs and judged by others."""

import json
from statistics import mean

import pytest

from sim.base.rng import stream
from sim.cli import main
from sim.cli.comparing import _show_winner
from sim.scenario import load_scenario
from sim.stats.paired import least_pairs
from sim.study.compare import ERROR, N_LOOKS, compare
from sim.study.executor import InlineExecutor
from sim.study.progress import Silent
from sim.study.winner import winner_of

METRIC = "cow_copies"
ENOUGH = least_pairs(ERROR / N_LOOKS)
"""Pairs after which two that differ are told apart, at the first look."""
SMALL = ["processes.redis.dataset=64MiB", "host.memory=1GiB"]
SCENARIOS = {
    cpus: load_scenario("redis_bgsave", [*SMALL, f"host.cpus={cpus}"]) for cpus in range(1, 9)
}


def simulating(value, seen=None, errors=()):
    """Return what carries out runs that have `value(cpus, replication)` of the metric."""

    def simulate(scenario, *, seed, replication):
        cpus = scenario["host"]["cpus"]
        if seen is not None:
            seen.setdefault(cpus, []).append(replication)
        found = value(cpus, replication)
        error = {"code": "refused", "severity": "error", "what": "was refused"}
        told = [error] if cpus in errors else []
        return {"metrics": {METRIC: found}, "validity": told, "simulated_ns": 10**9}

    return InlineExecutor(simulate)


def chosen(executor, cpus, how="least", most=None):
    """Return the comparison of hosts with so many CPUs, the first the base, and the winner."""
    variants = {f"cpus={n}": SCENARIOS[n] for n in cpus}
    options = {"seed": 1, "most": most}
    found = compare(variants, (METRIC,), executor, Silent(), **options)
    return found, winner_of(found, variants, METRIC, how, executor, Silent(), **options)


def luck(cpus, replication):
    return float(stream(5, replication, "luck", cpus).lognormal())


@pytest.mark.parametrize(("how", "name"), [("least", "cpus=2"), ("most", "cpus=4")])
def test_the_one_with_least_or_most_is_chosen_and_confirmed(how, name, capsys):
    executor = simulating(lambda cpus, r: 100 * cpus + r % 7)
    _, winner = chosen(executor, [3, 2, 4], how)
    assert winner.name == name
    assert winner.told
    assert winner.value == pytest.approx(100 * int(name[-1]) + 3, abs=3)
    assert {row.verdict for row in winner.fresh.rows} == {winner.worse}
    _show_winner(winner, f"{how} {METRIC}")
    said = " ".join(capsys.readouterr().out.split())
    assert f"It is {name} that has {how} {METRIC}: " in said
    assert f"cpus=3 has {winner.worse}: " in said
    assert "These limits hold together in 95 % of choices." in said


def test_no_run_is_used_twice():
    seen = {}
    found, winner = chosen(simulating(lambda cpus, r: 100 * cpus + r % 7, seen), [3, 2])
    assert all(sorted(runs) == list(range(found.n + winner.fresh.n)) for runs in seen.values())


def test_one_that_was_first_by_luck_alone_is_not_confirmed(capsys):
    _, winner = chosen(simulating(luck), [1, 2, 3, 4, 5, 6, 7, 8])
    assert not winner.told
    _show_winner(winner, f"least {METRIC}")
    said = " ".join(capsys.readouterr().out.split())
    assert "but not beyond doubt" in said
    assert " cannot tell" in said


def test_one_that_fresh_runs_refute_is_not_said_to_be_it(capsys):
    turned = simulating(lambda cpus, r: 200.0 if (cpus == 1) == (r >= ENOUGH) else 100.0)
    _, winner = chosen(turned, [1, 2])
    assert (winner.name, winner.beaten, winner.told) == ("cpus=1", True, False)
    _show_winner(winner, f"least {METRIC}")
    said = " ".join(capsys.readouterr().out.split())
    assert f"Which has least {METRIC} cannot be told: cpus=1 was chosen, and another is" in said
    assert "cpus=2 has less by fresh runs: " in said


def test_fresh_runs_without_an_answer_are_not_said_to_have_none(capsys):
    def breaks(scenario, *, seed, replication):
        error = {"code": "refused", "severity": "error", "what": "was refused"}
        return {
            "metrics": {METRIC: 100 * scenario["host"]["cpus"]},
            "validity": [error] if replication >= ENOUGH else [],
            "simulated_ns": 10**9,
        }

    _, winner = chosen(InlineExecutor(breaks), [1, 2])
    assert not winner.told
    _show_winner(winner, f"least {METRIC}")
    said = " ".join(capsys.readouterr().out.split())
    assert "None of the others has any" not in said
    assert "no answer in some of the fresh runs" in said


def test_what_chose_it_flatters_it_and_its_fresh_runs_do_not():
    by_choice, fresh = [], []
    for trial in range(30):
        executor = simulating(lambda cpus, r, trial=trial: luck(cpus, 100 * trial + r))
        found, winner = chosen(executor, [1, 2, 3, 4, 5, 6, 7, 8], most=9)
        by_choice.append(found.middles[winner.name, METRIC])
        fresh.append(winner.value)
    assert mean(by_choice) < 0.7
    assert 0.85 < mean(fresh) < 1.25, "the median is 1"


def test_equal_ones_are_the_same_whatever_was_chosen():
    _, winner = chosen(simulating(lambda cpus, r: 50 + r), [1, 2])
    assert winner.told
    assert [row.verdict for row in winner.fresh.rows] == ["same"]
    _, winner = chosen(simulating(lambda cpus, r: 0), [1, 2])
    assert winner.told
    assert winner.fresh.rows == ()
    assert winner.value == 0


@pytest.mark.parametrize("errors", [set(), {1, 2}])
def test_nobody_has_most_of_what_nobody_has(capsys, errors):
    found, winner = chosen(simulating(lambda cpus, r: 0, errors=errors), [1, 2], "most")
    assert winner is None
    assert found.absent == (set() if errors else {METRIC})
    _show_winner(winner, f"most {METRIC}", nobody=METRIC in found.absent)
    said = capsys.readouterr().out.strip()
    assert (said == f"No run has any {METRIC}: nobody is chosen.") == (not errors)


def test_who_has_no_answer_cannot_be_chosen_and_is_named(capsys):
    _, winner = chosen(simulating(lambda cpus, r: cpus, errors={1}), [1, 2, 3])
    assert winner.name == "cpus=2"
    assert winner.left_out == ("cpus=1",)
    _show_winner(winner, f"least {METRIC}")
    assert "cpus=1 could not be chosen" in " ".join(capsys.readouterr().out.split())
    _, winner = chosen(simulating(lambda cpus, r: cpus, errors={1}), [1, 2])
    assert winner is None
    _show_winner(winner, f"least {METRIC}")
    assert "fewer than two have an answer" in " ".join(capsys.readouterr().out.split())


def test_the_command_chooses_and_its_status_is_about_that_alone(capsys):
    arguments = ["compare", "redis_bgsave", *(p for each in SMALL for p in ("--set", each))]
    arguments += ["--vs", "host.cpus=4", "--least", "minor_faults", "--jobs", "1", "--json"]
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["winner"]["is"] == "least"
    assert document["winner"]["told"] is True
    assert document["winner"]["fresh"]["pairs"] >= 5
    assert {row["metric"] for row in document["rows"]} == {"minor_faults"}
    assert main([*arguments, "--most", "minor_faults"]) == 2
    assert "one of `--least` and `--most`" in capsys.readouterr().err
    assert main(["compare", "redis_bgsave", "--vs", "host.cpus=4", "--least", "mist"]) == 2
    assert "--least" in capsys.readouterr().err
