"""Closed forms that simulated memory must agree with: pages written, copied and needed.

What queues must agree with is in `sim.stats.queueing`.  "Poissonised" forms have a Poisson number
of writes instead of a fixed one: pages are then hit independently of each other, so that means
and variances are plain sums and exact.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

TABLE_ENTRIES: Final = 512
"""Entries of a page-table page on x86-64, at each of its four levels."""


def distinct_pages_written(pages: int, writes: int) -> tuple[float, float]:
    """Return mean and variance of how many of `pages` pages `writes` uniform writes hit.

    Right after ``fork``, this is how many copy-on-write copies a child causes: the classical
    occupancy problem (Feller 1968, vol. 1, section IV.2).

    >>> distinct_pages_written(pages=2, writes=1)
    (1.0, 0.0)
    """
    _check_counts(pages, writes)
    if writes == 0:
        return 0.0, 0.0
    if pages == 1:
        return 1.0, 0.0
    miss = math.exp(writes * math.log1p(-1 / pages))
    mean = -pages * math.expm1(writes * math.log1p(-1 / pages))
    # P(two pages missed) - P(one missed)**2, relative to the latter; its digits would cancel if
    # it were computed as a difference: (1 - 2/n) / (1 - 1/n)**2 = 1 - 1/(n - 1)**2.
    excess = -1.0 if pages == 2 else math.expm1(writes * math.log1p(-1 / (pages - 1) ** 2))
    variance = pages * miss * (1 - miss) + pages * (pages - 1) * miss**2 * excess
    return mean, max(variance, 0.0)


def distinct_pages_written_poisson(pages: int, mean_writes: float) -> tuple[float, float]:
    """Return mean and variance of the pages hit by a Poisson number of uniform writes.

    >>> mean, variance = distinct_pages_written_poisson(1000, 1000)
    >>> round(mean, 3), round(variance, 3)
    (632.121, 232.544)
    """
    _check_counts(pages, mean_writes)
    hit = -math.expm1(-mean_writes / pages)
    return pages * hit, pages * hit * (1 - hit)


def distinct_weighted(probabilities: ArrayLike, writes: int) -> float:
    """Return the mean number of pages that `writes` writes hit, page i with `probabilities[i]`.

    `probabilities` has shape ``(pages,)`` and adds to 1.  Exact for a fixed number of writes.

    >>> round(distinct_weighted([0.5, 0.25, 0.25], writes=2), 9)
    1.625
    """
    chances = _checked(probabilities)
    _check_counts(len(chances), writes)
    if writes == 0:
        return 0.0
    with np.errstate(divide="ignore"):  # log1p(-1) is -inf: a certain page is never missed
        return float(-np.expm1(writes * np.log1p(-np.minimum(chances, 1.0))).sum())


def distinct_weighted_poisson(probabilities: ArrayLike, mean_writes: float) -> tuple[float, float]:
    """Return mean and variance of the pages hit by a Poisson number of weighted writes.

    Also a good approximation of the mean for a fixed number of writes, and an upper bound on its
    variance: hits of different pages are negatively correlated then.
    """
    chances = _checked(probabilities)
    _check_counts(len(chances), mean_writes)
    hit = -np.expm1(-mean_writes * chances)
    return float(hit.sum()), float((hit * (1 - hit)).sum())


def zipf_probabilities(items: int, exponent: float) -> NDArray[np.float64]:
    """Return the probabilities, shape ``(items,)``, of ranks 1 .. items under Zipf's law.

    >>> zipf_probabilities(3, 1.0).round(4).tolist()
    [0.5455, 0.2727, 0.1818]
    """
    _check_counts(items, 0)
    if not (math.isfinite(exponent) and exponent >= 0):
        raise ValueError(f"exponent must be >= 0, got {exponent}")
    weights = np.power(np.arange(1, items + 1, dtype=np.float64), -exponent)
    return weights / float(weights.sum())


def hot_cold_probabilities(
    pages: int, hot_fraction: float, hot_share: float
) -> NDArray[np.float64]:
    """Return the probabilities, shape ``(pages,)``, when the hot pages get `hot_share` of writes.

    The first ``round(pages * hot_fraction)`` pages are hot; with none or all of them hot, the
    writes are uniform.
    """
    _check_counts(pages, 0)
    for name, value in (("hot_fraction", hot_fraction), ("hot_share", hot_share)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be in 0 .. 1, got {value}")
    hot = round(pages * hot_fraction)
    chances = np.full(pages, 1 / pages)
    if 0 < hot < pages:
        chances[:hot] = hot_share / hot
        chances[hot:] = (1 - hot_share) / (pages - hot)
    return chances


def cow_copies(sharers: int, writers: int) -> int:
    """Return how often a page with `sharers` owners is copied when `writers` of them write it.

    The last owner reuses the frame: a fault, but no copy.

    >>> cow_copies(sharers=3, writers=2), cow_copies(sharers=3, writers=3)
    (2, 2)
    """
    if not 0 <= writers <= sharers:
        raise ValueError(f"writers must be in 0 .. {sharers}, got {writers}")
    return min(writers, max(sharers - 1, 0))


def page_table_pages(pages: int) -> int:
    """Return the page-table pages, at four levels, that map `pages` aligned contiguous pages.

    The smallest number: a mapping that is not aligned to 2 MiB, 1 GiB and 512 GiB may take one
    more at each level below the top.

    >>> page_table_pages(512), page_table_pages(2**20), page_table_pages(0)
    (4, 2054, 0)
    """
    if pages < 0:
        raise ValueError(f"pages must be >= 0, got {pages}")
    total, entries = 0, pages
    for _ in range(4):
        entries = -(-entries // TABLE_ENTRIES)
        total += entries
    return total


def snapshot_copies(pages: int, mean_writes: float, *, gives_back: bool) -> float:
    """Return the pages copied while a child saves `pages` pages in order, at even speed.

    The parent meanwhile makes a Poisson number of uniform writes, `mean_writes` on average.  A
    child that keeps its pages shares each to the end, so every page written is copied once.  One
    that gives a page back once saved spares the copies of later writes: page i is at risk only
    for i/n of the time, and with ``a = mean_writes / pages``

        mean = pages * (1 - (1 - exp(-a)) / a)

    (the sum over pages as an integral; off by at most one page).

    >>> [round(snapshot_copies(1000, 1000, gives_back=back), 1) for back in (False, True)]
    [632.1, 367.9]
    """
    if not gives_back:
        return distinct_pages_written_poisson(pages, mean_writes)[0]
    _check_counts(pages, mean_writes)
    a = mean_writes / pages
    if a < 1e-4:  # the formula below would cancel; its series does not
        return pages * (a / 2 - a * a / 6)
    return pages * (1 + math.expm1(-a) / a)


def snapshot_copies_weighted(
    probabilities: ArrayLike, mean_writes: float, *, gives_back: bool
) -> float:
    """Return what `snapshot_copies` does, for pages that are written unevenly.

    `probabilities`, shape ``(pages,)``, is in the order in which the child saves the pages.
    """
    chances = _checked(probabilities)
    _check_counts(len(chances), mean_writes)
    at_risk = np.arange(1, len(chances) + 1) / len(chances) if gives_back else 1.0
    return float(-np.expm1(-mean_writes * chances * at_risk).sum())


def snapshot_peak_pages(pages: int, mean_writes: float, *, gives_back: bool) -> float:
    """Return the frames that a save needs at its peak beyond those of the data.

    As for `snapshot_copies`.  A page that was copied and is then given back by the child holds
    one frame again, so at a share u of the save ``pages * (1 - u) * (1 - exp(-a u))`` are held
    twice.  The largest value is where ``(1 + a (1 - u)) exp(-a u) = 1``, that is
    ``1 + a (1 - u) = omega(1 + a)`` with Wright's omega function.

    >>> [round(snapshot_peak_pages(1000, 1000, gives_back=back), 1) for back in (False, True)]
    [632.1, 199.3]
    """
    if not gives_back:
        return distinct_pages_written_poisson(pages, mean_writes)[0]
    _check_counts(pages, mean_writes)
    a = mean_writes / pages
    if a < 1e-6:
        return pages * a / 4
    share = 1 - (float(special.wrightomega(1 + a)) - 1) / a
    return pages * (1 - share) * -math.expm1(-a * share)


def _check_counts(pages: int, writes: float) -> None:
    if pages < 1:
        raise ValueError(f"pages must be >= 1, got {pages}")
    if not (math.isfinite(writes) and writes >= 0):
        raise ValueError(f"writes must be >= 0, got {writes}")


def _checked(probabilities: ArrayLike) -> NDArray[np.float64]:
    chances = np.asarray(probabilities, dtype=np.float64)
    if chances.ndim != 1 or not (np.isfinite(chances).all() and (chances >= 0).all()):
        raise ValueError("probabilities must be a list of finite numbers >= 0")
    if not math.isclose(float(chances.sum()), 1.0, abs_tol=1e-9):
        raise ValueError(f"probabilities must add to 1, got {chances.sum()}")
    return chances
