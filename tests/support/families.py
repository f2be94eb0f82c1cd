"""Would Holm's steps tell more than Bonferroni's at the last look of a comparison?

python tests/support/families.py     # a table of docs/statistics.md, a minute

Sixteen rows, of which some are alike and some are moved; all that is asked is which side of "alike"
a median lies on.  Each row has two hypotheses, not more and not less, so Holm's steps are over 32:
something is wrong in `ERROR` of all families at most, sides included, whatever depends on what.
"""

import sys

import numpy as np
from scipy import stats

from sim.base.rng import stream
from sim.stats.paired import looks
from support.covering import CONFIDENCE, TRUTHS
from support.covering_own import N_LOOKS

ROWS = 16
SHOWN = ("normal", "lognormal, s = 1", "+20 sd in 2 % of runs")
MOVED = ((8, 0.5), (8, 0.8), (16, 0.8))
"""How many are moved, and how far: in distances of a pair's middle half from its median."""
ERROR = (1 - CONFIDENCE) / N_LOOKS
"""What the last look has of the error."""
PAIRS = looks((1 - CONFIDENCE) / ROWS, N_LOOKS)[-1]


def sides(truth, moved, shift, r):
    """Return the p of "not more" and of "not less", shape ``(r, 2 * ROWS)``, by the sign test."""
    draw, _ = TRUTHS[truth]
    generator = stream(1, 0, "families", truth)
    more = np.empty((r, ROWS), dtype=int)
    for row in range(ROWS):
        off = draw(generator, (r, PAIRS)) - draw(generator, (r, PAIRS))
        middle_half = np.subtract(*np.percentile(off, (75, 25))) / 2
        more[:, row] = (off + (shift * middle_half if row < moved else 0) > 0).sum(axis=1)
    return np.hstack([stats.binom.sf(more - 1, PAIRS, 0.5), stats.binom.cdf(more, PAIRS, 0.5)])


def bonferroni(p):
    """Return which hypotheses are rejected."""
    return p <= ERROR / p.shape[1]


def holm(p):
    """Return which hypotheses are rejected, by steps: the smallest p first, until one stands.

    >>> holm(np.array([[0.9, 0.004, 0.001, 0.007]])).tolist()
    [[False, True, True, False]]
    >>> bonferroni(np.array([[0.9, 0.004, 0.001, 0.007]])).tolist()
    [[False, False, True, False]]
    """
    order = np.argsort(p, axis=1)
    m = p.shape[1]
    held = np.take_along_axis(p, order, axis=1) > ERROR / (m - np.arange(m))
    told = np.empty_like(held)
    np.put_along_axis(told, order, np.cumsum(held, axis=1) == 0, axis=1)
    return told


def found(rule, p, moved):
    """Return the share of families with something wrong, and of moved rows that are told."""
    told = rule(p)
    return told[:, moved:].any(axis=1).mean(), told[:, :moved].mean()


def table(r=20_000):
    """Yield the lines of the table."""
    yield "| values are | moved | wrong: Bonferroni | Holm | told: Bonferroni | Holm |"
    yield "|---|---|---|---|---|---|"
    for truth in SHOWN:
        for moved, shift in MOVED:
            p = sides(truth, moved, shift, r)
            rules = (found(rule, p, moved) for rule in (bonferroni, holm))
            wrong, told = (
                " | ".join(f"{100 * share:.2f}%" for share in shares)
                for shares in zip(*rules, strict=True)
            )
            yield f"| {truth} | {moved} by {shift:g} | {wrong} | {told} |"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in table())
