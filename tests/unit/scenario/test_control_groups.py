"""Control groups in a scenario: what may be written, what Kubernetes means by it."""

from __future__ import annotations

from typing import Any

import pytest

from sim.base.errors import ScenarioError
from sim.engine.conditions import release_conditions
from sim.scenario import load_scenario
from sim.scenario.containers import Asked, kubelet_oom_score_adj, quality_of_service
from sim.scenario.explain.groups import groups_section
from sim.scenario.resolve import resolve

HEAD = """\
version: 1
host: {memory: 8 GiB}
groups: GROUPS
processes: {p: {program: steps, group: GROUP, steps: []}}
"""
GIB = 2**30
MIB = 2**20


@pytest.fixture
def resolved(tmp_path: Any) -> Any:
    def of(groups: str, group: str = "a", *settings: str) -> dict[str, Any]:
        text = HEAD.replace("GROUPS", groups).replace("GROUP", group)
        (tmp_path / "s.yaml").write_text(text)
        return load_scenario(tmp_path / "s.yaml", settings)

    return of


@pytest.mark.parametrize(
    ("groups", "limit", "together"),
    [
        ("{a: {}}", None, False),
        ("{a: {memory_max: max}}", None, False),
        ("{a: {memory_max: infinity}}", None, False),
        ("{a: {memory_max: 500Mi}}", 500 * MIB, False),
        ("{a: {memory_max: 512m}}", 512 * MIB, False),
        ("{a: {memory_max: 10000 B, oom_group: true}}", 8192, True),
        ("{a: {limits: {memory: 2Gi}}}", 2 * GIB, True),
        ("{a: {limits: {memory: 2Gi}, oom_group: false}}", 2 * GIB, False),
        ("{a: {requests: {memory: 2Gi}}}", None, True),
    ],
)
def test_what_a_group_means(resolved: Any, groups: str, limit: Any, together: bool) -> None:
    found = resolved(groups)["groups"]["a"]
    assert found["memory_max"] == limit
    assert found["oom_group"] is together


@pytest.mark.parametrize(
    ("written", "high", "low", "least"),
    [
        ("{memory_high: 30Mi, memory_low: 10Mi}", 30 * MIB, 10 * MIB, 0),
        ("{memory_high: max, memory_low: max, memory_min: 5000 B}", None, None, 4096),
        ("{memory_high: infinity, memory_low: 0, memory_min: 0 B}", None, 0, 0),
    ],
)
def test_what_slows_a_group_down_and_what_protects_it(
    resolved: Any, written: str, high: Any, low: Any, least: Any
) -> None:
    found = resolved(f"{{a: {written}}}")["groups"]["a"]
    assert (found["memory_high"], found["memory_low"], found["memory_min"]) == (high, low, least)


@pytest.mark.parametrize(
    "written",
    ["memory_high: 1 GiB", "memory_low: 1 MiB", "memory_low: max", "memory_min: 4 KiB",
     "oom_group: true"],
)  # fmt: skip
def test_version_1_has_none_of_that(resolved: Any, written: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        resolved(f"{{a: {{{written}}}}}", "a", "host.cgroup=v1")
    key = written.split(":")[0]
    told = f"groups.a.{key}: {key}: control groups of version 1 have no such thing; take it out"
    assert str(raised.value).endswith(told)
    assert len(str(raised.value).splitlines()) == 1


def test_version_1_takes_what_says_nothing_and_kubernetes_sets_no_more(resolved: Any) -> None:
    nothing = "memory_high: max, memory_low: 0, memory_min: 0, oom_group: false"
    assert resolved(f"{{a: {{{nothing}}}}}", "a", "host.cgroup=v1")["groups"]["a"]
    pod = resolved("{a: {limits: {memory: 1Gi}}}", "a", "host.cgroup=v1")["groups"]["a"]
    assert (pod["memory_max"], pod["oom_group"]) == (GIB, False)


@pytest.mark.parametrize(
    ("requests", "limits", "quality", "adj"),
    [
        (Asked(), Asked(GIB, 1), "Guaranteed", -997),
        (Asked(GIB, 0.5), Asked(GIB, 0.5), "Guaranteed", -997),
        (Asked(GIB), Asked(GIB), "Burstable", 875),
        (Asked(GIB), Asked(2 * GIB, 1), "Burstable", 875),
        (Asked(None, 1), Asked(), "Burstable", 999),
        (Asked(8 * GIB), Asked(), "Burstable", 3),
        (Asked(), Asked(), "BestEffort", 1000),
    ],
)
def test_what_kubernetes_makes_of_requests_and_limits(
    requests: Asked, limits: Asked, quality: str, adj: int
) -> None:
    assert quality_of_service(requests, limits) == quality
    assert kubelet_oom_score_adj(requests, limits, 8 * GIB) == adj


def test_a_group_that_is_no_container_leaves_oom_score_adj_alone(resolved: Any) -> None:
    assert resolved("{a: {memory_max: 1 GiB}}")["processes"]["p"]["oom_score_adj"] == 0
    pod = resolved("{a: {requests: {memory: 4Gi}}}")  # MemTotal is 7872 MiB: 1000 - 520
    assert pod["processes"]["p"]["oom_score_adj"] == 480
    typed = resolved("{a: {requests: {memory: 4Gi}}}", "a", "processes.p.oom_score_adj=7")
    assert typed["processes"]["p"]["oom_score_adj"] == 7


def test_those_that_others_are_in_come_first_and_resolved_resolves_to_itself(resolved: Any) -> None:
    found = resolved("{c: {parent: b}, b: {parent: a}, a: {limits: {memory: 1Gi}}}", "c")
    assert list(found["groups"]) == ["a", "b", "c"]
    assert resolve(found) == found


@pytest.mark.parametrize(
    ("groups", "group", "message"),
    [
        ("{a: {parent: x}}", "a", "groups.a.parent: there is no group called 'x'; write one of a"),
        ("{a: {parent: a}}", "a", "a in a is a ring; take one `parent` out"),
        ("{a: {parent: b}, b: {parent: a}}", "a", "a in b in a is a ring"),
        ("{a: {}}", "b", "processes.p.group: there is no group called 'b'; there are: a"),
        ("{}", "a", "there is no group called 'a'; add `groups:` with its limits"),
        ("{a: {memory_max: 5}}", "a", "groups.a.memory_max: 5 has no unit"),
        ("{a: {memory_max: 5 B}}", "a", "5 B is less than a page; write at least 4 KiB, or `max`"),
        ("{a: {memory_max: 0}}", "a", "0 is less than a page"),
        ("{a: {memory_max: 1 GiB, limits: {memory: 1Gi}}}", "a", "take one of the two out"),
        (
            "{a: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}}",
            "a",
            "more than the limit, 1 GiB",
        ),
        ("{a: {limits: {memory: 1Gi, cpu: -1}}}", "a", "groups.a.limits.cpu"),
        ("{a: {limit: 1Gi}}", "a", "groups.a.limit"),
        ("{a: {memory_high: 0}}", "a", "groups.a.memory_high: 0 is less than a page"),
        ("{a: {memory_low: 100 B}}", "a", "100 B is less than a page"),
        ("{a: {memory_min: false}}", "a", "groups.a.memory_min"),
    ],
)
def test_what_is_refused(resolved: Any, groups: str, group: str, message: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        resolved(groups, group)
    assert message in str(raised.value)


def explained(resolved: Any, groups: str, *settings: str) -> str:
    section = groups_section(resolved(groups, "a", *settings))
    assert section is not None
    return "; ".join(f"{name}: {what}" for name, what in section.lines)


NO_SWAP = "then clean pages of files are dropped, and if there are none one in it is killed"
SWAP = "then clean pages of files are dropped, others swapped out{}, and if there is no room for"


@pytest.mark.parametrize(
    ("group", "settings", "said"),
    [
        ("memory_max: 64Mi", [], NO_SWAP),
        ("memory_max: 64Mi", ["host.swap=1GiB"], SWAP.format("")),
        ("memory_max: 64Mi", ["host.swap=1GiB", "host.swappiness=0"], NO_SWAP),
        ("memory_max: 64Mi, swap_max: 0", ["host.swap=1GiB"], NO_SWAP),
        ("memory_max: 64Mi, swap_max: 8Mi", ["host.swap=1GiB"], SWAP.format(" (8 MiB at most)")),
        (
            "memory_max: 64Mi, swappiness: 0",
            ["host.swap=1GiB", "host.cgroup=v1"],
            NO_SWAP,
        ),
        ("memory_max: 64Mi, parent: o}, o: {swap_max: 0", ["host.swap=1GiB"], NO_SWAP),
        (
            "memory_max: 64Mi, swap_max: 8Mi",
            ["host.swap=1GiB", "host.cgroup=v1"],
            SWAP.format(" (memory and swap together at most 72 MiB)"),
        ),
        ("memory_max: 64Mi, swap_max: 0 B", ["host.swap=1GiB", "host.cgroup=v1"], NO_SWAP),
        (
            "memory_max: 64Mi, swappiness: 10",
            ["host.swap=1GiB", "host.cgroup=v1"],
            "one in it is killed; swappiness 10, not the host's",
        ),
        ("memory_high: 64Mi", [], "are dropped, and if there are none it sleeps for each 256 KiB"),
        ("memory_high: 64Mi", ["host.swap=1GiB"], "others swapped out, and if there is no room"),
        ("memory_high: 64Mi", ["host.kernel=5.4"], "it sleeps for each 256 KiB"),
        ("memory_high: 64Mi", ["host.kernel=5.3"], "files are dropped, and that is all (from"),
    ],
)
def test_explain_says_what_is_taken_at_a_limit(
    resolved: Any, group: str, settings: list[str], said: str
) -> None:
    assert said in explained(resolved, f"{{a: {{{group}}}}}", *settings)


@pytest.mark.parametrize(
    ("kernel", "said"), [("4.18", 2), ("4.19", 1), ("5.10", 1), ("5.15", 0), ("6.18", 0)]
)
def test_rules_of_a_release_that_groups_are_not_run_by_are_told(
    resolved: Any, kernel: str, said: int
) -> None:
    scenario = resolved("{a: {memory_max: 64Mi}}", "a", f"host.kernel={kernel}")
    told = release_conditions(scenario)
    assert len(told) == said
    assert all(each.code == "not_simulated" and each.where == "host.kernel" for each in told)
    assert release_conditions({**scenario, "groups": {}}) == []


def test_explain_says_whom_the_kubelet_ends(resolved: Any) -> None:
    group = "{a: {requests: {memory: 100Mi}, priority: 5}}"
    said = explained(resolved, group, "policy.eviction={memory_available: 150Mi}")
    assert "requests 100 MiB, priority 5" in said
    assert "where memory.available is below 150 MiB ends a pod" in said
    assert "priority" not in explained(resolved, group)
