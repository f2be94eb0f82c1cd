"""How far a stack grows: its limit and the gap to what lies below, on the running kernel."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import stacks
from support.kernel import DONE, READ_WRITE, Kernel
from support.samples import sample

from sim.machine.layout import A_GROWSDOWN

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

CASES = sample(120, 600)
GAP = 256
TOP_VPN = stacks.TOP // stacks.PAGE
BELOW = {"rw": READ_WRITE, "none": 0, "stack": READ_WRITE | A_GROWSDOWN}
Case = dict[str, Any]


def drawn(draw: random.Random) -> Case:
    """Draw a stack whose touches lie about its limit, and about the gap below it."""
    limit = draw.randrange(300, 700)
    below = draw.choice(["nothing", *BELOW])
    apart = draw.randrange(260, 760)
    about = [limit, *([] if below == "nothing" else [apart - GAP, apart])]
    touches = [max(1, draw.choice(about) + draw.randrange(-2, 3)) for _ in range(4)]
    if below != "nothing":  # what lies below may be touched, or not, on its own account
        touches = [min(depth, apart) for depth in touches]
    return {
        "limit": limit,
        "size": draw.randrange(1, 3),
        "below": below,
        "apart": apart,
        "touches": sorted(touches) if draw.random() < 0.7 else touches,
    }


def predicted(case: Case) -> int:
    kernel = Kernel(memory_pages=4000)
    row = kernel.process(stack_pages=case["limit"])
    size = case["size"]
    kernel.mmap(row, size, start=TOP_VPN - size, bits=READ_WRITE | A_GROWSDOWN)
    if case["below"] != "nothing":
        start = TOP_VPN - case["apart"] - stacks.NEIGHBOUR_PAGES
        kernel.mmap(row, stacks.NEIGHBOUR_PAGES, start=start, bits=BELOW[case["below"]])
    for count, depth in enumerate(case["touches"]):
        if kernel.access(row, TOP_VPN - depth, 1) != DONE:
            return count
    return len(case["touches"])


def found(cases: list[Case]) -> list[int]:
    if "stack_guard_gap" in Path("/proc/cmdline").read_text():
        pytest.skip("unchecked: this kernel was told another gap")
    ran = subprocess.run(
        [sys.executable, "-P", stacks.__file__],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return list(json.loads(ran.stdout))


@pytest.fixture(scope="module")
def told() -> list[tuple[Case, int]]:
    draw = random.Random(1)
    cases = [drawn(draw) for _ in range(CASES)]
    return list(zip(cases, found(cases), strict=True))


def test_stacks_grow_as_far_as_predicted(told: list[tuple[Case, int]]):
    assert [case for case, touched in told if predicted(case) != touched] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": lambda case: case["limit"] + 1},
        {"apart": lambda case: case["apart"] - 1},
        {"apart": lambda case: case["apart"] + 1},
        {"below": lambda case: {"none": "rw"}.get(case["below"], case["below"])},
        {"below": lambda case: {"stack": "rw"}.get(case["below"], case["below"])},
    ],
)
def test_a_wrong_rule_would_show(told: list[tuple[Case, int]], wrong: dict[str, Any]):
    """Negative control: other geometry is told apart, and so is what may lie within the gap."""
    changed = [({**case, **{k: f(case) for k, f in wrong.items()}}, n) for case, n in told]
    assert any(predicted(case) != touched for case, touched in changed)
