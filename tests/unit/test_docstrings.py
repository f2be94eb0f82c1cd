"""Each example in a docstring comes to what stands behind it.

As tests of their own, not collected from `sim`: every process that runs tests would import all of
it, down to what draws figures.
"""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMPT = ">>> "


def module_of(path: Path) -> str:
    """Return the name under which the file is imported."""
    place = path.relative_to(ROOT if path.is_relative_to(ROOT / "sim") else ROOT / "tests")
    return ".".join(place.with_suffix("").parts).removesuffix(".__init__")


SOURCES = [*(ROOT / "sim").rglob("*.py"), *(ROOT / "tests" / "support").rglob("*.py")]
EXAMPLES = {
    module_of(path): count
    for path in sorted(SOURCES)
    if (count := path.read_text(encoding="utf-8").count(PROMPT))
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_a_module_hold(name):
    found = doctest.testmod(importlib.import_module(name))  # says to stdout what differs
    assert found.failed == 0
    assert found.attempted == EXAMPLES[name], "some examples are where nobody runs them"


def test_an_example_that_does_not_hold_is_seen():
    """Negative control."""
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(wrong, out=lambda _: None).failed == 1
