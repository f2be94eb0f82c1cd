"""Each kind of work is written once; what else there is to say of it is said elsewhere, of each."""

from pathlib import Path

import pytest

from sim.base.numbered import counted_up_from, rows_of
from sim.cost.catalogue import PER, PRICE_KEYS
from sim.machine import work
from sim.machine.work import DRAW_HOT, DRAW_PAGE, DRAW_ROWS, KINDS, N_DRAWS, NAMES, Kind
from sim.observe.faults import FAULT_KINDS, FAULT_LINES, FAULT_METRICS
from sim.study.metric_names import METRICS

DOCS = Path(__file__).parents[2] / "docs"
FIRST_KINDS = """access zero_fill zero_page_map cow_copy cow_reuse file_map file_map_around
major_fault segfault spurious table_alloc fork_base fork_area fork_table fork_pte fork_folio
fork_huge fork_eager_copy fork_flush vfork_base exec_base exit_base unmap_area unmap_pte
table_free frame_free mmap_call munmap_call brk_call madvise_call wait_call context_switch
oom_kill huge_zero_fill huge_copy reclaim_page huge_split mprotect_call protect_pte cache_fill
folio_page collapse""".split()


def test_kinds_of_work_keep_their_numbers():
    assert list(NAMES[: len(FIRST_KINDS)]) == FIRST_KINDS


def test_kinds_of_work_keep_their_random_streams():
    history = (*range(36), DRAW_PAGE, DRAW_HOT, *range(36, len(FIRST_KINDS)))
    assert DRAW_ROWS[: len(history)] == history
    assert sorted(DRAW_ROWS) == list(range(N_DRAWS))


def test_a_number_given_twice_is_no_table():
    with pytest.raises(ValueError, match="number 1 stands where 2 belongs"):
        rows_of({"A": Kind(0, draw=0), "B": Kind(1, draw=1), "C": Kind(1, draw=2)}, Kind)


def test_a_draw_number_given_twice_is_no_table():
    with pytest.raises(ValueError, match="draw number 1 stands where 2 belongs"):
        counted_up_from("draw number", 0, [0, 1, 1])


def test_each_kind_of_work_has_a_price_that_says_per_what_it_is_paid():
    assert list(PER) == list(KINDS.values())
    assert PRICE_KEYS == KINDS
    assert all(PER.values())
    assert len(set(PER.values())) == len(PER)


def test_each_price_is_among_the_keys_that_are_documented():
    page = (DOCS / "keys.md").read_text(encoding="utf-8")
    assert [name for name in KINDS if f"| `{name}` |" not in page] == []


def test_each_kind_of_minor_fault_is_documented():
    page = (DOCS / "model.md").read_text(encoding="utf-8")
    assert [name for name in FAULT_METRICS.values() if f"| `{name}` |" not in page] == []


def test_each_kind_of_minor_fault_has_its_metric():
    counted = [line for lines in FAULT_KINDS.values() for line in lines]
    assert len(set(counted)) == len(counted)
    assert set(FAULT_LINES) == {*counted, work.MAJOR_FAULT, work.SEGFAULT}
    assert set(FAULT_METRICS.values()) <= set(METRICS)
    assert FAULT_METRICS == {
        "zero_fill": "zero_fills",
        "zero_page_map": "zero_page_maps",
        "cow_copy": "cow_copies",
        "cow_reuse": "cow_reuses",
        "file_map": "file_maps",
        "spurious": "spurious_faults",
    }
