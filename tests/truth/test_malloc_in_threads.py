"""malloc in threads: resident memory of a real process against that of a list of steps.

What is compared, and within which band, is in `sim.host.claims.threads`.
"""

import os

import pytest

from sim.host.claims.threads import ARENAS, FEW_PAGES, SIZES, WITHIN, real, simulated


@pytest.mark.kernel
@pytest.mark.parametrize("case", SIZES)
@pytest.mark.parametrize(("threads", "arenas"), [(8, 0), (8, 1), (8, 2), (3, 0)])
def test_threads_hold_what_they_hold_with_glibc(threads: int, arenas: int, case: str) -> None:
    cpus = os.cpu_count() or 1
    assert simulated(threads, case, arenas, cpus)[0] == pytest.approx(
        real(threads, case, arenas)[0], rel=WITHIN
    )


@pytest.mark.kernel
def test_arenas_of_their_own_keep_what_they_keep_with_glibc() -> None:
    if reason := ARENAS.why_not():
        pytest.skip(f"unchecked: {reason}")
    found = list(ARENAS.check(ARENAS.cases, 0, True))
    assert [case for case in found if not case.held] == []


@pytest.mark.kernel
def test_one_arena_for_all_would_be_noticed() -> None:
    """Negative control: what it keeps when all is freed is not what eight keep."""
    one, eight = simulated(8, "mapped", 1, 2)[1], real(8, "mapped", 0)[1]
    assert one != pytest.approx(eight, rel=WITHIN, abs=FEW_PAGES)
