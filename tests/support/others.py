"""How the rules of other simulators fare on the same truths: sim-tools, and nagasim's as published.

    pip install --target DIR sim-tools         # 1.3.0 was looked at; it is no part of cowpool
    PYTHONPATH=DIR python tests/support/others.py

sim-tools is run itself; of nagasim 0.18 the rules were read and are played here: run on until the
half-width is within the precision, and compare after 5, 10, 20, 40 and 50 pairs until it is clear.
"""

import sys
import warnings

import numpy as np
from scipy import special

from sim.base.rng import stream
from sim.stats.paired import looks, median_limits

PRECISION = 0.1
MOST = 2_000
LAWS = {
    "normal": (lambda g, size: g.normal(10.0, 3.0, size), 10.0),
    "exponential": (lambda g, size: g.exponential(1.0, size), 1.0),
    "lognormal, s = 1": (lambda g, size: np.exp(g.normal(size=size)), float(np.exp(0.5))),
}
NAGASIM_LOOKS = (5, 10, 20, 40, 50)


class Model:
    """A model as sim-tools takes it: a value a replication."""

    def __init__(self, values):
        self.values = values

    def single_run(self, replication_number):
        return {"x": float(self.values[replication_number])}


def of_sim_tools(law: str, r: int) -> tuple[float, float]:
    """Return how often the interval of its ReplicationsAlgorithm holds, and the mean runs."""
    from sim_tools.output_analysis import ReplicationsAlgorithm

    draw, mean = LAWS[law]
    hits, lengths = 0, []
    for number in range(r):
        model = Model(draw(stream(1, 0, "sim-tools", law, number), MOST))
        algorithm = ReplicationsAlgorithm(half_width_precision=PRECISION)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            n = algorithm.select(model, ["x"])[0]["x"] or algorithm.n
        hits += covers(model.values[:n], mean)
        lengths.append(n)
    return hits / r, float(np.mean(lengths))


def covers(values, mean) -> bool:
    """Return whether Student's interval covers the mean."""
    n = len(values)
    half = special.stdtrit(n - 1, 0.975) * values.std(ddof=1) / np.sqrt(n)
    return bool(abs(values.mean() - mean) <= half)


def until_precise(law: str, r: int, least: int = 5, most: int = MOST) -> tuple[float, float]:
    """Return the same of nagasim's rule: one run more, until the half-width is within precision."""
    draw, mean = LAWS[law]
    hits, lengths = 0, []
    t = special.stdtrit(np.arange(1, most), 0.975)
    for number in range(r):
        values = draw(stream(1, 0, "nagasim", law, number), most)
        n = np.arange(1, most + 1)
        means = np.cumsum(values) / n
        squares = np.cumsum((values - values[0]) ** 2) - n * (means - values[0]) ** 2
        half = t * np.sqrt(squares[1:] / n[:-1] / n[1:])
        precise = np.flatnonzero(half <= PRECISION * abs(means[1:])) + 2
        stop = int(precise[precise >= least][0]) if (precise >= least).any() else most
        hits += covers(values[:stop], mean)
        lengths.append(stop)
    return hits / r, float(np.mean(lengths))


def told_apart(law: str, r: int) -> tuple[float, float]:
    """Return how often two that are alike are told apart: by nagasim's looks, and by ours."""
    draw, _ = LAWS[law]
    ours = looks(0.05, 4)
    wrong = np.zeros(2)
    for number in range(r):
        generator = stream(1, 0, "alike", law, number)
        off = draw(generator, ours[-1]) - draw(generator, ours[-1])
        wrong[0] += not all(covers(off[:n], 0.0) for n in NAGASIM_LOOKS)
        limits = [median_limits(off[:n].tolist(), error=0.05 / 4) for n in ours]
        wrong[1] += any(found.low > 0 or found.high < 0 for found in limits)
    return wrong[0] / r, wrong[1] / r


def tables(r=2_000, r_tools=300):
    """Yield the lines of the table."""
    yield "| values are | sim-tools | runs | nagasim's rule | runs | alike, told apart | here |"
    yield "|---|---|---|---|---|---|---|"
    for law in LAWS:
        tools, theirs, apart = of_sim_tools(law, r_tools), until_precise(law, r), told_apart(law, r)
        yield (
            f"| {law} | {tools[0]:.3f} | {tools[1]:.0f} | {theirs[0]:.3f} | {theirs[1]:.0f}"
            f" | {apart[0]:.1%} | {apart[1]:.1%} |"
        )


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in tables())
