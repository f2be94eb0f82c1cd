"""A price needs evidence; rows are those of kinds of work."""

import pytest

from sim.cost.catalogue import PriceSpec, price_array, price_specs
from sim.cost.quantiles import KNOTS, constant
from sim.machine.layout import N_QUANTILES
from sim.machine.work import KINDS, N_LINES


def flat(value_ns: int) -> dict[str, object]:
    ps = value_ns * 1000
    return {"value_ps": ps, "source": "assumed: test", "low_ps": ps, "high_ps": ps}


def test_array_rows_follow_the_kinds_whatever_the_order_of_the_mapping():
    prices = {key: flat(int(price)) for key, price in reversed(KINDS.items())}
    array = price_array(prices)
    assert array.shape == (N_LINES, N_QUANTILES)
    assert array.shape[1] == KNOTS
    assert array.dtype == "int64"
    assert [int(row[100]) for row in array] == [1000 * int(price) for price in range(N_LINES)]


def test_a_missing_price_is_not_zero():
    prices = {key: flat(1) for key in KINDS if key != "cow_copy"}
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
