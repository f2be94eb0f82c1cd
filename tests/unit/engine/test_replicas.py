"""A group with `replicas: N` is N groups, each with the groups and processes in it."""

import pytest

from sim.base.errors import ScenarioError
from sim.engine.replicas import how_many, names_of, replicated, suffixes_of
from sim.engine.run import simulate
from sim.scenario import load_scenario, resolve
from sim.scenario.effort import expected_work

SMALL = {"program": "steps", "steps": [{"mmap": {"name": "a", "size": 1 << 20}}, {"write": "a"}]}


def scenario(groups, **processes):
    return {
        "version": 1,
        "host": {"memory": 1 << 28, "cpus": 2},
        "groups": groups,
        "processes": processes,
    }


def groups_of(**replicas):
    groups, parent = {}, None
    for name, count in replicas.items():
        groups[name] = {"parent": parent, "replicas": count}
        parent = name
    return groups


def test_one_is_called_as_it_is_written_and_several_have_numbers():
    assert suffixes_of(groups_of(pod=1, app=1)) == {None: [""], "pod": [""], "app": [""]}
    assert suffixes_of(groups_of(pod=2, app=1))["app"] == [".1", ".2"]
    assert suffixes_of(groups_of(pod=1, app=2))["app"] == [".1", ".2"]
    assert suffixes_of(groups_of(pod=2, app=2))["app"] == [".1.1", ".1.2", ".2.1", ".2.2"]


def test_what_is_in_a_group_is_in_the_replica_of_its_own_number():
    groups = groups_of(kube=1, pod=2, app=2)
    assert [(name, parent) for name, parent, _ in replicated(groups)] == [
        ("kube", None),
        ("pod.1", "kube"), ("pod.2", "kube"),
        ("app.1.1", "pod.1"), ("app.1.2", "pod.1"), ("app.2.1", "pod.2"), ("app.2.2", "pod.2"),
    ]  # fmt: skip
    process = {"group": "app", "copies": 2}
    named = names_of("web", process, groups)
    assert len(named) == how_many(process, groups) == 8
    assert named[:3] == [
        ("web.1.1.1", "app.1.1"),
        ("web.1.1.2", "app.1.1"),
        ("web.1.2.1", "app.1.2"),
    ]


def test_each_replica_is_charged_and_killed_for_itself():
    """Twice as much is written in a replica as its limit holds: each kills in its own."""
    greedy = {**SMALL, "steps": [{"mmap": {"name": "a", "size": 2 << 20}}, {"write": "a"}]}
    asked = scenario(
        {"pod": {"memory_max": 1 << 20}}, web={**greedy, "group": "pod", "replicas": 3}
    )
    document = simulate(resolve(asked), seed=1).document
    assert list(document["groups"]) == ["pod.1", "pod.2", "pod.3"]
    for group in document["groups"].values():
        assert group["events"]["oom_kill"] == 1
        assert group["peak_bytes"] == group["max_bytes"] == 1 << 20
    assert sorted((k["process"], k["limit_of"]) for k in document["kills"]) == [
        ("web.1", "pod.1"), ("web.2", "pod.2"), ("web.3", "pod.3"),
    ]  # fmt: skip


def test_a_resolved_scenario_resolves_to_itself_whoever_says_it():
    by_process = resolve(scenario({"pod": {}}, web={**SMALL, "group": "pod", "replicas": 4}))
    by_group = resolve(scenario({"pod": {"replicas": 4}}, web={**SMALL, "group": "pod"}))
    assert by_process == by_group == resolve(by_process)
    assert by_process["groups"]["pod"]["replicas"] == 4
    assert "replicas" not in by_process["processes"]["web"]


def test_without_a_group_replicas_are_copies():
    said, meant = (resolve(scenario({}, web={**SMALL, key: 3})) for key in ("replicas", "copies"))
    assert said == meant


def test_the_work_of_a_run_grows_with_them():
    one, four = (
        expected_work(resolve(scenario({"pod": {"replicas": n}}, web={**SMALL, "group": "pod"})))
        for n in (1, 4)
    )
    assert four.fills == 4 * one.fills > 0


@pytest.mark.parametrize(
    ("groups", "processes", "told"),
    [
        ({}, {"web": {"copies": 2, "replicas": 2}}, "web.replicas: is the same as `copies`"),
        (
            {"pod": {"replicas": 2}},
            {"web": {"group": "pod", "replicas": 3}},
            "web.replicas: the group has 2 of pod; write the same number",
        ),
        (
            {"pod": {}},
            {"web": {"group": "pod", "replicas": 3}, "side": {"group": "pod", "replicas": 2}},
            "side.replicas: web has 3 of pod",
        ),
        (
            {"pod": {"replicas": 0}},
            {"web": {"group": "pod"}},
            "groups.pod.replicas: 0 is too small",
        ),
        ({}, {"web": {"replicas": 200_000}}, "web.replicas: 200000 is too large"),
        (
            {"kube": {"replicas": 400}, "pod": {"parent": "kube", "replicas": 400}},
            {"web": {"group": "pod"}},
            "160,000 processes; start at most 100,000",
        ),
    ],
)
def test_what_does_not_agree_is_refused(groups, processes, told):
    with pytest.raises(ScenarioError) as refusal:
        resolve(scenario(groups, **{name: {**SMALL, **own} for name, own in processes.items()}))
    assert told in str(refusal.value)


def test_explain_tells_how_many(capsys):
    from sim.cli import main

    setting = ["--set", "groups.pod.memory_max=300MiB", "--set", "processes.redis.group=pod"]
    assert main(["explain", "redis_bgsave", *setting, "--set", "processes.redis.replicas=5"]) == 0
    said = capsys.readouterr().out
    assert "redis, 5 of them" in said
    assert "each at most 300 MiB" in said
    assert "groups.pod.memory_max" in said  # 1 GiB in each is too much, not 5
    assert "5 GiB of data" not in said.partition("group pod is too small")[2]


def test_a_shipped_scenario_has_one_of_everything():
    assert load_scenario("redis_bgsave")["groups"] == {}
