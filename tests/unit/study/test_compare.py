import math

import pytest

from sim.base.errors import PartlyDoneError, ScenarioError
from sim.cli.compared import verdict
from sim.cli.comparing import _show
from sim.scenario import load_scenario
from sim.stats.paired import MedianLimits
from sim.study.compare import USUAL, Row, compare, metrics_of
from sim.study.executor import InlineExecutor
from sim.study.progress import Silent

SMALL = ["processes.redis.dataset=64MiB", "host.memory=1GiB"]


def variants(*others):
    return {
        "base": load_scenario("redis_bgsave", SMALL),
        **{other: load_scenario("redis_bgsave", [*SMALL, other]) for other in others},
    }


def compared(simulate, *others, metrics=USUAL, **options):
    executor = InlineExecutor(simulate)
    return compare(variants(*others), metrics, executor, Silent(), seed=1, **options)


def by_metric(found):
    return {row.metric: row for row in found.rows}


def test_what_is_more_and_what_is_the_same_is_told(standin):
    found = compared(standin.simulate, "processes.redis.writes=40000/s")
    rows = by_metric(found)
    assert rows["cow_copies"].verdict == "more"
    assert rows["cow_copies"].limits.low > 1
    assert rows["cpu_busy_fraction"].verdict == "same"
    assert rows["cpu_busy_fraction"].identical
    assert not found.unanswered


def test_a_variant_that_is_no_other_is_the_same(standin):
    found = compared(standin.simulate, "host.cpus=2")
    assert {row.verdict for row in found.rows} == {"same"}


def test_common_random_numbers_are_shown_to_help(standin):
    found = compared(standin.simulate, "processes.redis.fragmentation=1.1", metrics=["cow_copies"])
    (row,) = found.rows
    assert row.gain > 2


def test_peaks_that_are_what_there_was_room_for_are_counted_and_said(standin, capsys):
    def reclaims(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        stolen = 9 if scenario["host"]["cpus"] == 3 and replication % 2 else 0
        return {**result, "metrics": {**result["metrics"], "pages_stolen": stolen}}

    found = compared(reclaims, "host.cpus=3", metrics=["memory_need_bytes.total", "cow_copies"])
    assert found.only_room == {"host.cpus=3": found.n // 2}
    _show(found)
    said = " ".join(capsys.readouterr().out.split())
    assert f"host.cpus=3: in {found.n // 2} of {found.n} runs reclaim took pages" in said
    _show(compared(reclaims, "host.cpus=3", metrics=["cow_copies"]))
    assert "reclaim took" not in capsys.readouterr().out


def test_without_enough_pairs_nothing_is_told(standin):
    found = compared(standin.simulate, "processes.redis.writes=40000/s", most=3)
    assert found.n == 3 < found.n_least
    assert {row.verdict for row in found.rows} == {"cannot tell"}  # the identical ones too
    assert by_metric(found)["cpu_busy_fraction"].identical


def test_it_looks_again_where_it_cannot_tell_and_says_how_many_more_it_takes(standin):
    def noisy(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        other = scenario["host"]["cpus"] == 3
        sign = 1 if (replication * 7 + other * 3) % 5 < 2 else -1
        result["metrics"]["cow_copies"] = 1000 + sign * (300 + 7 * (replication % 11))
        return result

    found = compared(noisy, "host.cpus=3", metrics=["cow_copies"])
    assert found.n == 64
    assert by_metric(found)["cow_copies"].verdict == "cannot tell"


@pytest.mark.parametrize("most", [8, 9, 20, 64, 500])
def test_there_are_no_more_looks_than_the_error_was_divided_among(standin, most):
    found = compared(standin.simulate, "host.cpus=3", metrics=["forks"], most=most)
    assert found.n == min(most, found.n_least)  # told at the first look


def test_runs_that_are_no_answer_are_left_out_and_named(standin):
    found = compared(standin.simulate, "host.memory=80MiB", metrics=["cow_copies"])
    assert list(found.unanswered) == ["host.memory=80MiB"]
    assert found.rows == ()


def waits(standin, count, forks=0):
    """Return what carries out runs of which those on 2 CPUs have `count` waits."""

    def simulate(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        few = scenario["host"]["cpus"] == 2
        times = {"count": count if few else 90_000, "mean": 5, "p50": 3, "p99": 9, "p999": 20}
        more = {"runqueue_wait_ns": times, "forks": forks}
        return {**result, "metrics": {**result["metrics"], **more}}

    return simulate


P99, P999 = "runqueue_wait_ns.p99", "runqueue_wait_ns.p999"


@pytest.mark.parametrize(
    ("count", "forks", "left_out"),
    [(80, 0, (P99, P999)), (500, 0, (P999,)), (5_000, 0, ()), (5_000, 9, (P999,))],
)
def test_percentiles_of_too_few_values_are_not_compared_and_named(
    standin, capsys, count, forks, left_out
):
    """As `run` prints none of them: a p999 of 80 values is the largest."""
    simulate = waits(standin, count, forks)
    found = compared(simulate, "host.cpus=2", metrics=["runqueue_wait_ns.mean", P99, P999])
    assert by_metric(found).keys() == {"runqueue_wait_ns.mean", P99, P999} - {*left_out}
    assert found.too_few.get("host.cpus=2", ()) == left_out
    assert all(("host.cpus=2", metric) not in found.middles for metric in left_out)
    _show(found)
    said = " ".join(capsys.readouterr().out.split())
    assert (f"{P99} is not compared: too few values: p99 needs 500 a run." in said) == (
        P99 in left_out
    )
    assert (f"{P999} is not compared: too few values: p999 needs 5,000 a run" in said) == (
        P999 in left_out
    )
    assert "No pair of runs has any" not in said


def test_a_comparison_of_such_percentiles_alone_says_why_there_is_none(standin, capsys):
    _show(compared(waits(standin, 80), "host.cpus=2", metrics=[P99]), [P99])
    said = " ".join(capsys.readouterr().out.split())
    assert said == f"Nothing can be compared. {P99} is not compared: too few values: p99 needs" + (
        " 500 a run."
    )


def forks_take(standin, ns):
    """Return what carries out runs of which forks take `ns(cpus, replication)`."""

    def simulate(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        result["metrics"]["fork_latency_ns"]["mean"] = ns(scenario["host"]["cpus"], replication)
        return result

    return simulate


FORK = "fork_latency_ns.mean"


def test_the_largest_change_is_told_in_a_sentence(standin, capsys):
    def ns(cpus, replication):
        return {2: 3000, 3: 100, 4: 1500}[cpus] + replication % 2

    _show(compared(forks_take(standin, ns), "host.cpus=3", "host.cpus=4", metrics=[FORK]))
    assert capsys.readouterr().out.splitlines()[0] == (
        f"With host.cpus=3 {FORK} is 0.0333 times (0.0333 to 0.0337) that of base,"
        " 30 times (29.7 to 30) as fast."
    )


def test_what_cannot_be_told_leaves_one_table_and_says_what_it_takes(standin, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    def ns(cpus, replication):
        return 10**6 + (cpus == 3) * (70, -90, 20, -10, 50)[replication % 5] * 1000

    metrics = [FORK, "memory_need_bytes.total"]
    found = compared(forks_take(standin, ns), "host.cpus=3", metrics=metrics, most=12)
    assert by_metric(found)[FORK].verdict == "cannot tell"
    _show(found)
    said = capsys.readouterr().out
    assert said.count("─\n") == 1
    assert f"\nCannot tell: {FORK} +{by_metric(found)[FORK].more_runs} pairs.\n" in said
    assert "With host.cpus" not in said


@pytest.mark.parametrize(("n", "words"), [(1, "pair"), (2, "pairs")])
def test_pairs_that_are_lacking_are_counted_in_words(standin, capsys, n, words):
    half = 0.5 * math.sqrt(1 + n / 10)
    limits = MedianLimits(median=1.5, low=1.5 - half, high=1.5 + half, n=10, confidence=0.99)
    row = Row("b", "cow_copies", 1.0, 1.5, True, limits, False, None, 10)
    assert verdict(row) == f"cannot tell: +{n} {words}"
    _show(compared(standin.simulate, "host.cpus=2", metrics=["forks"], most=n))
    assert f"Medians over {n} {words} of runs with the same" in capsys.readouterr().out


def test_pairs_that_are_left_out_are_not_said_to_have_none_of_it(standin, capsys):
    found = compared(standin.simulate, "host.memory=80MiB", metrics=["cow_copies"])
    assert found.left_out == {"host.memory=80MiB": found.n}
    _show(found, ["cow_copies"])
    said = " ".join(capsys.readouterr().out.split())
    assert "host.memory=80MiB: no answer in all runs, which are left out: " in said
    assert f"Nothing can be compared: all {found.n} pairs of runs are left out." in said
    both = compared(standin.simulate, "host.memory=80MiB", metrics=["cow_copies", "oom_kills"])
    _show(both, ["cow_copies", "oom_kills"])
    said = " ".join(capsys.readouterr().out.split())
    assert f"Of cow_copies all {both.n} pairs of runs are left out." in said


def test_the_first_run_is_in_no_time_that_is_left_and_others_are_told_as_they_end(standin):
    told = []

    class Told(Silent):
        def begin(self, what, n_runs, work):
            told.append(("begin", n_runs))

        def advance(self, work):
            told.append("ended")

        def note(self, what):
            told.append("note")

    def simulate(scenario, *, seed, replication):
        told.append("run")
        return standin.simulate(scenario, seed=seed, replication=replication)

    found = compare(
        variants("host.cpus=3"), ["forks"], InlineExecutor(simulate), Told(), seed=1, most=9
    )
    assert told[:5] == ["note", "run", "ended", ("begin", 2 * found.n - 1), "run"]
    assert told[4:] == ["run", "ended"] * (2 * found.n - 1)


def test_a_run_that_fails_says_which(standin):
    def breaks(scenario, *, seed, replication):
        if replication == 1:
            raise RuntimeError("no luck")
        return standin.simulate(scenario, seed=seed, replication=replication)

    with pytest.raises(PartlyDoneError, match="run 1 of .* failed: .*no luck"):
        compared(breaks, "host.cpus=2")


def test_metrics_that_runs_do_not_have_are_refused():
    with pytest.raises(ScenarioError, match="did you mean 'fork_latency_ns.mean'"):
        metrics_of(["fork_latency"])
