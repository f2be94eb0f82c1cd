import re
from pathlib import Path

import pytest

from sim.base.resources import shipped
from sim.program import PROGRAMS
from sim.program.signature import parameters_of
from sim.scenario import load_scenario
from sim.study.comparisons import Row, factors_at, model_error, read_comparison

ROOT = Path(__file__).parents[3]


def error(*settings, scenario="redis_bgsave"):
    return model_error(load_scenario(scenario, settings))


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [("40", 2, 10), ("200", 2, 14), ("1000", 2, 6), ("4000", 2, 2), ("600", 2, 14), ("2000", 2, 6)],
)
def test_real_servers_copy_more_by_size_of_value(value, low, high):
    found = error(f"processes.redis.value={value}B")
    assert (round(100 * found.low), round(100 * found.high)) == (low, high)
    assert found.unlike == ""
    assert found.part == "cow_copies"


def test_what_nobody_compared_is_said():
    assert error("processes.redis.key_distribution=zipf").unlike == "key distribution zipf"
    assert error("processes.redis.value=10B").unlike == "value 10 B"
    assert error(scenario="prefork_web") is None


def test_a_plug_in_of_the_same_name_is_another_program():
    scenario = load_scenario("redis_bgsave")
    assert model_error(scenario, {**PROGRAMS, "redis": PROGRAMS["heap_growth"]}) is None
    assert model_error(scenario, {**PROGRAMS}) is not None


def test_between_two_comparisons_it_may_be_either():
    rows = [Row(at="1 KiB", times=1.1), Row(at="4 KiB", times=1.3), Row(at="2 KiB", times=1.2)]
    assert factors_at(rows, 2048) == (1.2,)
    assert factors_at(rows, 3000) == (1.2, 1.3)
    assert factors_at(rows, 10) == (1.1,)
    assert factors_at(rows, 10**6) == (1.3,)


@pytest.mark.parametrize("name", shipped("comparisons"))
def test_every_comparison_is_of_a_parameter_and_has_a_source_that_is_there(name):
    comparison = read_comparison(name)
    assert comparison.program == name
    keys = {parameter.key for parameter in parameters_of(PROGRAMS[name])}
    assert {comparison.by, *comparison.when} <= keys
    page = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")
    for series in comparison.series:
        number = re.search(r"\bA\d+\b", series.source)[0]
        assumption = page.partition(f"**{number}.")[2].partition("\n**A")[0]
        for row in series.rows:
            assert f"{100 * (row.times - 1):.0f} %" in " ".join(assumption.split()), (number, row)
