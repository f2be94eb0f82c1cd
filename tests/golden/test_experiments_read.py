"""What the README of an experiment says was read off runs that still come out so.

`experiments.txt` has a digest of the lines of the net that an experiment's README was last held
against.  Where it differs, a change of results has left the README behind: run its commands, go
through its figures and sentences, then `pytest --regen-golden` of this file.
"""

import hashlib
from pathlib import Path

import pytest
from support import net

HELD = Path(__file__).parent / "experiments.txt"
STUDIES = {"002_fork_strategies": "studies/fork_strategies/"}
ELSEWHERE = {"008_page_replacement"}
"""Whose figures a test holds as they stand: `tests/truth/test_page_replacement_curves.py`."""


def digests(lines: dict[str, str]) -> dict[str, str]:
    """Return a digest of what each experiment runs, by the name of its folder."""
    found = {}
    for readme in sorted(net.ROOT.glob("experiments/*/README.md")):
        name = readme.parent.name
        begins = (f"experiments/{name}/", STUDIES.get(name, "\0"))
        own = [f"{case} {lines[case]}\n" for case in sorted(lines) if case.startswith(begins)]
        assert bool(own) != (name in ELSEWHERE), f"{name}: the net has none of its runs"
        if own:
            found[name] = hashlib.sha256("".join(own).encode()).hexdigest()[:16]
    return found


def told(held: str, found: dict[str, str]) -> list[str]:
    """Return the experiments of which `held`, a line each, has another digest or none."""
    return [name for name, digest in found.items() if f"{name} {digest}\n" not in held]


def test_no_readme_is_left_behind(pytestconfig: pytest.Config) -> None:
    found = digests(net.read_net())
    if pytestconfig.getoption("--regen-golden"):
        HELD.write_text("".join(f"{name} {digest}\n" for name, digest in found.items()))
        pytest.fail("experiments.txt written anew: were the READMEs gone through?")
    behind = told(HELD.read_text(), found)
    assert not behind, f"results have changed since the README was read: {behind}; {__doc__}"
    assert len(HELD.read_text().splitlines()) == len(found)


def test_a_result_that_changes_names_its_experiment() -> None:
    lines = net.read_net()
    case = "experiments/005_limit_and_request/limits"
    other = digests(lines | {case: lines[case].replace("got=", "got=0")})
    assert told(HELD.read_text(), other) == ["005_limit_and_request"]
