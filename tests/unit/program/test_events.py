"""What programs say they are there to do."""

import pytest

from sim.base.errors import ScenarioError
from sim.cli.answering import done_in
from sim.engine.run import simulate
from sim.program import PROGRAMS
from sim.program.offer import program
from sim.program.plugin import load_plugin
from sim.program.signature import parameters_of
from sim.scenario import resolve
from sim.scenario.programs import known_programs

EVENTS = {
    "build_storm": {"job": "jobs"},
    "heap_growth": {"cycle": "cycles"},
    "prefork_web": {"request": "requests_per_s"},
    "redis": {"save": "saves"},
    "shell_pipeline": {"pipeline": "pipelines"},
    "steps": {},
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_that_ships_says_what_it_is_there_to_do(name):
    shipped = PROGRAMS[name]
    assert shipped.program_name == name
    assert shipped.program_events == EVENTS[name]
    assert not shipped.program_endless
    assert set(EVENTS[name].values()) <= {parameter.name for parameter in parameters_of(shipped)}


SMALL = {
    "build_storm": ({"parent": "1 MiB", "jobs": 5, "job_heap": "64 KiB"}, 5),
    "heap_growth": ({"processes": 3, "step": "64 KiB", "cycles": 2}, 6),
    "prefork_web": ({"app": "1 MiB", "workers": 2, "requests": "50/s", "duration": "1 s"}, None),
    "redis": ({"dataset": "1 MiB", "saves": 3, "save_every": "10 ms"}, 3),
    "shell_pipeline": ({"pipelines": 4, "stream": "64 KiB"}, 4),
}


@pytest.mark.parametrize("name", SMALL)
def test_what_took_place_is_counted(name):
    parameters, expected = SMALL[name]
    scenario = resolve({
        "version": 1,
        "host": {"memory": "256 MiB", "cpus": 4},
        "processes": {"p": {"program": name, **parameters}},
    })  # fmt: skip
    document = simulate(scenario, seed=1).document
    (count,) = document["evidence"]["events"]
    if expected is None:
        expected = document["metrics"]["request_latency_ns"]["count"]
        assert expected > 50
    assert (count["begun"], count["ended"], count["measured"]) == (expected,) * 3
    assert count["failed"] == 0


STRICT = {"memory": "64 MiB", "cpus": 4, "overcommit": {"mode": 2, "ratio": 50}}
TIGHT = {"memory": "32 MiB", "cpus": 4}
FAIL = {
    "a save whose fork is refused": (
        STRICT, "redis", {"dataset": "17 MiB", "saves": 2, "save_every": "10 ms"}
    ),
    "a job whose fork is refused": (STRICT, "build_storm", {"parent": "17 MiB", "jobs": 2}),
    "a job that the killer takes": (
        TIGHT, "build_storm", {"parent": "1 MiB", "jobs": 2, "job_heap": "40 MiB"}
    ),
    "a cycle one step of which is refused": (
        STRICT, "heap_growth", {"processes": 1, "step": "12 MiB", "steps": 3, "cycles": 2}
    ),
    "a pipeline that the killer takes a stage of": (
        TIGHT, "shell_pipeline", {"pipelines": 2, "stages": 1, "stage_heap": "40 MiB"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FAIL)
def test_what_came_to_nothing_is_counted_and_said(what):
    host, name, parameters = FAIL[what]
    data = {"version": 1, "host": host, "processes": {"p": {"program": name, **parameters}}}
    document = simulate(resolve(data), seed=1).document
    (count,) = document["evidence"]["events"]
    assert (count["ended"], count["failed"]) == (2, 2)
    assert done_in(document) == f"2 {count['event']}s (2 failed)"


@pytest.mark.parametrize("events", [("",), {"save": ""}])
def test_an_event_and_its_parameter_have_names(events):
    with pytest.raises(ValueError, match="have names"):
        program("p", events=events)


def test_a_plugin_whose_event_names_no_parameter(tmp_path):
    file = tmp_path / "p.py"
    file.write_text(
        "from sim.plugin import program\n\n"
        "@program('p', events={'save': 'savez'})\n"
        "def p(task, *, saves: int = 1):\n    yield from task.compute(1)\n"
    )
    with pytest.raises(ScenarioError, match=r"p\.py:3: p: the event 'save' names 'savez'"):
        load_plugin(file)


@program("ends_first")
def ends_first(task):
    """End what has not begun."""
    yield from task.compute(1)
    task.end("save")


@program("begins_another", events=("save",))
def begins_another(task):
    """Begin what it is not there for."""
    yield from task.compute(1)
    task.begin("svae")


@program("offers_what")
def offers_what(task):
    """Offer what is no stream."""
    yield from task.compute(1)
    task.offers([1, 2, 3])


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        (ends_first, ValueError, "no save is under way"),
        (begins_another, ValueError, "svae is no event of it; @program has save"),
        (offers_what, TypeError, "ArrivalStream"),
    ],
)
def test_mistakes_of_a_program_are_its_own(wrong, error, said):
    programs = {**known_programs(), "wrong": wrong}
    scenario = resolve({"version": 1, "processes": {"p": {"program": "wrong"}}}, programs)
    with pytest.raises(error, match=said):
        simulate(scenario, seed=1, programs=programs)


def test_a_program_without_end_needs_a_horizon():
    def forever(task):
        yield from task.sleep(1)

    forever.program_endless = True
    programs = {**known_programs(), "forever": forever}
    data = {"version": 1, "processes": {"p": {"program": "forever"}}}
    with pytest.raises(ScenarioError, match="has no end of its own"):
        resolve(data, programs)
    assert resolve({**data, "run": {"horizon": "1 s"}}, programs)["run"]["horizon"] == 10**9
