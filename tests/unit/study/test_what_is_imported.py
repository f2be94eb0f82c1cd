"""A study begins at once: what its start does not need is imported later, where it is needed."""

import subprocess
import sys

import pytest

HEAVY = ("pandas", "scipy.stats", "numba", "matplotlib", "seaborn", "pyarrow", "dask")


def imported_by(code):
    program = f"{code}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return ran.stdout.split()


@pytest.mark.parametrize("module", ["sim.cli.studying", "sim.study.run", "sim.cli.progress"])
def test_what_a_start_does_not_need_is_not_imported(module):
    assert imported_by(f"import {module}") == []


def test_a_study_is_planned_without_it_too():
    plan = "from sim.scenario.study import load_study\nfrom sim.study.base import planner_of\n"
    plan += "planner_of(load_study('redis_bgsave'))[0].main_cells()"
    assert imported_by(plan) == []


def test_what_is_imported_would_be_seen():
    """Negative control."""
    assert imported_by("import sim.study.frames as f; f.frame_of([])")[0] == "pandas"
