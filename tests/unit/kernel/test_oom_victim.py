"""Whom the out-of-memory killer takes: `oom_badness` in pages, the highest, the later of equals."""

import pytest

from sim.policy.oom import Candidate, badness_pages, child_in_place_of, choose_victim

TOTAL = 10_000


@pytest.mark.parametrize(
    ("resident", "swapped", "tables", "adjustment", "score"),
    [
        (100, 0, 0, 0, 100),
        (100, 20, 3, 0, 123),
        (100, 0, 0, 1000, 10_100),
        (100, 0, 0, 500, 5100),
        (100, 0, 0, 1, 110),
        (100, 0, 0, -1, 90),
        (100, 0, 0, -500, -4900),  # may be negative, and still be the highest
        (100, 0, 0, -999, -9890),
        (100, 0, 0, -1000, None),  # OOM_SCORE_ADJ_MIN
        (0, 0, 0, 0, 0),
    ],
)
def test_badness(
    resident: int, swapped: int, tables: int, adjustment: int, score: int | None
) -> None:
    assert badness_pages(Candidate(2, resident, swapped, tables, adjustment), TOTAL) == score


@pytest.mark.parametrize(
    ("adjustment", "total", "score"), [(1, 1999, 1), (-1, 1999, -1), (1000, 1999, 1000)]
)
def test_memory_is_divided_before_it_is_multiplied(adjustment: int, total: int, score: int) -> None:
    """Linux: ``adj *= totalpages / 1000``."""
    assert badness_pages(Candidate(2, 0, 0, 0, adjustment), total) == score


def test_a_borrower_is_never_taken() -> None:
    assert badness_pages(Candidate(2, 100, 0, 0, 0, in_vfork=True), TOTAL) is None


def of(pid: int, pages: int, adjustment: int = 0) -> Candidate:
    return Candidate(pid, pages, 0, 0, adjustment)


@pytest.mark.parametrize(
    ("candidates", "victim"),
    [
        ([], None),
        ([of(2, 5)], 2),
        ([of(2, 5), of(3, 9), of(4, 7)], 3),
        ([of(2, 9), of(3, 9)], 3),  # among equals the later process
        ([of(2, 0), of(3, 0)], 3),
        ([of(2, 5, -500), of(3, 5, -999)], 2),
        ([of(2, 5, -1000)], None),
        ([of(2, 5000, -1000), of(3, 1)], 3),
        ([of(2, 5000), of(3, 1, 1000)], 3),
    ],
)
def test_the_victim(candidates: list[Candidate], victim: int | None) -> None:
    assert choose_victim(candidates, TOTAL) == victim


def child(pid: int, parent: int, pages: int, adjustment: int = 0, **more: bool) -> Candidate:
    return Candidate(pid, pages, 0, 0, adjustment, parent=parent, **more)


@pytest.mark.parametrize(
    ("candidates", "victim"),
    [
        ([of(2, 9)], 2),
        ([of(2, 9), child(3, 2, 4), child(4, 2, 5), of(5, 8)], 4),
        ([of(2, 9), child(3, 2, 5), child(4, 2, 5)], 3),  # among equals the first
        ([of(2, 9), child(3, 2, 5, -1000)], 2),  # who may not be killed is not
        ([of(2, 9), child(3, 2, 5, in_vfork=True)], 2),
        ([of(2, 9), child(3, 2, 5, -500), child(4, 2, 5, -10)], 3),  # below 1 is 1
        ([of(2, 9), child(3, 2, 8), child(4, 3, 7)], 3),  # its own children are spared
        ([of(2, 5), child(3, 2, 9)], 3),  # whose parent is not the worst
        ([of(2, 5, -1000), child(3, 2, 9), child(4, 3, 1)], 4),
        ([], None),
    ],
)
def test_before_5_1_a_child_goes_in_its_place(
    candidates: list[Candidate], victim: int | None
) -> None:
    assert choose_victim(candidates, TOTAL, child_first=True) == victim
    worst = choose_victim(candidates, TOTAL)
    if worst is not None:
        assert child_in_place_of(worst, candidates, TOTAL) == victim
