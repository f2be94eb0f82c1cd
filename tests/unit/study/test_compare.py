import pytest

from sim.base.errors import PartlyDoneError, ScenarioError
from sim.cli.comparing import _show
from sim.scenario import load_scenario
from sim.study.compare import USUAL, compare, metrics_of
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
