"""What is certainly needed: without page cache at whatever moment, and when memory was short."""

from __future__ import annotations

from typing import Any

import pytest

from sim.base.units import KIB, MIB, MS, S
from sim.engine.run import simulate
from sim.scenario.resolve import resolve


def run(
    processes: dict[str, list[Any]],
    *,
    group: dict[str, Any] | None = None,
    warmup: int = 0,
    sample_every: int | None = None,
    policy: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Run steps on a host of 128 MiB; those of `b` in the group, and `a` unless there is a `b`."""
    inside = "b" if "b" in processes else "a"
    return simulate(
        resolve(
            {
                "version": 1,
                "host": {"memory": 128 * MIB, "kernel_reserve": 8 * MIB, "cpus": 2},
                "policy": policy or {},
                "groups": {} if group is None else {"g": group},
                "processes": {
                    name: {
                        "program": "steps",
                        "steps": steps,
                        **({"group": "g"} if group is not None and name == inside else {}),
                    }
                    for name, steps in processes.items()
                },
                "run": {
                    "warmup": warmup,
                    **({} if sample_every is None else {"sample_every": sample_every}),
                },
            }
        ),
        seed=1,
    ).to_json()


def writes(size: int) -> list[Any]:
    return [{"mmap": {"name": "A", "size": size}}, {"write": "A"}, {"munmap": "A"}]


READS: list[Any] = [
    {"read_file": {"file": "data", "pages": 20_000}},
    {"fadvise": {"file": "data", "advice": "dontneed"}},
]


@pytest.mark.parametrize("sample_every", [MS, 3600 * S])
def test_the_peak_without_page_cache_is_at_another_moment(sample_every: int) -> None:
    """The cache filled the group first: 38 MiB of data came when it had gone, with their tables."""
    document = run(
        {"a": [*READS, *writes(38 * MIB)]},
        group={"memory_max": 40 * MIB},
        sample_every=sample_every,
    )
    held = document["evidence"]["held"]["besides_page_cache_bytes"]
    assert 38 * MIB < held < 38 * MIB + 256 * KIB
    (found,) = document["validity"]
    assert "besides page cache at least 38.1 MiB was in use, at 9" in found["what"]


def test_what_was_in_use_within_the_warm_up_is_forgotten() -> None:
    steps = [*writes(60 * MIB), {"sleep": 1 * S}, *READS, *writes(38 * MIB)]
    document = run({"a": steps}, group={"memory_max": 70 * MIB}, warmup=S // 2)
    assert document["evidence"]["held"]["besides_page_cache_bytes"] < 39 * MIB


def test_who_is_killed_after_the_peak_may_have_needed_no_more_in_all() -> None:
    steps = {"a": writes(60 * MIB), "b": [{"sleep": S}, *writes(25 * MIB)]}
    document = run(steps, group={"memory_max": 20 * MIB})
    unlimited = run(steps, group={})
    peak = unlimited["metrics"]["memory_need_bytes"]["total"]
    assert document["metrics"]["memory_need_bytes"]["total"] == peak
    (told,) = (f for f in document["validity"] if f["code"] == "need_cut_off")
    assert told["what"] == "the memory needed is at least 60.2 MiB: 1 killed"


def test_who_is_killed_at_the_peak_needs_more() -> None:
    document = run({"a": writes(25 * MIB)}, group={"memory_max": 20 * MIB})
    (told,) = (f for f in document["validity"] if f["code"] == "need_cut_off")
    assert "the memory needed is more than " in told["what"]


def test_whom_the_kubelet_ends_was_not_short_of_memory() -> None:
    steps = [*writes(100 * MIB)[:2], {"sleep": 25 * S}]
    document = run(
        {"a": steps},
        group={"requests": {"memory": MIB}},
        policy={"eviction": {"memory_available": 64 * MIB}},
    )
    (told,) = (f for f in document["validity"] if f["code"] == "need_cut_off")
    assert told["what"] == "the memory needed is at least 100 MiB: 1 evicted"


def test_of_whom_nothing_was_ever_held_the_need_is_not_known() -> None:
    """A group of one page has no room for a kernel stack: its process never begins."""
    document = run({"a": writes(20 * MIB)}, group={"memory_max": 4096})
    assert document["metrics"]["memory_need_bytes"]["total"] == 0
    (told,) = (f for f in document["validity"] if f["code"] == "need_cut_off")
    assert told["what"] == "the memory needed is not known: 1 killed"
