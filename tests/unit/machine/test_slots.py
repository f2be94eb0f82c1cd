"""Free rows of arrays: the one list that hands them out."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.kernel import Kernel

from sim.base.jit import plain
from sim.machine import slots
from sim.machine.layout import N_SLOTS, SLOTS

ROW = np.dtype([("next", "i8"), ("other", "i8")])
has_room, take_row, give_row = map(plain, (slots.has_room, slots.take_row, slots.give_row))


class Rows:
    """A list of free rows and its array, the first `unused` rows being nobody's."""

    def __init__(self, rows: int, unused: int = 0) -> None:
        self.slots: Any = np.zeros(1, SLOTS).view(np.recarray)[0]
        self.slots.free = self.slots.used = unused
        self.slots.room = rows
        self.rows: Any = np.zeros(rows, ROW).view(np.recarray)

    def take(self) -> int:
        row = int(take_row(self.slots, self.rows))
        self.rows[row].next = 77  # whoever has it may write to all of it
        return row

    def give(self, row: int) -> None:
        give_row(self.slots, self.rows, row)

    def grow(self, rows: int) -> None:
        self.rows = np.concatenate([self.rows, np.zeros(rows, ROW)]).view(np.recarray)
        self.slots.room += rows

    def free(self) -> list[int]:
        """Return the free rows, as they would be taken."""
        found, row = [], int(self.slots.free)
        while row < len(self.rows):
            found.append(row)
            row += 1 + int(self.rows[row].next)
        return found


@pytest.mark.parametrize("unused", [0, 1])
def test_new_rows_are_taken_in_order(unused: int) -> None:
    held = Rows(5, unused)
    assert [held.take() for _ in range(5 - unused)] == list(range(unused, 5))
    assert not has_room(held.slots, 1)


def test_the_row_given_back_last_is_taken_first() -> None:
    held = Rows(6)
    taken = [held.take() for _ in range(4)]
    held.give(taken[0])
    held.give(taken[2])
    assert [held.take() for _ in range(4)] == [2, 0, 4, 5]


def test_there_is_room_for_as_many_as_there_are() -> None:
    held = Rows(4, unused=1)
    held.take()
    assert has_room(held.slots, 2)
    assert not has_room(held.slots, 3)


MOVES = st.lists(st.one_of(st.just("take"), st.just("grow"), st.integers(0, 20)), max_size=60)


def broken_laws(held: Rows, moves: list[str | int]) -> list[str]:
    """Take, give and grow; return what does not hold of a list of free rows."""
    taken: list[int] = []
    for move in moves:
        if move == "grow":
            held.grow(3)
        elif move == "take" and has_room(held.slots, 1):
            taken.append(held.take())
        elif isinstance(move, int) and taken:
            held.give(taken.pop(move % len(taken)))
        free = held.free()
        if sorted(free + taken) != list(range(len(held.rows))):
            return ["each row is free or taken, and once"]
        if held.slots.used != len(taken):
            return ["as many are used as were taken"]
    return []


@given(moves=MOVES)
def test_every_row_is_free_or_taken_and_nothing_is_lost(moves: list[str | int]) -> None:
    assert broken_laws(Rows(4), moves) == []


def test_a_list_that_counts_links_from_the_wrong_row_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(free: Any, rows: Any, row: int) -> None:
        rows[row].next = free.free - row
        free.free = row
        free.used -= 1

    monkeypatch.setitem(globals(), "give_row", wrong)
    assert broken_laws(Rows(4), ["take", "take", 0, "take", "take"]) != []


def test_a_machine_has_a_list_for_each_of_its_arrays() -> None:
    m = Kernel(memory_pages=100).arrays
    assert len(m.slots) == N_SLOTS
    assert (m.slots["used"] <= m.slots["room"]).all()
    assert (m.slots["used"] == m.slots["free"]).all(), "nothing was given back yet"
