"""What the running kernel charges a control group of its own, and whom it kills in it.

In a control group (version 1) of the test's own, which is removed again.  What is claimed is in
`sim.host.claims`; here each claim is held to the kernel, and to what a wrong one would show.
"""

from dataclasses import replace

import pytest
from support.samples import sample

from sim.host.claims import charging
from sim.host.claims.charging import (
    LIMITS,
    PLENTY,
    SET_LIMIT,
    SETS,
    children,
    first_killed,
    of_a_child,
    over_the_limit,
    page_by_page,
    processes,
)
from sim.host.claims.claim import Claim
from sim.host.kernel import KernelRunner
from sim.script import group as predicting
from sim.script.grammar import FIRST_PROCESS
from sim.script.group import GroupRun, predict_in_group

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

FIRST_FAILCNT = 36
"""A batch, a single page, once more when stocks are drained, 16 retries; killed, 17 more."""


@pytest.fixture(scope="module")
def kernel() -> KernelRunner:
    if reason := charging.why_not():
        pytest.skip(f"unchecked: {reason}")
    return KernelRunner()


@pytest.mark.parametrize(
    ("claim", "cases"),
    [
        (charging.USAGE, 1024),
        (charging.KILL, sample(5, len(LIMITS))),
        (charging.VICTIM, sample(5, SETS)),
        (charging.KERNEL_MEMORY, 4),
        (charging.STORM, 3),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_kernel_does_what_is_claimed(kernel: KernelRunner, claim: Claim, cases: int) -> None:
    found = list(claim.check(cases, 0, True))
    assert found
    assert [case for case in found if not case.held] == []


# -- what is claimed is what the rules say ---------------------------------------------------------


def charges(run: GroupRun) -> list[tuple[int | None, int]]:
    return charging.charges(run)


def test_usage_grows_by_64_pages() -> None:
    mine = charges(predict_in_group(page_by_page(1024), PLENTY))
    for n, (usage, kernel_pages) in enumerate(mine):
        assert usage == 64 * -(-(n + kernel_pages) // 64), n
    assert [mine[n][1] for n in (0, 1, 512, 513, 1024)] == [1, 4, 4, 5, 5]


def killed_at(limit: int) -> int:
    """Return the page after which a process is killed: tables and a page of objects count."""
    return max(n for n in range(limit) if n + -(-n // 512) + 3 <= limit)


@pytest.mark.parametrize("limit", LIMITS[: sample(5, len(LIMITS))])
def test_the_page_at_which_the_limit_kills(limit: int) -> None:
    mine = predict_in_group(over_the_limit(limit), limit)
    assert mine.records[1].ending == "killed"
    assert mine.records[1].killed == (FIRST_PROCESS,)
    assert mine.records[1].minflt == killed_at(limit)
    assert mine.peak_pages == limit
    assert mine.failcnt == FIRST_FAILCNT + limit % 64


# -- what a wrong claim would show -----------------------------------------------------------------


def test_another_batch_would_be_noticed(kernel: KernelRunner) -> None:
    """The formula with 32 in place of 64 does not hold for what the kernel says."""
    real = charging.charges(kernel.run_in_group(page_by_page(200), PLENTY))
    half = [32 * -(-(n + pages) // 32) for n, (_, pages) in enumerate(real)]
    assert [usage for usage, _ in real] != half


def test_a_limit_without_its_tables_would_be_noticed(kernel: KernelRunner) -> None:
    real = kernel.run_in_group(over_the_limit(LIMITS[0]), LIMITS[0])
    assert real.touched[1] != LIMITS[0]


def test_the_largest_alone_would_be_noticed(kernel: KernelRunner) -> None:
    """Without oom_score_adj somebody else is predicted for a set."""
    for number in range(SETS):
        script, scores, mine = processes(number)
        largest = predict_in_group(script, SET_LIMIT)
        if first_killed(largest) != first_killed(mine):
            break
    real = kernel.run_in_group(script, SET_LIMIT, scores)
    assert first_killed(real) != first_killed(largest)


def test_children_without_tables_would_be_noticed(
    kernel: KernelRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = children(1, 1)
    bare = tuple(
        replace(area, written=0, at_birth=0, before_each=0) for area in predicting.OWN_AREAS
    )
    monkeypatch.setattr(predicting, "OWN_AREAS", bare)
    mine = predict_in_group(script, PLENTY)
    real = kernel.run_in_group(script, PLENTY)
    assert of_a_child(mine) != pytest.approx(of_a_child(real), rel=0.02)
