"""Which input decides: first-order shares of variance from one plain random sample.

The share of an input is ``Var(E[y | x]) / Var(y)``: by how much the variance of the answer would
shrink, on average, if this input alone were known (Sobol' 1993; Saltelli et al., Global Sensitivity
Analysis, 2008, 4.5).  It is found by a regression on Legendre polynomials of each input's place in
its own distribution, which are orthogonal there; choices are columns of their own.  What chance
adds to squared coefficients is taken off.  The regression has no products of inputs, so what they
do together is in no share.  Inputs are known to be independent and uniform in their places, so the
variance is taken for the sum of their parts and of what is left, not for that of the sample, in
which inputs are a little correlated by chance: shares sum to 1 at most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from sim.base.errors import InsufficientDataError

MOST_DEGREE: Final = 8
ROWS_A_COLUMN: Final = 10
"""A regression has at least so many observations for each of its columns."""
N_BOOTSTRAP: Final = 100


@dataclass(frozen=True, slots=True)
class Share:
    """An input's share of the variance of the answer, and the standard error of that.

    It is right on average, so one of an input that does nothing may be a little below 0.
    """

    name: str
    share: float
    error: float

    @property
    def shrinks(self) -> float:
        """By which part the standard deviation shrinks if the input is known, on average."""
        return 1 - float(np.sqrt(1 - min(max(self.share, 0.0), 1.0)))


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares in descending order; `r_squared` is what the regression explains, adjusted.

    Of `degree` 1 the regression is on straight lines: what is bent counts as not explained.
    """

    shares: tuple[Share, ...]
    r_squared: float
    degree: int
    n: int

    @property
    def how(self) -> str:
        """How they were found: what their sentence has in brackets."""
        lines = "regression on straight lines" if self.degree == 1 else "regression"
        return f"{lines}, R² {self.r_squared:.2f}"


def shares_of(
    places: Mapping[str, Sequence[float]],
    outputs: Sequence[float],
    *,
    choices: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
) -> Shares:
    """Return the first-order shares of independent inputs.

    Parameters
    ----------
    places
        By input, shape ``(n,)``: where its value lies in its distribution, uniform in (0, 1).
    outputs
        Shape ``(n,)``, in any unit.
    choices
        By input, shape ``(n,)``: which of its values a choice took, numbered from 0.
    seed
        Of the bootstrap that standard errors come from.

    Raises `InsufficientDataError` for fewer than `ROWS_A_COLUMN` observations a column.
    """
    y = np.asarray(outputs, dtype=float)
    given = {name: np.asarray(u, dtype=float) for name, u in places.items()}
    chosen = {name: np.asarray(c, dtype=int) for name, c in (choices or {}).items()}
    if not given and not chosen:
        raise InsufficientDataError("no input varies")
    best: tuple[float, int] | None = None
    for degree in range(1, MOST_DEGREE + 1):
        columns, _ = _design(given, chosen, degree)
        if len(y) < ROWS_A_COLUMN * columns.shape[1]:
            break
        error = _left_out_error(columns, y)
        if best is None or error < best[0]:
            best = error, degree
    if best is None:
        need = ROWS_A_COLUMN * _design(given, chosen, 1)[0].shape[1]
        raise InsufficientDataError(f"{len(y)} runs are too few; it takes {need}")
    columns, owner = _design(given, chosen, best[1])
    if np.ptp(y) == 0:
        names = [*given, *chosen]
        return Shares(tuple(Share(name, 0.0, 0.0) for name in names), 1.0, best[1], len(y))
    point, r_squared = _shares(columns, owner, y, len(given))
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(N_BOOTSTRAP):
        rows = random.integers(len(y), size=len(y))
        if np.ptp(y[rows]) > 0:
            drawn.append(_shares(columns[rows], owner, y[rows], len(given))[0])
    errors = np.std(np.array(drawn), axis=0, ddof=1)
    names = [*given, *chosen]
    found = [Share(n, float(s), float(e)) for n, s, e in zip(names, point, errors, strict=True)]
    return Shares(tuple(sorted(found, key=lambda s: -s.share)), r_squared, best[1], len(y))


def _design(
    places: Mapping[str, NDArray[np.float64]],
    choices: Mapping[str, NDArray[np.int64]],
    degree: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the columns of the regression, the constant first, and whose each of them is."""
    n = len(next(iter([*places.values(), *choices.values()])))
    columns, owner = [np.ones(n)], [-1]
    for number, u in enumerate(places.values()):
        columns += list(legendre.legvander(2 * u - 1, degree).T[1:])
        owner += [number] * degree
    for number, chosen in enumerate(choices.values(), len(places)):
        for value in np.unique(chosen)[1:]:
            columns.append((chosen == value).astype(float))
            owner.append(number)
    return np.column_stack(columns), np.array(owner)


def _shares(
    columns: NDArray[np.float64],
    owner: NDArray[np.int64],
    y: NDArray[np.float64],
    n_places: int,
) -> tuple[NDArray[np.float64], float]:
    """Return each input's share, and the adjusted R squared.

    The variance of an input's part of the fit, less what chance puts there.
    """
    coefficients, *_ = np.linalg.lstsq(columns, y, rcond=None)
    n, p = columns.shape
    rest = y - columns @ coefficients
    noise = float(rest @ rest) / (n - p)
    covariance = noise * np.linalg.pinv(columns.T @ columns)
    parts = []
    for number in range(int(owner.max()) + 1):
        own = owner == number
        within = _within(columns[:, own], is_choice=number >= n_places)
        part = coefficients[own] @ within @ coefficients[own]
        by_chance = float(np.trace(within @ covariance[np.ix_(own, own)]))
        parts.append(float(part) - by_chance)
    total = max(sum(parts), 0.0) + noise
    return np.array(parts) / total, 1 - noise / total


def _within(columns: NDArray[np.float64], *, is_choice: bool) -> NDArray[np.float64]:
    """Return the covariance of an input's columns: of Legendre polynomials, or of a choice."""
    if is_choice:
        return np.atleast_2d(np.cov(columns, rowvar=False))
    return np.diag([1 / (2 * degree + 1) for degree in range(1, columns.shape[1] + 1)])


def _left_out_error(columns: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the mean squared error at observations left out one at a time (PRESS)."""
    q, _ = np.linalg.qr(columns)
    leverage = np.minimum(np.sum(q * q, axis=1), 1 - 1e-9)
    rest = y - q @ (q.T @ y)
    return float(np.mean((rest / (1 - leverage)) ** 2))
