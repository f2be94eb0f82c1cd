"""Rows of the time series: evenly spaced, at most 1,000, as if the spacing had been known."""

import pytest

from sim.base.units import MS, US
from sim.engine.run import simulate
from sim.machine.layout import MOST_SAMPLES
from sim.scenario import resolve


def series(run, burst=None, times=60):
    steps = [
        {"mmap": {"name": "A", "size": "1 MiB"}},
        {"repeat": {"times": times, "steps": [
            {"write": {"region": "A", "pattern": {"uniform": 20}}},
            {"sleep": "55 ms"},
            {"dontneed": {"region": "A", "pages": 100}},
        ]}},
    ]  # fmt: skip
    scenario = resolve({
        "version": 1,
        "host": {"memory": "64 MiB"},
        "processes": {"p": {"program": "steps", "steps": steps}},
        "run": run,
    })  # fmt: skip
    return simulate(scenario, seed=1, burst=burst).document["series"]


@pytest.mark.parametrize("every_ns", [MS, 700 * US, 7])
def test_rows_are_those_of_the_final_spacing(every_ns):
    found = series({"sample_every": f"{every_ns} ns"})
    spacing = found["t_ns"][1]
    doublings = (spacing // every_ns).bit_length() - 1
    assert spacing == every_ns << doublings
    assert found["t_ns"] == [n * spacing for n in range(len(found["t_ns"]))]
    assert MOST_SAMPLES // 2 < len(found["t_ns"]) <= MOST_SAMPLES
    assert found == series({"sample_every": f"{spacing} ns"})


def test_the_longest_burst_changes_no_row():
    assert series({}) == series({}, burst=1)


def test_a_horizon_changes_no_row_before_it():
    whole, cut = series({}), series({"horizon": "2 s"})
    step = cut["t_ns"][1]
    assert cut["t_ns"][-1] <= 2 * 10**9
    kept = [row for row, t_ns in enumerate(whole["t_ns"]) if t_ns in set(cut["t_ns"])]
    at = [t_ns // step for t_ns in (whole["t_ns"][row] for row in kept)]
    assert len(kept) > 400
    for name, values in whole.items():
        assert [values[row] for row in kept] == [cut[name][n] for n in at]


def test_few_rows_stay_as_far_apart_as_was_asked():
    found = series({"sample_every": "10 ms"}, times=5)
    assert found["t_ns"] == [n * 10 * MS for n in range(len(found["t_ns"]))]
