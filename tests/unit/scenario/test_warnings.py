"""What `explain` warns of: what it says at least is never more than what a run shows."""

import pytest

from sim.base.units import MIB, S
from sim.engine.run import simulate
from sim.scenario import load_scenario, resolve
from sim.scenario.explain.warnings import warnings_section
from sim.scenario.forms.outlook import outlook_of
from sim.scenario.programs import known_programs
from sim.study.explain import explain_study

PROGRAMS = known_programs()


def labels(scenario):
    section = warnings_section(scenario, PROGRAMS)
    return [] if section is None else [label for label, _ in section.lines]


SHIPPED = (
    "build_storm", "cold_start", "heap_growth", "prefork_web", "redis_bgsave", "shell_pipeline",
    "steps_demo",
)  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_is_wrong_with_what_ships(name):
    assert labels(load_scenario(name)) == []
    assert load_scenario(name)["run"]["horizon"] is None


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("redis_bgsave", ["run.horizon=3 s"], ["redis is cut off"]),
        ("redis_bgsave", ["run.horizon=7.2 s"], []),
        ("redis_bgsave", ["run.horizon=9 s", "processes.redis.start=2 s"], ["redis is cut off"]),
        ("redis_bgsave", ["processes.redis.dataset=5 GiB"], ["redis does not fit"]),
        ("redis_bgsave", ["processes.redis.copies=4"], ["redis does not fit"]),
        ("redis_bgsave", ["processes.redis.writes=150000/s"], ["redis is overloaded"]),
        ("prefork_web", ["processes.web.requests=50/s"], ["the CPUs are overloaded"]),
        ("prefork_web", ["processes.web.requests=24/s"], []),
        ("prefork_web", ["processes.web.requests=50/s", "host.cpus=8"], []),
        ("prefork_web", ["processes.web.leak=4 MiB"], ["web does not fit"]),
        ("prefork_web", ["processes.web.leak=4 MiB", "processes.web.max_requests=20"], []),
        ("prefork_web", ["processes.web.workers=2", "processes.web.requests=70/s"],
         ["web is overloaded"]),
        ("heap_growth", ["host.memory=64 MiB"], ["growers does not fit"]),
        ("build_storm", ["run.horizon=500 ms"], ["make is cut off"]),
        ("shell_pipeline", ["run.horizon=1 s"], ["sh is cut off"]),
        ("tests/cli/answers/overload_base.yaml", [], ["the CPUs are overloaded"]),
        ("tests/cli/answers/overload_base.yaml", ["host.cpus=41"], []),
    ],
)  # fmt: skip
def test_what_is_warned_of(name, settings, expected, pytestconfig):
    if name.endswith(".yaml"):
        name = str(pytestconfig.rootpath / name)
    assert labels(load_scenario(name, settings)) == expected


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("{a: {memory_high: 1 GiB, memory_max: 2 GiB, memory_low: 1 GiB}}", []),
        ("{a: {memory_high: 1 GiB, memory_max: 1 GiB}}",
         ["group a is killed before it is slowed down"]),
        ("{a: {memory_high: 60 MiB}}", ["group a is slowed down for good"]),
        ("{a: {memory_high: 200 MiB}}", []),
        ("{a: {memory_high: 1 GiB, memory_min: 2 GiB}}",
         ["memory_min of group a is above its memory_high"]),
        ("{a: {memory_max: 1 GiB, memory_low: 2 GiB}}",
         ["memory_low of group a is above its memory_max"]),
        ("{p: {}, a: {parent: p, memory_low: 1 GiB}}",
         ["memory_low of group a holds within p alone"]),
        ("{p: {memory_low: max}, a: {parent: p, memory_low: max}}", []),
        ("{p: {memory_low: 1 GiB}, a: {parent: p, memory_low: 1 GiB}}", []),
        ("{p: {memory_min: 1 GiB}, a: {parent: p, memory_min: 600 MiB},"
         " b: {parent: p, memory_min: 500 MiB}}",
         ["memory_min of group a may be less", "memory_min of group b may be less"]),
        ("{a: {memory_min: 3 GiB}, b: {memory_min: 2 GiB}}", ["too much is protected"]),
        ("{a: {memory_min: 3 GiB, replicas: 2}}", ["too much is protected"]),
        ("{a: {memory_min: max}}", []),
        ("{a: {memory_max: 8 GiB}}", ["memory_max of group a is never reached"]),
        ("{a: {memory_max: 8 GiB, memory_high: 6 GiB}}",
         ["memory_high of group a is never reached", "memory_max of group a is never reached"]),
        ("{a: {memory_max: 3800 MiB}}", []),
        ("{a: {memory_max: 2 GiB, replicas: 4}}", []),
        ("{p: {memory_max: 1 GiB}, a: {parent: p, memory_max: 8 GiB}}", []),
        ("{p: {memory_max: 9 GiB}, a: {parent: p, memory_max: 8 GiB}}",
         ["memory_max of group p is never reached", "memory_max of group a is never reached"]),
    ],
)  # fmt: skip
def test_limits_and_protections_that_cannot_do_what_they_say(groups, expected, tmp_path):
    growing = "{program: heap_growth, group: a, step: 8 MiB, steps: 10, processes: 1}"
    text = f"version: 1\nhost: {{memory: 4 GiB}}\ngroups: {groups}\nprocesses: {{x: {growing}}}\n"
    (tmp_path / "s.yaml").write_text(text)
    assert labels(load_scenario(tmp_path / "s.yaml")) == expected


@pytest.mark.parametrize(("limit", "by"), [("8 GiB", None), ("60 MiB", "a")])
def test_the_host_is_short_before_a_limit_that_is_never_reached(limit, by):
    scenario = resolve({
        "version": 1,
        "host": {"memory": "128 MiB", "overcommit": {"mode": 1}},
        "groups": {"a": {"memory_max": limit}},
        "processes": {"p": {"program": "steps", "group": "a", "steps": [
            {"mmap": {"name": "A", "size": "127 MiB"}}, {"write": "A"}]}},
    })  # fmt: skip
    assert (labels(scenario) == ["memory_max of group a is never reached"]) is (by is None)
    document = simulate(scenario, seed=1).document
    assert [kill["limit_of"] for kill in document["kills"]] == [by]


SMALL = {
    "redis": {"dataset": "4 MiB", "writes": "1000/s", "save_every": "50 ms", "saves": 2,
              "save_speed": "40 MiB/s"},
    "prefork_web": {"app": "4 MiB", "workers": 2, "worker_heap": "1 MiB", "duration": "200 ms"},
    "build_storm": {"parent": "2 MiB", "jobs": 7, "concurrency": 3, "job_heap": "64 KiB"},
    "heap_growth": {"processes": 2, "step": "256 KiB", "cycles": 2, "touched_fraction": 0.37},
    "shell_pipeline": {"pipelines": 3, "stream": "1 MiB"},
    "steps": {"steps": [
        {"mmap": {"name": "A", "size": "1 MiB"}},
        {"write": {"region": "A", "cpu": "10 us"}},
        {"repeat": {"times": 3, "steps": [{"sleep": "5 ms"}, {"fork": [{"compute": "2 ms"}]}]}},
        {"sleep_until": "60 ms"},
        {"compute": "3 ms"},
    ]},
}  # fmt: skip


@pytest.mark.parametrize("program", SMALL)
def test_an_outlook_is_never_more_than_a_run_shows(program):
    scenario = resolve({
        "version": 1,
        "host": {"memory": "256 MiB", "cpus": 4},
        "processes": {"p": {"program": program, **SMALL[program]}},
    })  # fmt: skip
    outlook = outlook_of(scenario["processes"]["p"], PROGRAMS[program])
    document = simulate(scenario, seed=1).document
    assert document["answered"], document["validity"]
    ended_ns = document["processes"][0]["ended_ns"]
    assert 0 < outlook.lasts_ns <= ended_ns <= outlook.lasts_ns + S
    assert outlook.data_bytes <= document["metrics"]["memory_need_bytes"]["total"]
    assert outlook.data_bytes >= MIB // 2 or program == "steps"


def test_a_study_is_warned_of_its_points(tmp_path):
    study = tmp_path / "s.yaml"
    study.write_text(
        "version: 1\nname: s\nbase: redis_bgsave\nseed: 1\nreplications: 1\n"
        "axes: {processes.redis.dataset: [64 MiB, 5 GiB]}\n"
    )
    first = explain_study(study)[0]
    assert first.title == "Warnings"
    assert [label for label, _ in first.lines] == ["dataset 5 GiB: redis does not fit"]
    study.write_text(study.read_text().replace("5 GiB", "65 MiB"))
    assert all(section.title != "Warnings" for section in explain_study(study))
