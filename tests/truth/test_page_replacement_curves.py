"""experiments/008_page_replacement: its tables are what its commands find."""

import re
import runpy
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from sim.policy.replacement import fault_curve
from sim.program.zipf import zipf_shares
from sim.stats.independent import product_form_hit_ratio

pytestmark = pytest.mark.truth

FOLDER = Path(__file__).parents[2] / "experiments" / "008_page_replacement"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
TABLES = {
    name: [re.split(r" *\| *", row.strip("| ")) for row in (head, *rows.splitlines())]
    for name, head, rows in re.findall(
        r"^\| (\w+): [\w ]+ (\|.*\|)\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.M
    )
}


@cache
def references(name):
    if name == "belady":
        return list("123412512345")
    drawn = runpy.run_path(str(FOLDER / "traces.py"))["TRACES"][name]
    return drawn(np.random.default_rng(1)).tolist()


def hit_ratios(name, policy, frames):
    pages = references(name)
    if policy == "product form":
        return [product_form_hit_ratio(zipf_shares(100, 1.0), n) for n in frames]
    return [1 - n / len(pages) for n in fault_curve(policy, pages, frames)]


@pytest.mark.parametrize("name", ["loop", "zipf", "phases"])
def test_the_tables_hit_ratios_are_found(name):
    policies, *rows = TABLES[name]
    frames = [int(row[0]) for row in rows]
    assert policies[:6] == ["fifo", "clock", "lru", "mglru_like", "random", "opt"]
    for column, policy in enumerate(policies, 1):
        found = [f"{ratio:.1%}" for ratio in hit_ratios(name, policy, frames)]
        assert [row[column] for row in rows] == found, policy


def test_beladys_anomaly_is_in_the_table():
    policies, *rows = TABLES["belady"]
    for column, policy in enumerate(policies, 1):
        faults = fault_curve(policy, references("belady"), [int(row[0]) for row in rows])
        assert [int(row[column]) for row in rows] == faults
        assert (sorted(faults, reverse=True) != faults) == (
            policy in {"fifo", "clock", "mglru_like"}
        )


@pytest.mark.parametrize("frames", [2, 10, 50, 99])
def test_who_knows_the_future_finds_all_but_one_frames_worth_of_a_loop(frames):
    """(m - 1) / (n - 1) of the references after the first round, to within one round."""
    (faults,) = fault_curve("opt", references("loop"), [frames])
    expected = 100 + (20_000 - 100) * (100 - frames) / 99
    assert abs(faults - expected) <= 100
    assert fault_curve("lru", references("loop"), [frames]) == [20_000]


def test_phases_fit_or_do_not():
    for policy in ("fifo", "clock", "lru"):
        fewer, fits = hit_ratios("phases", policy, [19, 20])
        assert fewer < 0.95 < 0.979 < fits
