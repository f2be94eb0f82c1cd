"""Whom the running kernel holds while a child starts: vfork's caller, and not fork's."""

import subprocess
from pathlib import Path

import pytest

from sim.base.units import MS
from sim.host.kernel import compiled_program

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

PROGRAM = Path(__file__).parents[1] / "support" / "programs" / "held.c"
SLEEP_MS = 30


def held_ns(call: str) -> int:
    done = subprocess.run(
        [compiled_program("held", [PROGRAM]), call, str(SLEEP_MS)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_vfork_holds_its_caller_while_the_child_sleeps():
    """A bound that a busy machine cannot break: it only ever holds longer."""
    assert held_ns("vfork") >= SLEEP_MS * MS


def test_fork_holds_nobody():
    """Negative control: the child ends only after its parent has gone on, and it does end."""
    assert held_ns("fork") > 0
