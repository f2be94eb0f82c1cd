"""Who zeroes frames: the fault, whoever gives them back, or CPUs that are idle."""

import json

import pytest

from sim.base.errors import ScenarioError
from sim.cost.catalogue import price_spec
from sim.engine.run import simulate
from sim.scenario.resolve import resolve

FLAT = {"zero_fill": "1000 ns", "frame_free": "50 ns"}
STAGES = {"zero_fill": {"trap": 0.6, "zero": 0.4}}
MODES = ["demand", "at_free", {"idle": "400 KiB"}]


def map_(name, pages):
    return {"mmap": {"name": name, "size": f"{pages} pages"}}


def scenario(zeroing, steps, **host):
    machine = {"memory": "8 MiB", "kernel_reserve": "1 MiB", "cpus": 1, "percpu_batch": 0}
    return {
        "version": 1,
        "host": {**machine, "prices": FLAT, "stages": STAGES, **host},
        "policy": {"zeroing": zeroing},
        "processes": {"p": {"program": "steps", "steps": steps}},
    }


def run(said, **how):
    return simulate(resolve(said), seed=1, check=True, **how).to_json()


def units(document, name):
    return document["work"].get(name, {"units": 0})["units"]


def test_whoever_gives_frames_back_zeroes_them():
    """Frames, page tables and all; faults are cheaper by as much as the profile says."""
    document = run(scenario("at_free", [map_("A", 300), {"write": "A"}, {"munmap": "A"}]))
    assert units(document, "ready_fill") == document["metrics"]["zero_fills"] == 300
    assert units(document, "zero_fill") == 0
    given_back = units(document, "frame_free") + units(document, "table_free")
    assert units(document, "page_zero") == given_back > 300
    assert document["work"]["ready_fill"]["ns"] == 300 * 600
    assert document["work"]["page_zero"]["ns"] == given_back * 400


def test_reclaim_zeroes_what_it_takes():
    steps = [{"mmap": {"name": "F", "size": "500 pages", "file": "f"}}, {"read": "F"},
             map_("A", 1600), {"write": "A"}]  # fmt: skip
    document = run(scenario("at_free", steps))
    stolen = units(document, "page_stolen")
    assert stolen > 0
    given_back = units(document, "frame_free") + units(document, "table_free") + stolen
    assert units(document, "page_zero") == given_back


def test_idle_cpus_zero_as_many_as_they_have_time_for():
    """A full stock at first, whose first page is the program's stack; then 20 us of sleep."""
    steps = [map_("A", 150), {"write": "A"}, {"sleep": "20 us"}, {"write": "B"}]
    steps.insert(3, map_("B", 150))
    document = run(scenario({"idle": "400 KiB"}, steps))
    assert document["metrics"]["zero_fills"] == 300
    assert units(document, "ready_fill") == 99 + 20_000 // 400
    assert units(document, "page_zero") == 0  # nobody's work: the CPU was idle


def test_the_stock_is_told_over_time():
    """40 of 100 pages are left at first; every 4 us of idling zeroes ten."""
    steps = [map_("A", 59), {"write": "A"}, {"sleep": "36 us"}, map_("B", 90), {"write": "B"}]
    said = scenario({"idle": "400 KiB"}, steps)
    said["run"] = {"sample_every": "4 us"}
    found = run(said)["series"]
    written = max(found["anon_pages"][: found["anon_pages"].index(60) + 1])
    asleep = found["anon_pages"].count(written)
    first = found["anon_pages"].index(written)
    told = found["zeroed_pages"][first : first + asleep]
    assert told[0] - 40 in range(10)
    assert [later - told[0] for later in told] == [
        min(10 * n, 100 - told[0]) for n in range(asleep)
    ]
    assert found["zeroed_pages"][-1] == 100 - 90
    for burst in (1, 7):
        assert run(said, burst=burst)["series"] == found


def test_no_more_is_zeroed_than_is_free():
    """The stock may be larger than what is left."""
    steps = [map_("A", 1500), {"write": "A"}, {"sleep": "10 ms"}]
    found = run(scenario({"idle": "6 MiB"}, steps))["series"]
    pairs = list(zip(found["zeroed_pages"], found["free_pages"], strict=True))
    assert all(zeroed <= free for zeroed, free in pairs)
    assert (280, 280) in pairs


def test_a_stock_is_bounded():
    """Negative control of the test above: ten times as long a sleep fills it once."""
    steps = [map_("A", 150), {"write": "A"}, {"sleep": "200 us"}, map_("B", 150), {"write": "B"}]
    document = run(scenario({"idle": "400 KiB"}, steps))
    assert units(document, "ready_fill") == 99 + 100


def test_a_busy_cpu_zeroes_nothing():
    steps = [map_("A", 150), {"write": "A"}, {"compute": "200 us"}, map_("B", 150), {"write": "B"}]
    document = run(scenario({"idle": "400 KiB"}, steps))
    assert units(document, "ready_fill") == 99


def test_an_idle_neighbour_zeroes():
    """On two CPUs the second has nothing to do, and zeroes while the first computes."""
    steps = [map_("A", 150), {"write": "A"}, {"compute": "200 us"}, map_("B", 150), {"write": "B"}]
    document = run(scenario({"idle": "400 KiB"}, steps, cpus=2))
    assert units(document, "ready_fill") == 300


@pytest.mark.parametrize("zeroing", MODES)
def test_where_a_burst_ends_leaves_no_trace(zeroing):
    """Forks, children that exit, sleeps and an idle CPU among it; the faults are the same."""
    child = [{"write": {"region": "A", "pages": 200}}, map_("B", 100), {"write": "B"}]
    steps = [
        map_("A", 400),
        {"write": "A"},
        {"fork": {"name": "one", "steps": child}},
        {"sleep": "30 us"},
        {"fork": {"name": "two", "steps": child}},
        {"write": {"region": "A", "pattern": {"uniform": 300}}},
        {"wait": "one"},
        {"munmap": "A"},
        map_("C", 300),
        {"write": "C"},
    ]
    said = scenario(zeroing, steps, cpus=2)
    runs = [json.dumps(run(said, burst=burst)) for burst in (0, 1, 7)]
    assert runs[0] == runs[1] == runs[2]
    metrics = json.loads(runs[0])["metrics"]
    assert metrics["zero_fills"] == 400 + 2 * 100 + 300


def test_prices_follow_from_the_stage_unless_they_are_said():
    said = scenario("at_free", [])
    prices = resolve(said)["host"]["prices"]
    means = {name: price_spec(prices[name]).mean_ns for name in ("ready_fill", "page_zero")}
    assert means == {"ready_fill": 600, "page_zero": 400}
    assert prices["page_zero"]["source"] == "assumed: 40 % of zero_fill, its stage `zero`"
    said["host"]["prices"] = {**FLAT, "page_zero": "123 ns"}
    assert price_spec(resolve(said)["host"]["prices"]["page_zero"]).mean_ns == 123


@pytest.mark.parametrize("zeroing", MODES)
def test_a_resolved_scenario_resolves_to_itself(zeroing):
    resolved = resolve(scenario(zeroing, []))
    assert resolve(resolved) == resolved


@pytest.mark.parametrize("zeroing", MODES[1:])
def test_huge_pages_are_refused(zeroing):
    with pytest.raises(ScenarioError, match="zeroing of huge pages apart from faults"):
        resolve(scenario(zeroing, [], thp="always"))
    resolve(scenario("demand", [], thp="always"))
