"""Swappiness 0: files go first, in a group as long as there are any, else down to the watermark."""

from typing import Any

import pytest

from sim.engine.run import build_simulation, populate
from sim.machine.layout import LRU_ACTIVE_FILE, LRU_INACTIVE_FILE, N_LRU
from sim.program import PROGRAMS
from sim.scenario.resolve import resolve


def played(swappiness: int, group: bool) -> tuple[dict[str, Any], list[tuple[int, int, int]]]:
    """Return a run's document, and what was seen whenever a step had swapped pages out.

    How many that were, pages of files that were left, and free ones.
    """
    files = [{"mmap": {"name": "F", "size": "20 MiB", "file": "f"}}, {"read": "F"}]
    memory = [{"mmap": {"name": "A", "size": "36 MiB"}}, {"write": "A"}]
    processes = {"p": {"program": "steps", "steps": [*files, *memory]}}
    host = {"memory": "32 MiB", "kernel_reserve": "2 MiB", "cpus": 1, "percpu_batch": 0}
    host |= {"swap": {"size": "64 MiB", "device": "zram"}, "swappiness": swappiness}
    data: dict[str, Any] = {"version": 1, "host": host, "processes": processes}
    if group:
        host["memory"] = "128 MiB"
        data["groups"] = {"pod": {"memory_max": "30 MiB"}}
        processes["p"]["group"] = "pod"
        data["run"] = {"expect": ["killed"]}
    resolved = resolve(data)
    simulation = build_simulation(resolved, seed=1, burst=1)
    populate(simulation, resolved, PROGRAMS)
    m = simulation.machine.arrays
    seen: list[tuple[int, int, int]] = []
    swapped = 0

    def look() -> None:
        nonlocal swapped
        now = int(m.lruvecs["pswpout"].sum())
        if now > swapped:
            rows = range(int(m.pool[0].n_groups))
            lists = (LRU_INACTIVE_FILE, LRU_ACTIVE_FILE)
            left = sum(int(m.lrus[row * N_LRU + lru].pages) for row in rows for lru in lists)
            seen.append((now - swapped, left, int(m.pool[0].free)))
        swapped = now

    simulation.system.driver.tell = lambda now_ns: look()
    document = simulation.run()
    simulation.machine.release()
    return document, seen


def high_pages(document: dict[str, Any]) -> int:
    return int(document["host"]["high_pages"])


def test_a_group_swaps_nothing_and_would_rather_be_killed() -> None:
    document, seen = played(0, group=True)
    assert seen == []
    assert document["metrics"]["pages_stolen"] > 4_000, "its pages of files were had, all of them"
    assert [kill["process"] for kill in document["kills"]] == ["p"]


def test_the_machine_swaps_once_files_and_free_pages_are_at_high() -> None:
    document, seen = played(0, group=False)
    assert not document["kills"]
    assert sum(swapped for swapped, _, _ in seen) > 1_000
    for swapped, files, free in seen:
        assert files + free - swapped <= high_pages(document)


@pytest.mark.parametrize("group", [True, False])
def test_by_default_it_swaps_before(group: bool) -> None:
    """Negative control of both."""
    document, seen = played(60, group)
    assert not document["kills"]
    assert any(files + free - swapped > high_pages(document) for swapped, files, free in seen)
