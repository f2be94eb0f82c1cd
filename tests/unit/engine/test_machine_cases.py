"""Scenarios that once showed a fault of the machine, each with more of its kind.

The files are in `tests/cases/machine`; every run is audited at every event.
"""

from pathlib import Path
from typing import Any

import pytest

from sim.engine.run import simulate
from sim.program import PROGRAMS
from sim.program.plugin import load_plugin
from sim.scenario.resolve import load_scenario

CASES = Path(__file__).parents[2] / "cases" / "machine"


def run(case: str, *settings: str) -> dict[str, Any]:
    (path,) = CASES.glob(f"{case}_*.yaml")
    programs = {**PROGRAMS, **load_plugin(CASES / "programs.py").programs}
    scenario = load_scenario(str(path), list(settings), programs=programs)
    return simulate(scenario, seed=1, check=True, programs=programs).to_json()


def recorded(document: dict[str, Any], key: str, program: str = "p") -> Any:
    (value,) = document["programs"][program][key]
    return value


@pytest.mark.parametrize("largest", ["16 MiB", "34 MiB", "256 MiB"])
def test_b01_any_size_of_a_read_fits_its_receipt(largest: str) -> None:
    document = run("b01", f"host.disk.largest_read={largest}")
    mib = int(largest.split()[0])
    assert document["ending"] == "idle"
    assert document["disk"]["pages_read"] == min(mib * 256, 30000)
    assert document["work"]["cache_fill"]["units"] == min(mib * 256, 30000)


def test_b02_faults_of_threads_that_ended_in_the_warmup_are_not_counted() -> None:
    document = run("b02")
    assert document["metrics"]["minor_faults"] == 0
    assert document["processes"][0]["minor_faults"] == 0
    assert not any(document["processes"][0]["faults"].values())


@pytest.mark.parametrize("grow", [5, 8, 40])
def test_b03_an_area_moves_to_right_below_itself(grow: int) -> None:
    document = run("b03", f"processes.p.grow_pages={grow}")
    assert recorded(document, "c") + grow == recorded(document, "b")
    assert document["processes"][0]["ended"] == "exit 0"
    assert document["metrics"]["zero_fills"] == grow


@pytest.mark.parametrize("by_thread", ["true", "false"])
def test_b07_a_child_inherits_its_process_s_score(by_thread: str) -> None:
    document = run("b07", f"processes.p.by_thread={by_thread}")
    assert document["metrics"]["oom_kills"] == 0, "nobody may be killed"
    ended = {p["name"]: p["ended"] for p in document["processes"]}
    assert "oom-killed" not in ended.values()


def test_b06_khugepaged_looks_at_every_slot() -> None:
    assert run("b06")["work"]["collapse"]["units"] == 16


@pytest.mark.parametrize("program", ["fulltest", "fullsleep"])
def test_b08_who_waits_for_an_arrival_does_not_run(program: str) -> None:
    document = run("b08", f"processes.p.program={program}")
    full = document["metrics"]["psi_memory_full"]
    assert full == pytest.approx(0.996, abs=0.001)
    assert full <= document["metrics"]["psi_memory_some"] <= 1


def test_b09_counts_of_faults_never_fall() -> None:
    document = run("b09")
    assert recorded(document, "faults_since") == 10
    assert document["processes"][0]["minor_faults"] == 10, "reported from the end of warm-up on"


def test_b10_groups_of_hot_pages_stay_in_their_region() -> None:
    document = run("b10")
    assert document["processes"][0]["ended"] == "exit 0"
    assert document["metrics"]["zero_fills"] == 8, "two groups of four pages; the rest of ten"


def test_b11_a_page_out_of_the_region_is_refused_by_name() -> None:
    document = run("b11")
    assert document["metrics"]["zero_fills"] == 0
    assert document["processes"][0]["ended"] == (
        "failed: EINVAL (write: page 5 of the list is not in a region of 4 pages)"
    )


def test_b04_mlock_holds_the_lock_for_reading_while_it_populates() -> None:
    document = run("b04")
    assert recorded(document, "reader_wait_ns") < 100_000
    assert recorded(document, "mmap_wait_ns") > 0.9 * recorded(document, "mlock_ns")


def test_b05_map_populate_lets_others_fault_and_give_pages_back() -> None:
    document = run("b05")
    assert recorded(document, "reader_wait_ns") < 100_000
    assert recorded(document, "mmap_wait_ns") > 0.9 * recorded(document, "populate_ns")
