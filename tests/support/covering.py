"""How often intervals, bounds and verdicts hold: drawn samples, vectorised.

    python tests/support/covering.py         # the tables of docs/statistics.md, half a minute

The tests hold the same functions against what is claimed: `tests/truth/test_estimator_coverage.py`.
"""

import math
import sys

import numpy as np
from scipy import special, stats

from sim.base.rng import stream
from sim.stats.proportion import level_of_a_look, refuting_count
from sim.stats.tolerance import (
    GUARD_LEVEL,
    normal_factor,
    order_rank,
    shapiro_p,
    supported_content,
)

CONTENT, CONFIDENCE = 0.99, 0.95

TRUTHS = {
    "normal": (lambda g, size: g.normal(size=size), stats.norm.cdf),
    "uniform": (lambda g, size: g.random(size), stats.uniform.cdf),
    "Gumbel": (lambda g, size: g.gumbel(size=size), stats.gumbel_r.cdf),
    "lognormal, s = 1": (lambda g, size: np.exp(g.normal(size=size)), stats.lognorm(1).cdf),
    "exponential": (lambda g, size: g.exponential(size=size), stats.expon.cdf),
    "t with 5 degrees": (lambda g, size: g.standard_t(5, size=size), stats.t(5).cdf),
    "+20 sd in 2 % of runs": (
        lambda g, size: g.normal(size=size) + 20 * (g.random(size) < 0.02),
        lambda x: 0.98 * stats.norm.cdf(x) + 0.02 * stats.norm.cdf(np.asarray(x) - 20),
    ),
}
"""How to draw values of a distribution, and its distribution function."""

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.74, 1.0, 1.3, 2.0)
"""What a precision asks for, in units of what three runs' bound adds to the mean on average."""


def half_widths(samples, confidence=CONFIDENCE):
    """Return the half-widths of Student's intervals of samples, shape ``(samples, n)``."""
    n = samples.shape[1]
    t = special.stdtrit(n - 1, (1 + confidence) / 2)
    return t * samples.std(axis=1, ddof=1) / math.sqrt(n)


def normal_bounds(samples, content=CONTENT, confidence=CONFIDENCE):
    """Return the bounds of normal theory."""
    k = normal_factor(samples.shape[1], content=content, confidence=confidence)
    return samples.mean(axis=1) + k * samples.std(axis=1, ddof=1)


def drawn(truth, r, n, *names):
    """Return samples of a distribution, shape ``(r, n)``."""
    return TRUTHS[truth][0](stream(1, 0, "coverage", truth, n, *names), (r, n))


def supported_hits(truth, r, n):
    """Return whether what n values support is true, without an assumption."""
    content = supported_content(n, confidence=CONFIDENCE)
    rank = order_rank(n, content=content, confidence=CONFIDENCE)
    return TRUTHS[truth][1](np.sort(drawn(truth, r, n), axis=1)[:, rank - 1]) >= content


def normal_hits(truth, r, n):
    """Return whether the bound of normal theory holds."""
    return TRUTHS[truth][1](normal_bounds(drawn(truth, r, n))) >= CONTENT


def guarded_hits(truth, r, n):
    """Return whether what is printed holds if normal theory was declared, and who fell back."""
    samples, cdf = drawn(truth, r, n), TRUTHS[truth][1]
    rejected = np.array([shapiro_p(values) < GUARD_LEVEL for values in samples])
    content = supported_content(n, confidence=CONFIDENCE)
    normal = cdf(normal_bounds(samples)) >= CONTENT
    return np.where(rejected, cdf(samples.max(axis=1)) >= content, normal), rejected


def two_look_hits(ratio, r, looks):
    """Return whether the bound of three runs, or of ten where those are unsure, holds."""
    level = level_of_a_look(CONFIDENCE, looks)
    samples = stream(1, 0, "two looks").normal(size=(r, 10))
    first = samples[:, :3]
    allowed = ratio * normal_factor(3, content=CONTENT, confidence=CONFIDENCE)
    early, late = (normal_bounds(x, confidence=level) for x in (first, samples))
    bounds = np.where(early - first.mean(axis=1) <= allowed, early, late)
    return stats.norm.cdf(bounds) >= CONTENT


def exceeded(truth, r, fresh=10):
    """Return how many of `fresh` runs exceed the normal bound of ten others, shape ``(r,)``."""
    draw, _ = TRUTHS[truth]
    generator = stream(1, 0, "check", truth)
    bounds = normal_bounds(draw(generator, (r, 10)))
    return (draw(generator, (r, fresh)) > bounds[:, None]).sum(axis=1)


def tables(r=100_000, slow_r=20_000):
    """Yield the lines of the tables."""
    sizes = (3, 10, 30)
    yield "| values are | n runs support | normal theory | with its guard |"
    yield "|---|---|---|---|"
    for truth in TRUTHS:
        supported = " ".join(f"{supported_hits(truth, r, n).mean():.3f}" for n in sizes)
        normal = " ".join(f"{normal_hits(truth, r, n).mean():.3f}" for n in sizes)
        guarded = " ".join(f"{guarded_hits(truth, slow_r, n)[0].mean():.3f}" for n in sizes)
        yield f"| {truth} | {supported} | {normal} | {guarded} |"
    yield "\n| precision / what 3 runs' bound adds | one look's level | divided |\n|---|---|---|"
    for ratio in RATIOS:
        one, two = (two_look_hits(ratio, r, looks).mean() for looks in (1, 2))
        yield f"| {ratio:g} | {one:.3f} | {two:.3f} |"
    yield "\n| values are | some fresh run beyond the bound | refuted |\n|---|---|---|"
    for truth in TRUTHS:
        beyond = exceeded(truth, r)
        refuted = beyond >= refuting_count(10, 1 - CONTENT)
        yield f"| {truth} | {100 * (beyond > 0).mean():.1f} % | {100 * refuted.mean():.1f} % |"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in tables())
