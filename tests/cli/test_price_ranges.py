"""`cowpool run` says how far times move with the prices that they were simulated with."""

import json
import re

import pytest
import yaml
from support.commands import cowpool_here

from sim.base.limits import LimitReachedError
from sim.base.units import format_duration
from sim.cli.price_ranges import MOST_WORK, range_sentences
from sim.cost.bounds import prices_at

SMALL = (
    "processes.redis.dataset=4MiB",
    "host.memory=64MiB",
    "processes.redis.save_every=100ms",
    "processes.redis.writes=20000/s",
)


def run(tmp_path, *arguments):
    settings = [word for setting in SMALL for word in ("--set", setting)]
    return cowpool_here("run", "redis_bgsave", *settings, *arguments, cwd=tmp_path)


def flat(text):
    return " ".join(text.split())


def test_requests_are_those_of_runs_with_all_prices_low_and_high(tmp_path):
    """Each end is made again as a scenario of its own, from the document of the first run."""
    told = flat(run(tmp_path).stdout)
    found = [json.loads(run(tmp_path, "--json").stdout)]
    scenario = found[0]["provenance"]["scenario"]
    for end in ("low", "high"):
        prices = prices_at(scenario["host"]["prices"], end)
        moved = {**scenario, "host": {**scenario["host"], "prices": prices}}
        (tmp_path / "end.yaml").write_text(yaml.safe_dump(moved))
        ran = cowpool_here("run", "end.yaml", "--json", cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        found.append(json.loads(ran.stdout))
    for words, key in (("take", "mean"), ("at most", "p99"), ("slowest", "max")):
        values = sorted(each["metrics"]["request_latency_ns"][key] for each in found)
        low, high = (format_duration(round(values[at])) for at in (0, -1))
        assert low != high
        assert f"{words} {low} to {high}" in told.partition("two more runs")[2]


def test_they_are_left_out_where_nobody_wants_them(tmp_path):
    assert "two more runs" in run(tmp_path, "--price-ranges").stdout
    assert "two more runs" not in run(tmp_path, "--no-price-ranges").stdout
    assert "price" not in run(tmp_path, "--json").stderr


def test_a_vfork_has_a_range_too(tmp_path):
    steps = "[{vfork: {name: c, steps: [{exec: sh}]}}, {wait: c}]"
    process = f"{{program: steps, steps: {steps}}}"
    (tmp_path / "v.yaml").write_text(
        f"version: 1\nhost: {{memory: 64 MiB}}\nprocesses: {{p: {process}}}\n"
    )
    told = flat(cowpool_here("run", "v.yaml", cwd=tmp_path).stdout)
    held = r"vforks hold the parent for [0-9.]+ us to [0-9.]+ ms\."
    assert re.search(r"\(two more runs\) " + held, told)


def document(count=100, faults=5, **ways):
    latency = {"count": count, "mean": 1000.0, "p99": 2000.0, "max": 3000.0}
    none = {"count": 0, "mean": None, "p99": None, "max": None}
    metrics = {"request_latency_ns": latency, "vfork_latency_ns": none}
    metrics |= {"minor_faults": faults, "major_faults": 0}
    scenario = {"host": {"prices": {}}}
    return {
        "answered": True,
        "metrics": metrics,
        "provenance": {"scenario": scenario},
        "validity": [],
    } | ways


def test_a_large_run_is_not_made_again_unasked():
    def again(scenario):
        raise AssertionError("it was made again")

    (said,) = range_sentences(document(faults=MOST_WORK), again, None)
    assert "`--price-ranges` makes two more runs" in said
    ends = range_sentences(document(faults=MOST_WORK), lambda scenario: document(), True)
    assert "two more runs" in ends[0]


@pytest.mark.parametrize(
    "lost",
    [document(answered=False), document(count=0)],
    ids=["no answer", "no requests"],
)
def test_nothing_is_told_of_what_there_is_not(lost):
    assert range_sentences(lost, lambda scenario: document(), None) == []


def test_an_end_without_an_answer_says_why():
    finding = {"severity": "error", "where": "redis", "what": "5 of 9 were not begun"}
    lost = document(answered=False, validity=[finding])
    (said,) = range_sentences(document(), lambda scenario: lost, None)
    assert said == "With all prices low it has no answer: redis: 5 of 9 were not begun."


def test_an_end_that_reaches_a_limit_keeps_the_answer():
    def again(scenario):
        raise LimitReachedError("it took longer than 1 s")

    (said,) = range_sentences(document(), again, None)
    assert said.startswith("With all prices low it cannot be run: it took longer")
