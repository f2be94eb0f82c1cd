"""Constraints: arithmetic is arithmetic, Python is refused, mistakes are told."""

import operator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.scenario.constraints import (
    DURATION,
    NUMBER,
    RATE,
    SIZE,
    SPEED,
    constraint_of,
    meant_key,
    measure_of,
)

VALUES = {
    "host.memory": (4 << 30, SIZE), "host.swap": (1 << 30, SIZE), "a": (3, NUMBER),
    "b": (4.5, NUMBER), "tenth": (0.1, NUMBER), "host.thp": ("always", None), "what": (7, None),
    "every": (50_000_000, DURATION), "writes": (2000.0, RATE), "speed": (float(200 << 20), SPEED),
}  # fmt: skip


def holds(text):
    return constraint_of(text).holds(lambda word: measure_of(*VALUES[word]))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("host.swap <= host.memory", True),
        ("host.swap > host.memory", False),
        ("host.swap = 1 GiB", True),
        ("host.swap + 1 GiB*3 == host.memory", True),
        ("(host.swap + 1 GiB) * 2 == host.memory", True),
        ("2 GiB <= host.memory < 4 GiB", False),
        ("2 GiB < host.memory <= 4096 MiB", True),
        ("a - b < 0", True),
        ("-a + 2 * b >= 6", True),
        ("a / 2 = 1.5", True),
        ("a - b - 1 = -2.5", True),
        ("host.thp = 'always'", True),
        ('host.thp != "never"', True),
        ("a * 1000/s >= 3000/s", True),
        ("a * 1000/s <= 3000/s", True),
        ("1e3 > 5 * 100", True),
        ("tenth + 2 * tenth = 0.3", True),
        ("writes * every = 100", True),
        ("writes = 100 / 50 ms", True),
        ("host.swap / speed < 6 s", True),
        ("host.swap / speed < 5 s", False),
        ("speed * every = 10 MiB", True),
        ("host.memory / host.swap = 4", True),
        ("host.memory > 0", True),
        ("host.memory + 0 = 4 GiB", True),
        ("what < host.memory", True),
        ("what * 1 GiB = 7 GiB", True),
    ],
)
def test_it_holds_or_it_does_not(text, told):
    assert holds(text) is told


@given(st.integers(-9, 9), st.integers(1, 9), st.integers(-9, 9), st.sampled_from("+-*/"))
def test_it_calculates_as_python_does(x, y, z, sign):
    does = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}[sign]
    values = {"x": x, "y": y, "z": z}
    constraint = constraint_of(f"x {sign} y + z * 2 <= z - (x - y)")
    assert constraint.holds(lambda word: measure_of(values[word], NUMBER)) == (
        does(x, y) + z * 2 <= z - (x - y)
    )


@pytest.mark.parametrize(
    "text",
    ["", "a", "a <=", "<= a", "a <= b b", "(a <= b", "a <= (b", "a ** 2 < 3", "a <= b)",
     "a & b > 1",
     "__import__('os').system('x') = 1", "a[0] < 1", "lambda: 0 < 1", "a; b < 1", "f(a) < 1",
     "a < 5 apples", "a = 'x", "(" * 200 + "a" + ")" * 200 + " < 1", "1 < a or b < 1"],
)  # fmt: skip
def test_what_is_no_constraint_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="write e.g. `"):
        constraint_of(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("host.thp <= 1", "'always' is no number; texts are `=` or `!=`"),
        ("host.thp + 1 = 2", "only numbers are calculated with"),
        ("a / (b - b) < 1", "it divides by 0"),
        ("host.memory >= 2", "a size and a number cannot be compared; write its unit"),
        ("2 < host.memory", "a number and a size cannot be compared; write its unit"),
        ("host.memory + 1 > 1 GiB", "a size and a number cannot be added"),
        ("every - 1 GiB < 1 s", "a duration and a size cannot be subtracted; compare what is"),
        ("writes <= 1 GiB/s", "a rate and a speed cannot be compared"),
        ("host.memory * host.swap < 1 GiB", r"bytes\^2 \* time\^0 and a size cannot be compared"),
        ("1 < 2 < 1 < 2 GiB", "a number and a size"),
    ],
)
def test_what_has_no_meaning_is_told(text, told):
    with pytest.raises(ValueError, match=told):
        holds(text)


def test_words_are_keys_or_their_ends():
    keys = ["host.memory", "host.swap", "processes.a.dataset", "processes.b.dataset"]
    assert meant_key("swap", keys) == "host.swap"
    assert meant_key("a.dataset", keys) == "processes.a.dataset"
    assert meant_key("wap", keys) is None
    with pytest.raises(ValueError, match="may be any of processes.a.dataset, processes.b.dataset"):
        meant_key("dataset", keys)


@given(st.text(max_size=60))
def test_any_text_is_a_constraint_or_a_value_error(text):
    with suppress(ValueError):
        assert constraint_of(text).text == text
