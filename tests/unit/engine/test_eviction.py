"""The kubelet's eviction: when it looks, whom it takes, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from sim.base.units import format_bytes
from sim.cli.groups import lines_of_kills
from sim.engine.endings import CRITICAL
from sim.engine.eviction import Pod, rank
from sim.engine.run import simulate
from sim.scenario.resolve import resolve

MIB = 2**20
S = 10**9


def run(available: int | None, **pods: tuple[int, int, int]) -> dict[str, Any]:
    """Run pods of so many MiB requested and used, and a priority, on a node of 768 MiB."""
    return simulate(
        resolve(
            {
                "version": 1,
                "host": {"memory": 768 * MIB, "kernel_reserve": 0, "cpus": 4},
                "policy": {
                    "eviction": None if available is None else {"memory_available": available * MIB}
                },
                "groups": {
                    name: {"requests": {"memory": request * MIB}, "priority": priority}
                    for name, (request, _, priority) in pods.items()
                },
                "processes": {
                    name: {
                        "program": "steps",
                        "group": name,
                        "steps": [
                            {"mmap": {"name": "A", "size": used * MIB}},
                            {"write": "A"},
                            {"fork": {"name": "child", "steps": [{"sleep": 35 * S}]}},
                            {"sleep": 35 * S},
                        ],
                    }
                    for name, (_, used, _) in pods.items()
                },
            }
        ),
        seed=1,
    ).to_json()


def endings(document: dict[str, Any]) -> dict[str, str]:
    return {process["name"]: process["ended"] for process in document["processes"]}


def test_the_pod_furthest_above_its_request_goes_as_a_whole_at_the_first_look() -> None:
    # 630 of 768 MiB are used, and tables: some 137 MiB are left; a is 100 above, c is 130 above
    document = run(150, a=(100, 200, 0), b=(300, 250, 0), c=(50, 180, 0))
    assert endings(document) == {
        **dict.fromkeys(("a", "b", "a/child", "b/child"), "exit 0"),
        **dict.fromkeys(("c", "c/child"), "evicted"),
    }
    kills = document["kills"]
    assert {kill["t_ns"] for kill in kills} == {10 * S}
    assert {kill["process"] for kill in kills} == {"c", "c/child"}
    for kill in kills:
        assert (kill["asked_by"], kill["killed_with"], kill["evicted"]) == ("kubelet", "c", True)
        assert kill["limit_bytes"] == 150 * MIB
        assert 130 * MIB < kill["usage_bytes"] < 138 * MIB
    assert "evicted pod c: killed process" in lines_of_kills(kills)[0]
    found = {finding["code"]: finding for finding in document["validity"]}
    assert found["evicted"]["severity"] == "error"
    left = format_bytes(kills[0]["usage_bytes"])
    told = f"memory.available was below policy.eviction ({left}, less than 150 MiB, at 10 s)"
    assert found["evicted"]["what"].endswith(told)
    assert found["need_cut_off"]["what"].endswith("2 evicted")
    assert document["metrics"]["oom_kills"] == 0
    assert document["metrics"]["first_oom_ns"] is None


def test_a_pod_of_lower_priority_goes_first() -> None:
    document = run(150, a=(100, 200, 0), b=(300, 250, 0), c=(50, 180, 10))
    assert {kill["killed_with"] for kill in document["kills"]} == {"a"}


def test_one_a_look_until_enough_is_left() -> None:
    document = run(330, a=(100, 200, 0), b=(300, 250, 0), c=(50, 180, 0))
    assert [(k["killed_with"], k["t_ns"] // S) for k in document["kills"]] == [
        ("c", 10), ("c", 10), ("a", 20), ("a", 20)
    ]  # fmt: skip
    figures = [(format_bytes(k["usage_bytes"]), k["t_ns"] // S) for k in document["kills"][1:3]]
    said = [finding["what"] for finding in document["validity"] if finding["code"] == "evicted"]
    for (left, at), what in zip(figures, (said[2], said[0]), strict=True):
        assert what.endswith(f"({left}, less than 330 MiB, at {at} s)")


@pytest.mark.parametrize("available", [None, 120])
def test_nobody_goes_while_enough_is_left(available: int | None) -> None:
    """Negative control."""
    document = run(available, a=(100, 200, 0), b=(300, 250, 0), c=(50, 180, 0))
    assert document["kills"] == []
    assert set(endings(document).values()) == {"exit 0"}


def test_the_order_is_by_exceeding_then_priority_then_by_how_much() -> None:
    within, far, near = Pod("within", 100), Pod("far", 10), Pod("near", 40)
    important, critical = Pod("important", 1, 7), Pod("critical", 0, CRITICAL)
    usages = [(within, 90), (near, 50), (critical, 99), (important, 99), (far, 50)]
    assert rank(usages) == [far, near, important, within]
