"""Designs in the unit cube: each is what its name says, whatever its size."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.samples import sample

from sim.stats.designs import factorial, latin_hypercube, placed, sobol


def strata_filled_once(cube):
    n = len(cube)
    cells = np.floor(cube * n).astype(int)
    return all(sorted(cells[:, axis]) == list(range(n)) for axis in range(cube.shape[1]))


@settings(max_examples=sample(40, 400), deadline=None)
@given(st.integers(2, 200), st.integers(1, 8), st.integers(0, 2**32))
def test_a_latin_hypercube_has_one_point_in_each_stratum_of_each_axis(n, axes, seed):
    cube = latin_hypercube(n, axes, np.random.default_rng(seed))
    assert cube.shape == (n, axes)
    assert strata_filled_once(cube)


def test_plain_draws_do_not_fill_strata():
    """Negative control."""
    assert not strata_filled_once(np.random.default_rng(1).random((50, 2)))


@settings(max_examples=sample(20, 200), deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32))
def test_a_sobol_sequence_has_one_point_in_each_of_its_boxes(bits, axes, seed):
    n = 1 << bits
    cube = sobol(n, axes, np.random.default_rng(seed))
    assert strata_filled_once(cube)
    assert cube.min() >= 0
    assert cube.max() < 1


@pytest.mark.parametrize("made", [latin_hypercube, sobol])
def test_the_same_seed_gives_the_same_design_and_another_another(made):
    first, again, other = (made(16, 3, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert (first == again).all()
    assert (first != other).any()


SIZES = [(k, n) for k in range(1, 9) for n in (2, 4, 8, 16, 32, 64) if k < n <= 1 << k]


@pytest.mark.parametrize(("factors", "n"), [*SIZES, *((k, None) for k in range(1, 8))])
def test_a_factorial_is_balanced_and_its_columns_are_orthogonal(factors, n):
    design = factorial(factors, n)
    signs = 2 * design.high.astype(int) - 1
    points = 1 << factors if n is None else n
    assert signs.shape == (points, factors)
    assert (signs.sum(axis=0) == 0).all()
    assert (signs.T @ signs == points * np.eye(factors)).all()
    assert len({tuple(row) for row in signs}) == points


@pytest.mark.parametrize(
    ("factors", "n", "resolution"),
    [(3, 4, 3), (4, 8, 4), (5, 8, 3), (5, 16, 5), (6, 16, 4), (8, 16, 4), (6, 32, 5), (8, 64, 5),
     (11, 128, 5), (15, 16, 3), (16, 32, 4), (5, None, None), (5, 32, None)],
)  # fmt: skip
def test_fractions_have_the_resolution_that_is_known_to_be_possible(factors, n, resolution):
    """Box, Hunter and Hunter 2005, table 6.22; a fraction of 2^(5-1) there has V."""
    assert factorial(factors, n).resolution == resolution


@pytest.mark.parametrize(("factors", "n"), [(3, 4), (5, 8), (5, 16), (8, 16), (6, None)])
def test_what_is_called_the_same_is_the_same_column_and_nothing_else_is(factors, n):
    design = factorial(factors, n)
    signs = 2 * design.high.astype(int) - 1
    columns = {}
    for aliases in design.aliases():
        own = {tuple(np.prod(signs[:, list(effect)], axis=1)) for effect in aliases}
        assert len(own) == 1
        columns[aliases] = own.pop()
    assert len(set(columns.values())) == len(columns)
    told = sum(len(aliases) for aliases in columns)
    assert told == factors + len(list(combinations(range(factors), 2)))


def test_effects_of_a_known_answer_come_out():
    design = factorial(4)
    signs = 2 * design.high.astype(int) - 1
    y = 10 + 3 * signs[:, 0] - 2 * signs[:, 2] + 1.5 * signs[:, 1] * signs[:, 3]
    found = {}
    for (effect,) in design.aliases():
        column = np.prod(signs[:, list(effect)], axis=1)
        found[effect] = y[column > 0].mean() - y[column < 0].mean()
    assert {e: v for e, v in found.items() if v} == {(0,): 6.0, (2,): -4.0, (1, 3): 3.0}


def test_too_few_points_are_refused_with_what_would_do():
    with pytest.raises(ValueError, match="8 points are too few for 8 axes; write at least 16"):
        factorial(8, 8)
    assert factorial(8, 16).high.shape == (16, 8)
    with pytest.raises(ValueError, match="3 axes have 8 combinations; write at most that"):
        factorial(3, 16)


@given(st.floats(0, 1), st.floats(1e-3, 1e3), st.floats(1.001, 1e6), st.booleans())
def test_a_place_lies_between_the_ends(u, low, factor, log):
    value = placed(u, low, low * factor, log=log)
    assert low * (1 - 1e-12) <= value <= low * factor * (1 + 1e-12)
