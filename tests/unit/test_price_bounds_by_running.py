"""Ranges told from the work of one run are what runs with other prices show."""

import pytest

from sim.cost.bounds import PRICED, mean_range, prices_at
from sim.engine.run import simulate
from sim.scenario import load_scenario

SETTINGS = [
    "processes.redis.dataset=64MiB",
    "processes.redis.save_every=200ms",
    "host.memory=512MiB",
]


def run(resolved):
    return simulate(resolved, seed=1).to_json()


@pytest.mark.parametrize("profile", ["ec2_hvm", "xeon_4210r"])
def test_a_fork_with_all_prices_low_or_high_takes_as_long_as_its_units_say(profile):
    resolved = load_scenario("redis_bgsave", [*SETTINGS, f"host.profile={profile}"])
    prices = resolved["host"]["prices"]
    middle = run(resolved)
    told = mean_range(
        middle["metrics"]["fork_latency_ns"],
        middle["work"],
        prices,
        PRICED["fork_latency_ns"],
    )
    for end, said_ns in (("low", told.low_ns), ("high", told.high_ns)):
        host = {**resolved["host"], "prices": prices_at(prices, end)}
        seen = run({**resolved, "host": host})["metrics"]["fork_latency_ns"]["mean"]
        assert seen == pytest.approx(said_ns, rel=0.01)  # a histogram's bucket
    assert told.low_ns < 0.9 * middle["metrics"]["fork_latency_ns"]["mean"]


def test_the_fork_of_a_large_process_has_the_range_that_its_prices_have():
    """By hand: 6,553,600 entries at 26.3 to 90 ns, 12,800 tables, and a little."""
    prices = load_scenario("redis_bgsave", ["host.profile=ec2_hvm"])["host"]["prices"]
    pages = 25 * 2**30 // 4096
    units = {
        "fork_base": 1, "fork_area": 5, "fork_table": pages // 512,
        "fork_pte": pages, "fork_folio": pages, "fork_flush": 1,
    }  # fmt: skip
    work = {
        line: {"units": n, "ns": n * prices[line]["value_ps"] // 1000} for line, n in units.items()
    }
    mean = sum(line["ns"] for line in work.values())
    told = mean_range({"count": 1, "mean": mean}, work, prices, PRICED["fork_latency_ns"])
    assert [round(ns / 1e6) for ns in (told.low_ns, mean, told.high_ns)] == [135, 248, 616]


@pytest.mark.parametrize("fork", ["cow", "eager", "on_demand", "async"])
def test_a_mean_lies_within_its_range_whoever_does_the_work(fork):
    """The child of an Async-fork copies most tables: that is work, and no stall of its parent."""
    resolved = load_scenario("redis_bgsave", [*SETTINGS, f"policy.fork={fork}"])
    document = run(resolved)
    for name, lines in PRICED.items():
        latency = document["metrics"][name]
        told = mean_range(latency, document["work"], resolved["host"]["prices"], lines)
        assert told.low_ns < latency["mean"] < told.high_ns
