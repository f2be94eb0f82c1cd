"""Who is killed and gets no CPU: two seconds later a thread of the kernel takes its memory."""

from typing import Any

import pytest

from sim.engine.run import simulate
from sim.scenario.resolve import resolve

MIB = 2**20
S = 10**9
KILLED_NS = S
"""When somebody asks for more than there is."""


def run(
    kernel: str = "6.18",
    *,
    hog_s: int = 10,
    fork: str = "cow",
    victim: tuple[dict[str, Any], ...] = (),
    burst: int = 0,
) -> dict[str, Any]:
    """Kill a process of 30 MiB whose CPU another has for itself; who asked marks what it gets."""
    large = [
        {"mmap": {"name": "A", "size": 30 * MIB}},
        {"write": "A"},
        *victim,
        {"sleep": 100 * S},
    ]
    asks = [
        {"sleep": KILLED_NS},
        {"mmap": {"name": "B", "size": 30 * MIB}},
        {"write": "B"},
        {"mark": "got_it"},
    ]
    return simulate(
        resolve(
            {
                "version": 1,
                "host": {
                    "memory": 56 * MIB, "kernel_reserve": 8 * MIB, "cpus": 2, "kernel": kernel,
                },
                "policy": {"scheduler": {"kind": "fifo"}, "fork": fork},
                "run": {"expect": ["killed"]},
                "processes": {
                    "victim": {"program": "steps", "cpu": 1, "steps": large},
                    "hog": {
                        "program": "steps", "cpu": 1, "start": S // 2,
                        "steps": [{"compute": hog_s * S}],
                    },
                    "asks": {
                        "program": "steps", "cpu": 0, "oom_score_adj": -1000, "steps": asks,
                    },
                },
            }
        ),
        seed=1,
        burst=burst,
        check=burst == 1,
    ).to_json()  # fmt: skip


def got_it_ns(result: dict[str, Any]) -> int:
    (mark,) = [mark for mark in result["marks"] if mark["kind"] == "got_it"]
    return int(mark["t_ns"])


def test_its_memory_is_free_two_seconds_later() -> None:
    result = run()
    (kill,) = result["kills"]
    assert kill["process"] == "victim"
    assert 2 * S < got_it_ns(result) - kill["t_ns"] < 2.2 * S
    ended = {p["name"]: p["ended"] for p in result["processes"]}
    assert ended == {"victim": "oom-killed", "hog": "exit 0", "asks": "exit 0"}
    assert result["simulated_ns"] > 10 * S, "itself it ends when it has a CPU"


def test_before_5_18_only_its_exit_gives_it_back() -> None:
    assert got_it_ns(run("5.15")) > 10 * S


def test_who_ends_by_itself_needs_no_reaper() -> None:
    result = run(hog_s=1)
    assert got_it_ns(result) - result["kills"][0]["t_ns"] < S
    assert result["simulated_ns"] < 2 * S, "and nothing goes on for it"


@pytest.mark.parametrize("fork", ["cow", "on_demand", "async"])
def test_what_others_have_as_well_stays_theirs(fork: str) -> None:
    """A child that shares all of it: it is killed next, as nothing came free."""
    child = {"fork": {"name": "child", "steps": [{"sleep": 50 * S}]}}
    results = [run(fork=fork, victim=(child,), burst=burst) for burst in (0, 1)]
    assert results[0] == results[1]
    kills = results[0]["kills"]
    assert {kill["process"] for kill in kills} == {"victim", "victim/child"}
    assert got_it_ns(results[0]) - kills[-1]["t_ns"] < 2.5 * S


def test_shared_memory_waits_for_its_exit() -> None:
    shared = (
        {"mmap": {"name": "S", "size": 12 * MIB, "shared": True}},
        {"write": "S"},
    )
    result = run(victim=shared)
    assert 2 * S < got_it_ns(result) - result["kills"][0]["t_ns"] < 2.3 * S
    held = {
        pages
        for t, pages in zip(
            result["series"]["t_ns"], result["series"]["shared_memory_pages"], strict=True
        )
        if 3.5 * S < t < 9.5 * S
    }
    assert held == {12 * MIB // 4096}
