"""Where nothing feeds back on memory, and what a run says of the same one where there is more."""

from copy import deepcopy

import pytest

from sim.base.units import MIB, PAGE_BYTES
from sim.engine.run import simulate
from sim.scenario.conditions import condition_of
from sim.scenario.resolve import resolve
from sim.study.feedback import differ_in_room, fits, is_same_run, managed, nothing_feeds_back
from sim.study.judged import judge
from sim.study.one_run import OneRun, is_one_run, spread

S = 1_000_000_000
NO_KILL = (condition_of("oom_kills = 0"),)


def scenario(memory=64, *, limit=None, **changes):
    """Return a Redis of 8 MiB in a group, resolved; `changes` of parts, by the part's name."""
    asked = {
        "version": 1,
        "host": {"memory": memory * MIB, "cpus": 2, **changes.get("host", {})},
        "policy": changes.get("policy", {}),
        "groups": {
            "pod": {"memory_max": None if limit is None else limit * MIB},
            **changes.get("groups", {}),
        },
        "processes": {
            "redis": {
                "program": "redis",
                "dataset": 8 * MIB,
                "writes": 4000.0,
                "save_every": S // 10,
                "save_speed": 20 * MIB,
                "group": "pod",
                **changes.get("redis", {}),
            },
            **changes.get("processes", {}),
        },
        "run": {"horizon": 10 * S, **changes.get("run", {})},
    }
    return resolve(asked)


def run(resolved, replication=0):
    return simulate(resolved, seed=5, replication=replication).document


STEPS = {"other": {"program": "steps", "steps": [{"sleep": 1000}]}}


@pytest.mark.parametrize(
    "changes",
    [
        {"host": {"swap": 64 * MIB}},
        {"host": {"thp": "madvise"}},
        {"host": {"thp_sizes": {"64 KiB": "always"}}},
        {"host": {"nr_hugepages": 2}},
        {"host": {"overcommit": 2}},
        {"host": {"kernel": "4.19"}},  # its guess at what is free refuses
        {"host": {"zones": [{"name": n, "memory": 32 * MIB} for n in ("DMA32", "Normal")]}},
        {"policy": {"memory": "wait"}},
        {"policy": {"eviction": {"memory_available": MIB}}},
        {"policy": {"replacement": "lru"}},
        {"policy": {"fork": "eager"}},
        {"policy": {"fork": "async"}},
        {"policy": {"zeroing": "at_free"}},
        {"policy": {"zeroing": {"idle": MIB}}},
        {"groups": {"pod": {"memory_high": 32 * MIB}}},
        {"redis": {"dump": MIB}},
        {"processes": STEPS},
        {"run": {"warmup": S}},
        {"run": {"expect": ["killed"]}},
    ],
)
def test_what_may_feed_back_is_never_taken_for_what_does_not(changes):
    assert nothing_feeds_back(scenario())
    assert not nothing_feeds_back(scenario(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"host": {"cpus": 4}},
        {"host": {"hz": 1000}},
        {"redis": {"writes": 4001.0}},
        {"redis": {"nice": 1}},
        {"groups": {"pod": {"memory_low": MIB}}},
        {"groups": {"pod": {}, "more": {}}},
    ],
)
def test_sizes_that_differ_in_more_than_memory_are_not_one_run(changes):
    assert differ_in_room(scenario(64), scenario(65))
    assert not differ_in_room(scenario(64), scenario(65, **changes))
    assert not differ_in_room(scenario(65), scenario(64))
    assert is_one_run(scenario(64), scenario(65), NO_KILL)
    assert not is_one_run(scenario(64), scenario(65, **changes), NO_KILL)
    assert not is_one_run(scenario(64), scenario(65), (condition_of("free_pages.min > 5"),))


def test_what_only_a_kill_reads_may_differ():
    """The kubelet gives a Burstable pod an `oom_score_adj` by the size of its node."""
    pods = {"pod": {"requests": {"memory": 16 * MIB}, "limits": {"memory": 32 * MIB}}}
    small, large = scenario(64, groups=pods), scenario(128, groups=pods)
    adjusted = [s["processes"]["redis"]["oom_score_adj"] for s in (small, large)]
    assert adjusted[0] < adjusted[1]
    assert is_same_run(small, run(small), large)
    metrics = [run(each)["metrics"] for each in (small, large)]
    assert all(metrics[0][k] == metrics[1][k] for k in metrics[0] if k != "free_pages")


def test_limits_of_groups_are_in_order_too():
    assert differ_in_room(scenario(limit=16), scenario(limit=17))
    assert differ_in_room(scenario(limit=16), scenario())
    assert not differ_in_room(scenario(limit=17), scenario(limit=16))
    assert not differ_in_room(scenario(), scenario(limit=16))


def test_a_run_that_met_nothing_is_the_same_where_there_is_more():
    small, large = scenario(64), scenario(128)
    result = run(small)
    assert judge(result, NO_KILL).passed
    assert is_same_run(small, result, large)
    assert is_same_run(small, result, small)
    assert not is_same_run(large, run(large), small)  # it may be that too little is left


@pytest.mark.parametrize(
    "metric", ["oom_kills", "allocation_stalls", "pages_scanned", "major_faults", "fork_failures"]
)
def test_a_run_that_was_short_or_does_not_say_is_not_known_to_be_the_same(metric):
    small, large = scenario(64), scenario(128)
    result = run(small)
    metrics = {key: value for key, value in result["metrics"].items() if key != metric}
    assert not is_same_run(small, {**result, "metrics": metrics}, large)
    assert not is_same_run(small, {**result, "metrics": {**metrics, metric: 1}}, large)


def test_a_run_that_woke_kswapd_is_not_known_to_be_the_same():
    """One page above what kswapd is woken at, with what a step may hide, and one below."""
    small, large = scenario(64), scenario(65)
    result = deepcopy(run(small))
    low = result["host"]["low_pages"]
    result["metrics"]["free_pages"]["min"] = low + 64
    assert is_same_run(small, result, large)
    result["metrics"]["free_pages"]["min"] = low + 63
    assert not is_same_run(small, result, large)


def test_lists_of_cpus_may_take_what_a_slightly_larger_host_has_more():
    small = scenario(64)
    result = deepcopy(run(small))
    result["metrics"]["free_pages"]["min"] = result["host"]["low_pages"] + 64
    memory = 64 * MIB + PAGE_BYTES
    zones = [{"name": "Normal", "memory": memory}]
    page = resolve({**small, "host": {**small["host"], "memory": memory, "zones": zones}})
    assert managed(page) == managed(small) + 1
    assert not is_same_run(small, result, page)


def test_a_limit_that_was_met_even_by_a_batch_says_nothing_of_larger_ones():
    least = next(mib for mib in range(8, 64) if judge(run(scenario(limit=mib)), NO_KILL).passed)
    near, wide = scenario(limit=least), scenario(limit=4 * least)
    refused = run(near)["groups"]["pod"]["events"]["failcnt"]
    assert is_same_run(near, run(near), wide) == (refused == 0)
    assert is_same_run(wide, run(wide), scenario())
    assert fits(near, run(wide))
    assert not fits(scenario(limit=8), run(wide))


def one_run(sizes):
    scenarios = [scenario(mib) for mib in sizes]
    return OneRun(lambda size: scenarios[size], len(sizes)), [run(each) for each in scenarios]


def test_a_guess_is_next_to_the_threshold_and_larger_sizes_are_known():
    sizes = range(12, 33)
    one, results = one_run(sizes)
    passed = [judge(result, NO_KILL).passed for result in results]
    threshold = passed.index(True)
    assert one.guess() is None
    one.note(threshold - 1, results[threshold - 1], judge(results[threshold - 1], NO_KILL))
    assert one.guess() is None  # it failed
    one.note(20, results[20], judge(results[20], NO_KILL))
    assert one.guess() in (threshold - 1, threshold)
    assert one.known(19) is None
    assert one.known(20) is None
    one.note(threshold + 1, results[threshold + 1], judge(results[threshold + 1], NO_KILL))
    known = one.known(19)
    assert known is not None
    assert known.known
    assert known.passed
    assert known.values == judge(results[19], NO_KILL).values
    assert one.is_as_known(19, results[19])
    other = {**results[19], "metrics": {**results[19]["metrics"], "context_switches": 3}}
    assert not one.is_as_known(19, other)
    assert not one.is_as_known(threshold + 1, results[threshold + 1])  # which nothing tells


def test_what_is_checked_is_spread_over_all():
    assert spread(range(100)) == [n * 100 // 12 for n in range(12)]
    assert spread(range(3)) == [0]
