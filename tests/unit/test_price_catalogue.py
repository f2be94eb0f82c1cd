"""The catalogue's order is a contract; a price needs evidence."""

import pytest

from sim.cost.catalogue import PRICE_KEYS, Price, PriceSpec, price_array, price_specs
from sim.cost.quantiles import KNOTS, constant
from sim.kernel import work
from sim.machine.layout import N_LINES, N_QUANTILES

ORDER = """ACCESS ZERO_FILL ZERO_PAGE_MAP COW_COPY COW_REUSE FILE_MAP FILE_MAP_AROUND MAJOR_FAULT
SEGFAULT SPURIOUS TABLE_ALLOC FORK_BASE FORK_AREA FORK_TABLE FORK_PTE FORK_FOLIO FORK_HUGE
FORK_EAGER_COPY FORK_FLUSH VFORK_BASE EXEC_BASE EXIT_BASE UNMAP_AREA UNMAP_PTE TABLE_FREE FRAME_FREE
MMAP_CALL MUNMAP_CALL BRK_CALL MADVISE_CALL WAIT_CALL CONTEXT_SWITCH OOM_KILL HUGE_ZERO_FILL
HUGE_COPY RECLAIM_PAGE HUGE_SPLIT MPROTECT_CALL PROTECT_PTE CACHE_FILL FOLIO_PAGE
COLLAPSE""".split()


def flat(value_ns: int) -> dict[str, object]:
    ps = value_ns * 1000
    return {"value_ps": ps, "source": "assumed: test", "low_ps": ps, "high_ps": ps}


def test_the_order_is_the_one_the_engine_indexes_with():
    assert [price.name for price in Price] == ORDER
    assert [int(price) for price in Price] == list(range(len(ORDER)))


def test_lines_of_work_are_the_prices_in_the_same_order():
    assert [price.name for price in Price] == work.LINES
    assert [getattr(work, name) for name in work.LINES] == list(Price)
    assert len(Price) == N_LINES == work.DRAW_PAGE


def test_every_price_says_per_what_it_is_paid():
    assert all(price.per for price in Price)
    assert len({price.per for price in Price}) == len(Price)


def test_array_rows_follow_the_enum_whatever_the_order_of_the_mapping():
    prices = {key: flat(int(price)) for key, price in reversed(PRICE_KEYS.items())}
    array = price_array(prices)
    assert array.shape == (len(Price), N_QUANTILES)
    assert array.shape[1] == KNOTS
    assert array.dtype == "int64"
    assert [int(row[100]) for row in array] == [1000 * int(price) for price in Price]


def test_a_missing_price_is_not_zero():
    prices = {key: flat(1) for key in PRICE_KEYS if key != "cow_copy"}
    with pytest.raises(ValueError, match="no price for cow_copy"):
        price_specs(prices)


def test_a_price_needs_a_source():
    with pytest.raises(ValueError, match="needs a source"):
        PriceSpec(constant(5), " ", 0, 10)


def test_bounds_must_include_the_mean():
    with pytest.raises(ValueError, match="low <= mean <= high"):
        PriceSpec(constant(5_000), "assumed: x", 6_000, 9_000)


def test_a_guess_is_recognised():
    assert PriceSpec(constant(5), "assumed: x", 0, 10).assumed
    assert not PriceSpec(constant(5), "a paper", 0, 10).assumed
