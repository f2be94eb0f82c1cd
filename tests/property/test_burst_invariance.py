"""However long the bursts are, a run is the same to the last bit, and its books balance."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.machines import run
from support.samples import sample
from support.scripts import perform, scripts

from sim.engine.disk import DiskSpec

hosts = st.fixed_dictionaries(
    {
        "memory_pages": st.one_of(st.integers(70, 500), st.integers(2000, 3000)),
        "cpus": st.integers(1, 3),
        "kernel_pages": st.integers(1, 20),
        "min_free_pages": st.integers(0, 20),
        "percpu_batch_pages": st.sampled_from([0, 1, 7]),
        "percpu_high_pages": st.sampled_from([1, 20]),
        "queueing": st.booleans(),
        "fork_kind": st.sampled_from([0, 0, 1, 2, 3]),
        "eager_zero": st.sampled_from([False, False, True]),
        "overcommit": st.sampled_from([0, 1, 2]),
        "thp": st.sampled_from([0, 1, 2]),
        "kernel": st.sampled_from(["4.19", "6.3", "6.12", "6.18"]),
        "commit_limit_pages": st.integers(100, 600),
        "read_ahead_pages": st.sampled_from([0, 4, 32, 32]),
        "largest_read_pages": st.sampled_from([4, 320]),
    }
)


def outcome(programs: list[Any], host: dict[str, Any], **how: Any) -> str:
    named = {
        f"p{n}": lambda task, steps=steps: perform(task, steps, [])
        for n, steps in enumerate(programs)
    }
    document = run(named, host=host, sample_every_ns=500_000, horizon_ns=200_000_000, **how)
    return json.dumps(document, sort_keys=True)


@pytest.mark.stress
@settings(max_examples=sample(40, 3_000))
@given(
    programs=st.lists(scripts(), min_size=1, max_size=3),
    host=hosts,
    scheduler=st.sampled_from(["round_robin", "fifo"]),
    disk=st.builds(
        DiskSpec,
        latency_ns=st.sampled_from([0, 1, 20_000, 3_000_000]),
        bandwidth_bytes_per_s=st.sampled_from([1e7, 1e9]),
        queue_depth=st.integers(1, 3),
    ),
    khugepaged_ns=st.sampled_from([0, 100_000, 2_000_000]),
)
def test_any_length_of_burst_gives_the_same_run(
    programs: list[Any], host: dict[str, Any], scheduler: str, disk: DiskSpec, khugepaged_ns: int
) -> None:
    how = {"scheduler": scheduler, "quantum_ns": 1_000_000, "disk": disk}
    how["khugepaged_ns"] = khugepaged_ns
    longest = outcome(programs, host, **how)
    document = json.loads(longest)
    assert document["littles_law_residual"] == 0
    if document["ending"] == "idle" and host["percpu_batch_pages"] == 0:
        kept = document["page_cache_pages_at_end"]  # files outlive who mapped them
        at_start = document["host"]["free_at_start_pages"]
        assert document["metrics"]["free_pages"]["end"] + kept == at_start, "leaked frames"
    for burst in (1, 7, 1000):
        assert outcome(programs, host, burst=burst, check=burst == 1, **how) == longest


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
