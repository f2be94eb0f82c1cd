"""Segments of an array: none overlaps another, and what is given back is used again."""

from hypothesis import given
from hypothesis import strategies as st
from support.machines import flat_prices, machine

from sim.machine.layout import KIND_FILE, KIND_SHMEM
from sim.machine.segments import Segments


@given(moves=st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=60))
def test_none_overlaps_another(moves: list[tuple[bool, int]]) -> None:
    segments = Segments()
    used: dict[int, int] = {}
    for gives, number in moves:
        if gives and used:
            start = sorted(used)[number % len(used)]
            segments.give(start)
            del used[start]
        else:
            used[segments.take(number)] = number
        taken = [e for start, size in used.items() for e in range(start, start + size)]
        assert len(taken) == len(set(taken))
        assert all(element < segments.end for element in taken)
        assert len(segments) == len(used)


def test_what_comes_and_goes_takes_no_more_room() -> None:
    segments = Segments()
    for elements in (5, 8, 7, 6) * 100:
        segments.give(segments.take(elements))
    assert segments.end == 8
    assert segments.take(9) == 8


def test_files_that_come_and_go_keep_their_rows_and_the_room_of_their_pages() -> None:
    box = machine(flat_prices(), memory_pages=100)
    stays = box.new_file(KIND_FILE, 30, known=True)
    rows = set()
    for _ in range(200):
        row = box.new_file(KIND_SHMEM, 20)
        rows.add(row)
        box.drop_file(row)
    assert rows == {stays + 1}
    assert len(box.arrays.cached) == 64  # two of 32: the room of each file, to a power of 2
    first, second = (int(box.arrays.files[row].first) for row in (stays, stays + 1))
    assert abs(first - second) >= 30
