"""What the README shows is what the commands print."""

import json
import re
from functools import partial
from pathlib import Path

import pytest
from support.commands import cowpool, cowpool_here
from support.samples import spread

from sim.cli import main
from sim.engine.run import simulate
from sim.scenario.study import load_study
from sim.study.answer import need_sentences
from sim.study.base import planner_of
from sim.study.doubts import omission_sentences
from sim.study.inputs import omissions_of
from sim.study.need import need_of, smallest_host_bytes
from sim.study.points import place_text

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
LEFT_OUT = "…"
NEEDS = ROOT / "tests" / "golden" / "headline_needs.json"
"""What each run that the headline of `make run` rests on needed; see `--regen-golden`."""


def commands():
    """Return (command, lines shown below it) of every console block, in order."""
    found = []
    for line in "".join(BLOCKS).splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder that looks like a checkout to who names examples by their paths."""
    path = tmp_path_factory.mktemp("readme")
    for name in ("docs", "experiments"):
        (path / name).symlink_to(ROOT / name)
    return path


def printed(command, folder, carried_out=cowpool_here):
    program, *arguments = command.split()
    assert program == "cowpool"
    ran = carried_out(*arguments, cwd=folder)
    return [" ".join(line.split()) for line in (ran.stdout + ran.stderr).splitlines()]


def assert_shows(shown, lines):
    """Assert that `shown` is `lines`, but for what `…` stands for."""
    at, may_skip = 0, False
    for line in (" ".join(line.split()) for line in shown):
        if line == LEFT_OUT:
            may_skip = True
            continue
        rest = lines[at:] if may_skip else lines[at : at + 1]
        assert line in rest
        at += rest.index(line) + 1
        may_skip = False
    assert may_skip or at == len(lines)


@pytest.mark.parametrize(("command", "shown"), commands(), ids=[c for c, _ in commands()])
def test_a_command_prints_what_is_shown(command, shown, folder):
    assert_shows(shown, printed(command, folder))


def test_a_command_prints_it_in_a_process_of_its_own_too(folder):
    command = "cowpool explain redis_bgsave"
    assert_shows(dict(commands())[command], printed(command, folder, cowpool))


def test_other_output_is_noticed():
    """Negative control."""
    assert_shows(["a", "…", "d"], ["a", "b", "c", "d"])
    for shown in (["a"], ["a", "…", "x"], ["a", "c", "…"], ["…", "c"], []):
        with pytest.raises(AssertionError):
            assert_shows(shown, ["a", "b", "c", "d"])


def test_the_studys_answer_is_about_a_point_of_the_study():
    """Rates and sizes that the study no longer has would give an old answer away."""
    planner, _ = planner_of(load_study("redis_bgsave"))
    places = {place_text(planner.axes, point) for point in planner.points}
    (shown,) = re.findall(r"a Redis host \((.*?)\) needs about", " ".join(PAGE.split()))
    assert shown in places
    for key, given in planner.study.uncertain.items():
        assert given.likely is None or f"{key.rpartition('.')[2]} {given.likely}" in PAGE


@pytest.mark.stress
@pytest.mark.slow
def test_the_studys_answer_is_what_its_runs_say(pytestconfig):
    """The headline of `make run`, from the ten runs that it rests on; one is carried out."""
    planner, _ = planner_of(load_study("redis_bgsave"))
    point = max(planner.points, key=lambda point: planner.main_cells()[point.index].weight)
    scenario = planner.main_cells()[point.index].scenario
    asked, seed = planner.study.answer, planner.study.seed

    def need_in(replication):
        ran = simulate(scenario, seed=seed, replication=replication)
        return ran.to_json()["metrics"]["memory_need_bytes"]

    replications = range(planner.study.replications)
    if pytestconfig.getoption("--regen-golden"):
        needs = [need_in(replication) for replication in replications]
        NEEDS.write_text(json.dumps(needs, indent=1) + "\n", encoding="utf-8")
        pytest.fail(f"{NEEDS.name} written anew: explain it in CHANGELOG.md")
    needs = json.loads(NEEDS.read_text(encoding="utf-8"))
    assert len(needs) == len(replications)
    for replication in spread(replications, 1):
        assert need_in(replication) == needs[replication]
    need = need_of(
        needs,
        content=asked.content,
        confidence=asked.confidence,
        normal=asked.normal_because is not None,
    )
    host_bytes = smallest_host_bytes(need.bound.bound, partial(planner.on_host, point.index))
    data_bytes = scenario["processes"]["redis"]["dataset"]
    words = {"subject": asked.subject, "event": asked.event, "condition": ", "}
    where = place_text(planner.axes, point)
    sentence, *_ = need_sentences(need, host_bytes, {}, data_bytes, where, words)
    assert sentence in " ".join(PAGE.split())
    (left_out,) = omission_sentences(omissions_of(scenario, planner.programs))
    assert left_out in " ".join(PAGE.split())


QUESTIONS = [
    command
    for row in re.findall(r"^\| [^|]*\? \| (.*) \|$", PAGE, re.MULTILINE)
    for command in re.findall(r"`(cowpool [^`]*)`", row)
]


@pytest.mark.parametrize("command", QUESTIONS)
def test_a_command_that_answers_a_question_is_taken(command, tmp_path, monkeypatch, capsys):
    """Explained instead of run, which would take minutes."""
    monkeypatch.chdir(tmp_path)
    _, name, *rest = command.split()
    kinds = {"run": "scenarios", "study": "studies", "plan": "studies", "compare": "scenarios"}
    if name in kinds:
        rest = ["--set" if word == "--vs" else word for word in rest]
        name, rest = "explain", [f"{kinds[name]}/{rest[0]}", *rest[1:]]
    assert main([name, *rest]) == 0
    assert capsys.readouterr().err == ""


def test_there_are_questions_with_commands():
    assert len(QUESTIONS) > 8


def test_everything_linked_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / target).exists(), target
    for word in re.findall(r"\b(?:docs|experiments)/[\w./]+\w", PAGE):
        assert (ROOT / word).exists(), word
