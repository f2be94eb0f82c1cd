"""The grammar of scripts of malloc and free."""

import pytest

from sim.base.errors import ScenarioError
from sim.script.malloc.grammar import Verb, check_script, format_script, parse_script
from sim.script.malloc.random import random_script, script_generator, shrink

EVERYTHING = """\
P malloc a 100000
P calloc b 4096
P realloc a 200000
P write a
P read a 0 100
P mallopt top_pad 65536
P fork C
C free a
C exit
P thread T
T malloc c 10
T exit
P trim
P free a
"""


def test_text_and_operations_are_the_same():
    assert format_script(parse_script(EVERYTHING)) == EVERYTHING
    assert parse_script("P malloc a 64KiB # a comment\n")[0].end == 65536


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("P", "no verb after 'P'"),
        ("P maloc a 1", "did you mean `malloc`?"),
        ("P malloc a", "1 words after `malloc`; write `P malloc BLOCK BYTES`"),
        ("P malloc a 0", "at least 1 byte"),
        ("P malloc a 1zib", "write `P malloc BLOCK BYTES`"),
        ("P malloc a 17GiB", "at most 16 GiB"),
        ("P malloc 1 1", "'1' cannot name a block"),
        ("P free a", "P has no block a; it has: none"),
        ("P malloc a 1\nP malloc a 1", "P has a block a; free it first"),
        ("P malloc a 10\nP write a 5 11", "block a has 10 bytes, not 11"),
        ("P malloc a 10\nP write a 5 5", "holds no byte"),
        ("P malloc a 10\nP write a 5", "2 words after `write`"),
        ("P mallopt pad 5", "unknown option 'pad'; there are: top_pad"),
        ("C exit", "there is no C; there are: P"),
        ("P exit\nP trim", "there is no P any more"),
        ("P fork C\nP fork C", "there was a C already"),
        ("P thread T\nT fork C", "T is a thread; only processes `fork`"),
        ("P thread T\nP fork C", "has had threads"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(text, message):
    with pytest.raises(ScenarioError) as error:
        parse_script(text, "s.txt")
    assert message in str(error.value)
    assert str(error.value).startswith(f"s.txt:{len(text.splitlines())}: ")


@pytest.mark.parametrize("seed", range(20))
def test_random_scripts_are_valid_and_repeat(seed):
    script = random_script(script_generator(seed, 3))
    assert check_script(script) == script == random_script(script_generator(seed, 3))
    assert parse_script(format_script(script)) == script


def test_a_script_is_shrunk_to_what_fails():
    script = parse_script(EVERYTHING)

    def fails(candidate):
        return any(op.verb is Verb.WRITE for op in candidate)

    assert format_script(shrink(script, fails)) == "P malloc a 100000\nP write a\n"
