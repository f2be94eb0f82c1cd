"""Copy or reuse: which writes after a fork take a new frame, as pagemap shows it."""

import json
import os
import subprocess
import sys
from itertools import pairwise

import pytest
from support import frames_after_fork

from sim.machine.work import COW_COPY
from sim.script.grammar import parse_line
from sim.script.predict import roomy_host
from sim.script.run import Scripted

PAGES = 2048
BATCHED = 31 * (os.cpu_count() or 1)
"""Pages that may still be in some CPU's LRU batch: they hold a reference more, and are copied."""
SCRIPTS = {
    "child lives": "",
    "child exited": "C exit",
    "child wrote half": f"C write A 0 {PAGES // 2}",
    "child wrote half and exited": f"C write A 0 {PAGES // 2}\nC exit",
    "child execs": "C exec",
}


def predicted(case: str) -> int:
    """Return how many pages the parent's writes copy in the simulated machine."""
    text = f"P map A {PAGES}\nP write A 0 {PAGES}\nP fork C\n{SCRIPTS[case]}\nP write A 0 {PAGES}"
    script = [op for line in text.splitlines() if (op := parse_line(line)) is not None]
    scripted = Scripted(roomy_host(script))
    for operation in script:
        scripted.perform(operation, timed=False)
    return int(scripted.machine.arrays.counts[0, COW_COPY])


@pytest.fixture(scope="module")
def found() -> dict[str, int]:
    ran = subprocess.run(
        [sys.executable, "-P", frames_after_fork.__file__, str(PAGES)],
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, int] = json.loads(ran.stdout)
    return result


@pytest.mark.truth
@pytest.mark.kernel
@pytest.mark.parametrize("case", frames_after_fork.CASES)
def test_as_many_pages_are_copied_as_predicted(case: str, found: dict[str, int]) -> None:
    assert predicted(case) <= found[case] <= predicted(case) + BATCHED


@pytest.mark.truth
@pytest.mark.kernel
def test_the_test_can_fail(found: dict[str, int]) -> None:
    """Negative control: no two of the answers that there are could be taken for each other."""
    answers = sorted({predicted(case) for case in frames_after_fork.CASES})
    assert answers == [0, PAGES // 2, PAGES]
    assert all(b - a > BATCHED for a, b in pairwise(answers))
    assert set(found) == set(SCRIPTS)
