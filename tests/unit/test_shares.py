import numpy as np
import pytest

from sim.base.errors import InsufficientDataError
from sim.stats.shares import shares_of


def by_name(found):
    return {share.name: share for share in found.shares}


def test_ishigami_to_a_hundredth():
    """Ishigami and Homma 1990; shares by Saltelli et al. 2008, 4.7: .3139, .4424, 0."""
    u = np.random.default_rng(1).random((20_000, 3))
    x = np.pi * (2 * u - 1)
    y = np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])
    found = by_name(shares_of(dict(zip("abc", u.T, strict=True)), y))
    for name, share in zip("abc", (0.3139, 0.4424, 0.0), strict=True):
        assert found[name].share == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("n", [100, 400])
def test_a_linear_answer_within_its_own_error(n):
    weights = np.array([3.0, 2.0, 1.0, 0.0])
    truth = weights**2 / (np.sum(weights**2) + 12 * 0.25)  # noise of variance 1/4
    off = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        u = random.random((n, 4))
        y = u @ weights + random.normal(0, 0.5, n)
        found = by_name(shares_of(dict(zip("abcd", u.T, strict=True)), y, seed=seed))
        off += [
            (found[k].share - t) / max(found[k].error, 1e-9)
            for k, t in zip("abcd", truth, strict=True)
        ]
    assert np.mean(np.abs(off) < 3) > 0.97
    assert abs(np.mean(off)) < 0.4  # no share is too large on average


def test_what_does_nothing_has_no_share_on_average():
    shares = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        u = random.random((120, 2))
        found = by_name(shares_of({"a": u[:, 0], "b": u[:, 1]}, random.normal(size=120), seed=seed))
        shares.append(found["a"].share)
    assert abs(np.mean(shares)) < 4 * np.std(shares) / np.sqrt(len(shares))


def test_choices_have_shares_too():
    random = np.random.default_rng(2)
    chosen, u = random.integers(3, size=6000), random.random(6000)
    y = np.array([0.0, 1.0, 5.0])[chosen] + 6 * u
    found = by_name(shares_of({"u": u}, y, choices={"kind": chosen}))
    between = np.var([0.0, 1.0, 5.0])
    assert found["kind"].share == pytest.approx(between / (between + 3), abs=0.04)
    assert found["kind"].shrinks == pytest.approx(1 - np.sqrt(1 - found["kind"].share))


def test_a_product_alone_is_in_no_share_and_shows_in_r_squared():
    u = np.random.default_rng(3).random((2000, 2))
    found = shares_of({"a": u[:, 0], "b": u[:, 1]}, (u[:, 0] - 0.5) * (u[:, 1] - 0.5))
    assert found.r_squared < 0.05
    assert all(abs(share.share) < 0.05 for share in found.shares)


def test_too_few_runs_tell_no_shares():
    with pytest.raises(InsufficientDataError, match="12 runs are too few; it takes 30"):
        shares_of({"a": np.linspace(0, 1, 12), "b": np.linspace(1, 0, 12)}, np.arange(12.0))
    with pytest.raises(InsufficientDataError, match="no input varies"):
        shares_of({}, [1.0])


def test_an_answer_that_never_moves():
    found = shares_of({"a": np.random.default_rng(1).random(50)}, np.full(50, 3.0))
    assert [share.share for share in found.shares] == [0.0]


@pytest.mark.parametrize("seed", range(12))
def test_shares_sum_to_one_at_most_however_inputs_are_correlated_by_chance(seed):
    """In the sample, parts of the variance do not sum to the variance; shares of it do."""
    random = np.random.default_rng(seed)
    u = random.random((60, 2))
    y = 2 * u[:, 0] + u[:, 1]
    found = shares_of({"a": u[:, 0], "b": u[:, 1]}, y, seed=seed)
    assert sum(share.share for share in found.shares) <= 1 + 1e-9
    assert by_name(found)["a"].share == pytest.approx(0.8, abs=0.02)
    parts = (4 * np.var(u[:, 0]) + np.var(u[:, 1])) / np.var(y)
    assert abs(parts - 1) > 1e-3  # negative control: the inputs are correlated in the sample
