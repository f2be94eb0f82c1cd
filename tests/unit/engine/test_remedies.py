"""What is advised can be done: keys that a file may have, and changes that change something."""

from __future__ import annotations

from typing import Any

import pytest

from sim.base.units import MIB, MS, S
from sim.engine.run import simulate
from sim.scenario.resolve import resolve


def run(
    groups: dict[str, Any],
    process: dict[str, Any],
    *,
    policy: dict[str, Any] | None = None,
    horizon: int | None = None,
) -> dict[str, dict[str, Any]]:
    """Return what was found in a run, by code."""
    document = simulate(
        resolve(
            {
                "version": 1,
                "host": {"memory": 128 * MIB, "kernel_reserve": 8 * MIB, "cpus": 2},
                "policy": policy or {},
                "groups": groups,
                "processes": {"a": process},
                "run": {} if horizon is None else {"horizon": horizon},
            }
        ),
        seed=1,
    ).to_json()
    return {found["code"]: found for found in document["validity"]}


def steps(size: int, sleep: int = S) -> dict[str, Any]:
    return {
        "program": "steps",
        "steps": [{"mmap": {"name": "A", "size": size}}, {"write": "A"}, {"sleep": sleep}],
    }


REPLICAS = {"group": "g", "replicas": 3, "copies": 2}


def test_a_limit_of_replicas_is_raised_where_it_is_written() -> None:
    found = run({"g": {"memory_max": 6 * MIB}}, {**steps(4 * MIB), **REPLICAS})
    assert found["killed"]["remedy"].startswith("raise groups.g.memory_max,")
    assert found["need_cut_off"]["remedy"].endswith("set memory_max of g to max")


def test_a_limit_that_a_pod_has_is_raised_where_it_is_written() -> None:
    """`limits.memory` and `memory_max` together are refused."""
    pod = {"limits": {"memory": 6 * MIB}}
    found = run({"g": pod}, {**steps(8 * MIB), "group": "g"})
    assert "groups.g.memory_max (limits.memory, where that sets it)" in found["killed"]["remedy"]


@pytest.mark.parametrize("parent", [{}, {"parent": "outer"}])
def test_a_group_that_is_full_for_good_is_named_and_not_the_host(parent: dict[str, Any]) -> None:
    groups = {"outer": {}, "g": {"memory_max": 6 * MIB, **parent}}
    found = run(groups, {**steps(8 * MIB), "group": "g", "oom_score_adj": -1000})
    assert found["deadlock"]["remedy"].startswith("raise groups.g.memory_max, or")
    assert found["need_cut_off"]["remedy"].endswith("set memory_max of g to max")


def test_a_host_that_is_full_for_good_is_named_and_no_group() -> None:
    found = run(
        {"g": {"memory_max": 127 * MIB}}, {**steps(119 * MIB), "group": "g", "oom_score_adj": -1000}
    )
    assert found["deadlock"]["remedy"].startswith("give the host more memory")
    assert found["need_cut_off"]["remedy"] == "measure the need on a host with more memory"


def test_copies_within_replicas_that_are_cut_off_are_told_as_one_process() -> None:
    """They are called a.1.1 to a.3.2: no key of the scenario."""
    found = run({"g": {}}, {**steps(MIB), **REPLICAS}, horizon=5 * MS)
    assert found["unfinished"]["where"] == "a"


@pytest.mark.parametrize(("others", "has_a_choice"), [({}, False), ({"priority": 5}, True)])
def test_a_larger_request_helps_a_pod_only_where_another_may_go(
    others: dict[str, Any], has_a_choice: bool
) -> None:
    pod = {"requests": {"memory": MIB}}
    critical = {**pod, "priority": 2_000_000_000}
    found = run(
        {"g": pod, "critical": critical, **({"other": {**pod, **others}} if others else {})},
        {**steps(100 * MIB, 25 * S), "group": "g"},
        policy={"eviction": {"memory_available": 64 * MIB}},
    )
    remedy = found["evicted"]["remedy"]
    assert "policy.eviction.memory_available" in remedy
    assert ("requests.memory" in remedy) is has_a_choice


def test_time_is_added_where_it_is_given() -> None:
    web = {"program": "prefork_web", "app": MIB, "workers": 1, "requests": 1.0, "duration": 0}
    assert "processes.a.duration" in run({}, web)["nothing_happened"]["remedy"]
    cut = run({}, {**web, "duration": 10 * S}, horizon=2 * MS)
    assert "run.horizon" in cut["nothing_happened"]["remedy"]
