"""What the C library's posix_spawn asks of the running kernel."""

import subprocess
from pathlib import Path

import pytest

from sim.host.kernel import compiled_program

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

PROGRAM = Path(__file__).parents[1] / "support" / "programs" / "spawned_how.c"
FORK, VFORK = 1, 2
"""PTRACE_EVENT_FORK and PTRACE_EVENT_VFORK: the parent waits for exec or exit."""


def started(how: str) -> list[int]:
    """Return which event a start was, and whether parent and child share their memory."""
    done = subprocess.run(
        [compiled_program("spawned_how", [PROGRAM]), how],
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(word) for word in done.stdout.split()]


def test_posix_spawn_is_a_vfork():
    assert started("spawn") == [VFORK, 1]


def test_a_fork_is_none():
    """Negative control."""
    assert started("fork") == [FORK, 0]
