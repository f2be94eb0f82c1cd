"""The reference of keys is complete, up to date, and says of steps what the grammar takes."""

from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from property.test_step_list_laws import anything, plausible
from unit.program.test_step_lists import EVERYTHING, PROGRAMS

from sim.cli import main
from sim.program.steps.accesses import HOT_COLD
from sim.program.steps.grammar import VERBS
from sim.program.steps.runner import StepsError, normal_steps
from sim.program.steps.words import ARGUMENT_TEXTS, ARRIVAL_TEXTS, PATTERN_TEXTS, VERB_TEXTS
from sim.scenario.keys import markdown, parts
from sim.scenario.schema import json_schema

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def schema_of_steps():
    return jsonschema.Draft202012Validator(
        {"$ref": "#/$defs/Steps", "$defs": json_schema("scenario")["$defs"]}
    )


def test_the_page_is_what_the_command_prints(capsys):
    assert main(["keys", "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert printed == markdown()
    page = (ROOT / "docs" / "keys.md").read_text(encoding="utf-8")
    assert page == printed, "make it again: cowpool keys --markdown > docs/keys.md"


@pytest.mark.parametrize("name", parts())
def test_every_key_says_what_it_takes_and_means(name, capsys):
    part = parts()[name]
    assert part.keys
    for key in part.keys:
        assert key.takes, key
        assert key.text, key
        assert key.takes not in ("anything", "`0` or text"), key
    assert main(["keys", name]) == 0
    assert all(key.name in capsys.readouterr().out for key in part.keys[:1])


def test_every_verb_and_argument_is_described_and_nothing_else():
    arguments = {key for verb in (*VERBS.values(), HOT_COLD) for key in verb.readers}
    assert VERB_TEXTS.keys() == VERBS.keys()
    assert ARGUMENT_TEXTS.keys() == arguments
    assert set(PATTERN_TEXTS) == {"sequential", "uniform", "hot_cold", "listed"}
    assert set(ARRIVAL_TEXTS) == {"every", "poisson", "at"}


def test_programs_of_a_plug_in_are_in_it(capsys):
    plugin = str(ROOT / "docs" / "examples" / "pool_map.py")
    assert main(["keys", "pool_map", "--plugin", plugin]) == 0
    assert "workers" in capsys.readouterr().out
    assert main(["keys", "pool_map"]) == 2
    assert capsys.readouterr().err.startswith("nothing is called 'pool_map'")


@pytest.mark.parametrize("steps", [EVERYTHING, PROGRAMS, [], ["wait", "exit"], [{"wait": None}]])
def test_the_schema_of_steps_takes_what_the_grammar_takes(schema_of_steps, steps):
    normal_steps(steps)
    assert schema_of_steps.is_valid(steps)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        [5],
        ["compute"],
        [{"mmap": {"name": "A"}}],
        [{"mmap": {"name": "A", "size": 4096}}],
        [{"mmap": {"name": "A", "size": "4 Kob"}}],
        [{"map": {"name": "A", "size": "4 KiB"}}],
        [{"read": "A", "write": "A"}],
        [{"read": {"region": "A", "pattern": {"unform": 3}}}],
        [{"exit": 300}],
        [{"fork": [{"exec": "lss"}]}],
        [{"sleep": 5}],
    ],
)
def test_the_schema_of_steps_underlines_mistakes(schema_of_steps, wrong):
    assert not schema_of_steps.is_valid(wrong)
    with pytest.raises(StepsError):
        normal_steps(wrong)


@settings(deadline=None, max_examples=150)
@given(plausible | anything)
def test_what_the_grammar_takes_is_valid(schema_of_steps, steps):
    try:
        normal_steps(steps)
    except StepsError:
        return
    assert schema_of_steps.is_valid(steps)
