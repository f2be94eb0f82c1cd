"""However long the bursts are, a run is the same to the last bit, and its books balance."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.programs_drawn import groups, hosts, outcome
from support.samples import sample
from support.scripts import scripts

from sim.engine.devices import DeviceSpec


@pytest.mark.stress
@settings(max_examples=sample(12, 3_000))
@given(
    programs=st.lists(scripts(), min_size=1, max_size=3),
    host=hosts,
    scheduler=st.sampled_from(["round_robin", "fifo", "priority", "eevdf"]),
    disk=st.builds(
        DeviceSpec,
        latency_ns=st.sampled_from([0, 1, 20_000, 3_000_000]),
        bandwidth_bytes_per_s=st.sampled_from([1e7, 1e9]),
        queue_depth=st.integers(1, 3),
    ),
    khugepaged_ns=st.sampled_from([0, 100_000, 2_000_000]),
    warmup_ns=st.sampled_from([0, 0, 300_000, 5_000_000]),
    grouped=groups,
)
def test_any_length_of_burst_gives_the_same_run(
    programs: list[Any],
    host: dict[str, Any],
    scheduler: str,
    disk: DeviceSpec,
    khugepaged_ns: int,
    warmup_ns: int,
    grouped: dict[str, Any],
) -> None:
    how = {"scheduler": scheduler, "quantum_ns": 1_000_000, "disk": disk}
    how |= {"khugepaged_ns": khugepaged_ns, "warmup_ns": warmup_ns, **grouped}
    longest = outcome(programs, host, **how)
    document = json.loads(longest)
    assert document["littles_law_residual"] == 0
    assert_faults_add_up(document)
    assert_pressure_nests(document)
    if document["ending"] == "idle":
        kept = document["page_cache_pages_at_end"]  # files outlive who mapped them
        kept += document["percpu_pages_at_end"]
        kept += document["swap_cache_pages_at_end"]  # who exited while they were being written
        at_start = document["host"]["free_at_start_pages"]
        assert document["metrics"]["free_pages"]["end"] + kept == at_start, "leaked frames"
    for burst in (1, 7, 1000):
        assert outcome(programs, host, burst=burst, check=burst == 1, **how) == longest


def assert_faults_add_up(document: dict[str, Any]) -> None:
    """What processes are told to have had is what was counted in all, from warm-up on."""
    metrics, processes = document["metrics"], document["processes"]
    for kind in ("minor_faults", "major_faults"):
        assert sum(process[kind] for process in processes) == metrics[kind], kind


def assert_pressure_nests(document: dict[str, Any]) -> None:
    """FULL is part of SOME, and what reclaim did in a group is part of what it did around it.

    SOME of a group need not be: a CPU counts as much as tasks of the group keep it busy.
    """
    metrics, of_groups = document["metrics"], document["groups"]
    for told in (metrics, *of_groups.values()):
        if told["psi_memory_some"] is not None:  # version 1 has none of groups
            assert 0 <= told["psi_memory_full"] <= told["psi_memory_some"] <= 1
    for told in (document, *of_groups.values()):
        if told["psi"] is not None:
            full, some = told["psi"]["full"], told["psi"]["some"]
            assert all(0 <= full[name] <= some[name] for name in some)
    for group in of_groups.values():
        outer = metrics if group["parent"] is None else of_groups[group["parent"]]
        for name in ("pages_scanned", "pages_stolen", "refaults"):
            assert group[name] <= outer[name], name


def test_the_comparison_can_fail() -> None:
    """Negative control: another seed is another run."""
    steps = [("mmap", 30), ("write", 0, None, None, 1)]
    host = {"memory_pages": 200, "cpus": 1}
    assert outcome([steps], host, seed=1) != outcome([steps], host, seed=2)


@pytest.mark.parametrize(
    ("queueing", "kills", "ending"), [(False, 1, "idle"), (True, 0, "deadlock")]
)
def test_two_that_want_more_than_there_is(queueing: bool, kills: int, ending: str) -> None:
    """Linux kills one; in the textbook's pool both hold what they have and wait for ever."""
    steps = [("mmap", 40), ("write", 0, None, None, 1)]
    host = {"memory_pages": 70, "cpus": 2, "queueing": queueing}
    document = json.loads(outcome([steps, steps], host))
    assert document["metrics"]["oom_kills"] == kills
    assert document["ending"] == ending
    if queueing:
        assert "p0 waits for memory: 1 frame, with 0 free (held by p1)" in document["deadlock"]
