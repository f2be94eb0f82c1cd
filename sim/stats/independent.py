"""Closed forms of replacement under independent references: each is to page i with the same chance.

They are exact in the long run, for any chances and any number of frames.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special


def log_symmetric(weights: ArrayLike, most: int) -> NDArray[np.float64]:
    """Return logarithms of the elementary symmetric polynomials of `weights`, orders 0 to `most`.

    That of order k is the sum of the products of any k of them; ``-inf`` where there are fewer.

    >>> [round(float(e)) for e in np.exp(log_symmetric([1, 2, 3], 3))]
    [1, 6, 11, 6]
    """
    logs = np.full(most + 1, -np.inf)
    logs[0] = 0.0
    for weight in np.log(np.asarray(weights, np.float64)):
        logs[1:] = np.logaddexp(logs[1:], logs[:-1] + weight)
    return logs


def product_form_hit_ratio(chances: ArrayLike, frames: int) -> float:
    """Return how often FIFO, and RANDOM as well, finds a page in memory.

    `chances` has shape ``(pages,)``, all above 0, and adds to 1.  What is in memory has a chance
    proportional to the product of the chances of its pages: W. F. King III (1971), Analysis of
    demand paging algorithms, IFIP Congress (FIFO); E. Gelenbe (1973), A unified approach to the
    evaluation of a class of replacement algorithms, IEEE Trans. Computers C-22(6) (RANDOM has the
    same).  So it misses ``(m + 1) e[m + 1] / e[m]`` of all references, with `m` frames and the
    elementary symmetric polynomials `e` of the chances.

    Raises `ValueError` if chances are not above 0 or do not add to 1, or for less than one frame.

    >>> round(product_form_hit_ratio([0.5, 0.25, 0.25], 1), 9)  # the last page again
    0.375
    """
    shares = np.asarray(chances, np.float64)
    if frames < 1:
        raise ValueError(f"frames must be >= 1, got {frames}")
    if shares.ndim != 1 or not (shares > 0).all() or abs(shares.sum() - 1) > 1e-9:
        raise ValueError("chances must be above 0 and add to 1")
    logs = log_symmetric(shares, frames + 1)
    if not np.isfinite(logs[frames + 1]):
        return 1.0
    return float(-special.expm1(np.log(frames + 1) + logs[frames + 1] - logs[frames]))
