"""Means over independent replications, with confidence intervals.

Every figure carries its uncertainty or is refused: nothing here returns NaN, and no value is
left out silently.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sim.base.errors import InsufficientDataError


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over `n` replications and the half-width of its confidence interval.

    >>> str(Estimate(1.84, 0.07, 0.95, 30))
    '1.84 ± 0.07 (95 % CI, n=30)'
    """

    mean: float
    half_width: float
    confidence: float
    n: int

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.mean + self.half_width

    def __str__(self) -> str:
        level = f"{100 * self.confidence:g} % CI"
        return f"{self.mean:.4g} ± {self.half_width:.2g} ({level}, n={self.n})"


def mean_over_replications(values: Sequence[float], *, confidence: float = 0.95) -> Estimate:
    """Estimate a mean from one value per independent replication.

    Student's t interval; see Law (2015), Simulation Modeling and Analysis, 5th ed., section 9.4.1.

    Parameters
    ----------
    values
        Shape ``(n,)``; one number per replication, all in the same unit.  Must not be successive
        observations within a run: those are correlated.
    confidence
        Coverage, dimensionless, in (0, 1).

    Raises
    ------
    InsufficientDataError
        Fewer than two replications, or a value that is not finite.
    """
    check_fraction("confidence", confidence)
    sample = finite(values, at_least=2)
    n = len(sample)
    t = float(special.stdtrit(n - 1, (1 + confidence) / 2))
    half_width = t * float(sample.std(ddof=1)) / n**0.5
    return Estimate(float(sample.mean()), half_width, confidence, n)


def paired(treatment: Mapping[int, float], baseline: Mapping[int, float]) -> NDArray[np.float64]:
    """Return treatment minus baseline for every replication that both have, shape ``(n,)``.

    Both map the number of a replication to its value, over common random numbers: the n-th of one
    shared its luck with the n-th of the other, whatever came before it and whatever failed.  Two
    separate intervals would throw that away; see Law (2015), section 10.2.1.

    In order of replication.  Raises `InsufficientDataError` for a value that is not finite.

    >>> paired({0: 5.0, 1: 9.0}, {1: 7.0, 2: 1.0})
    array([2.])
    """
    both = sorted(treatment.keys() & baseline.keys())
    treated, control = ([values[r] for r in both] for values in (treatment, baseline))
    return finite(treated, at_least=0) - finite(control, at_least=0)


def finite(values: Sequence[float], *, at_least: int) -> NDArray[np.float64]:
    """Return `values` as an array of shape ``(n,)``, having checked that it can be used.

    Raises `InsufficientDataError` if there are fewer than `at_least`, or one is not finite.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1:
        raise ValueError(f"one value per replication is needed, got shape {sample.shape}")
    unusable = int((~np.isfinite(sample)).sum())
    if unusable:
        raise InsufficientDataError(f"{unusable} of {len(sample)} values are not finite")
    if len(sample) < at_least:
        raise InsufficientDataError(f"{at_least} replications are needed, got {len(sample)}")
    return sample


def check_fraction(name: str, value: float) -> None:
    """Raise `ValueError` unless `value` lies strictly between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {value}; write e.g. 0.95")
