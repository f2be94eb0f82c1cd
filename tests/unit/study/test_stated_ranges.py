"""A range that a study states is in order and holds the value, seen before anything runs."""

import pytest

from sim.base.errors import ScenarioError
from sim.scenario.study import load_study
from sim.study.base import planner_of
from sim.study.sampled import draws
from sim.study.stated_ranges import check_uncertain

HEAD = """\
version: 1
name: small
base: redis_bgsave
set: {run.horizon: 60 s, processes.redis.writes: 5000/s}
axes: {processes.redis.dataset: [64 MiB, 128 MiB]}
replications: 3
seed: 7
sample: 40
need: {set: {host.memory: 1 GiB}}
"""
WRITES, VALUE, COPY = "processes.redis.writes", "processes.redis.value", "host.prices.cow_copy"


def checked(folder, text, settings=(), head=HEAD):
    path = folder / "small.yaml"
    path.write_text(f"{head}uncertain:\n  {text}\n")
    planner, _ = planner_of(load_study(path, settings))
    check_uncertain(planner)
    return planner


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            f"{VALUE}: {{low: 400 B, likely: 100 B, high: 800 B}}",
            f"small.yaml:11: uncertain.{VALUE}: likely 100 B is below low 400 B; write low <=",
        ),
        (f"{VALUE}: {{low: 400 B, likely: 900 B, high: 800 B}}", "900 B is above high 800 B; "),
        (f"{VALUE}: {{likely: 900 B, high: 800 B}}", "likely 900 B is above high 800 B; "),
        (f"{VALUE}: {{low: 1 KiB, high: 800 B}}", "low 1 KiB is above high 800 B; "),
        (
            f"{WRITES}: {{low: 10000/s, high: 20000/s}}",
            "`set` makes it 5000/s, below low 10000/s; change that, or the ends",
        ),
        (f"{WRITES}: {{high: 60/min}}", "`set` makes it 5000/s, above high 60/min; change that"),
        (
            "processes.redis.save_speed: {low: 300 MiB/s, high: 400 MiB/s}",
            "it is 200 MiB/s, below low 300 MiB/s; add `likely: ...` within the ends, or change",
        ),
        (
            "host.memory: {low: 16 MiB, high: 64 MiB}",
            "`need` makes it 1 GiB, above high 64 MiB; leave it out: the need is measured on a",
        ),
        (f"{VALUE}: {{low: 0 B, likely: 9 B, scale: log}}", "is too small"),
        ("host.swap: {low: 0, likely: 1 MiB, scale: log}", "a logarithmic scale has no 0; begin"),
        (f"{COPY}: {{low: 2 us, high: 1 us}}", "low 2 us is above high 1 us; write the smaller"),
        (f"{COPY}: {{low: 2 us, likely: 900 ns}}", "likely 900 ns is below low 2 us; write low <="),
        (f"{COPY}: {{low: 20 us, high: 30 us}}", " ns, below low 20 us; add `likely: ...` within"),
        (
            f"{VALUE}: {{data: [100 B, 200 B], low: 150 B, likely: 100 B}}",
            "likely 100 B is below low 150 B; write low <= likely <= high",
        ),
    ],
)  # fmt: skip
def test_a_range_that_does_not_hold_its_value_is_refused(tmp_path, given, told):
    with pytest.raises(ScenarioError) as error:
        checked(tmp_path, given)
    assert told in str(error.value)


@pytest.mark.parametrize(
    "given",
    [
        f"{WRITES}: {{low: 5000/s, high: 5000/s}}",
        f"{WRITES}: {{low: 60/min}}",
        "processes.redis.save_speed: {low: 100 MiB/s, likely: 400 MiB/s, high: 1 GiB/s}",
        "processes.redis.dataset: {low: 100 MiB, high: 110 MiB}",  # an axis: the question's own
        f"{COPY}: {{low: 500 ns, likely: 900 ns, high: 2 us, scale: log}}",
        "host.memory: {low: 512 MiB, high: 2 GiB}",
    ],
)
def test_a_range_that_holds_its_value_is_taken(tmp_path, given):
    checked(tmp_path, given)


def test_a_value_set_on_the_command_line_has_to_lie_in_the_range_too(tmp_path):
    text = f"{WRITES}: {{low: 4000/s, high: 8000/s}}"
    with pytest.raises(ScenarioError, match="`set` makes it 9000/s, above high 8000/s"):
        checked(tmp_path, text, [f"{WRITES}=9000/s"])


def test_the_value_is_seen_at_every_level_of_an_axis_that_changes_it(tmp_path):
    dump = "processes.redis.dump: {times: processes.redis.dataset, by: 1}"
    head = HEAD.replace("60 s", f"60 s, {dump}")
    with pytest.raises(ScenarioError, match="`set` makes it 128 MiB, above high 100 MiB"):
        checked(tmp_path, "processes.redis.dump: {low: 1 MiB, high: 100 MiB}", head=head)
    checked(tmp_path, "processes.redis.dump: {low: 1 MiB, high: 200 MiB}", head=head)


def test_the_end_of_a_program_s_own_range_moves_to_a_value_beyond_it(tmp_path):
    """As `Uncertain.ends` says: no range of a program forbids a value."""
    key = "processes.redis.fragmentation"
    head = HEAD.replace("60 s", f"60 s, {key}: 9.0")
    planner = checked(tmp_path, f"{WRITES}: {{low: 1/s}}", head=head)
    values = [each.sets[key] for each, _ in draws(planner, 0, 20, reads_disk=False)]
    assert max(values) <= 9.0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            f"{WRITES}: {{distribution: {{norm: {{loc: 1000/s, scale: 2000/s}}}}}}",
            r"norm \(loc 1000/s, scale 2000/s\) has values that cannot be: -[\d.]+ is negative; cut"
            " it with `low` or `high`",
        ),
        (
            f"{WRITES}: {{distribution: {{norm: {{loc: 1000/s, scale: 500/s}}}}}}",  # 1 in 44
            "has values that cannot be: -",
        ),
        (f"{COPY}: {{distribution: {{norm: {{loc: 1 us, scale: 1 us}}}}}}", "ns is no price; cut"),
        (f"{COPY}: {{distribution: {{norm: {{loc: 1 us, scale: 520 ns}}}}}}", "is no price; cut"),
    ],
)
def test_a_distribution_from_which_is_drawn_what_cannot_be_is_refused(tmp_path, given, told):
    with pytest.raises(ScenarioError, match=told):
        checked(tmp_path, given)


def test_what_will_not_be_drawn_of_a_distribution_is_no_hindrance(tmp_path):
    law = "{norm: {loc: 1000/s, scale: 200/s}}"
    checked(tmp_path, f"{WRITES}: {{distribution: {law}}}")
    law = "{norm: {loc: 1000/s, scale: 2000/s}}"
    checked(tmp_path, f"{WRITES}: {{distribution: {law}, low: 10/s}}")
