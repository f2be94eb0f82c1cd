"""A closed form: a figure of a run that can be said before it, and how near it must come.

A form without a figure says why there is none: a sentence is better than a number that does not
hold.  `tests/property/test_explained_runs.py` holds every form to runs of drawn scenarios.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Document = Mapping[str, Any]
"""What `run --json` prints."""

Seen = Callable[[Document, str], float]
"""Takes a run's document and the name of the process; returns the figure of the run.

It raises `LookupError` if the run has none, because it was cut off before.
"""

TELLING_PERCENT: Final = 0.1
"""Tolerances below are not printed."""

Holds = Literal["exactly", "about", "at most", "at least"]


@dataclass(frozen=True, slots=True)
class Form:
    """One line of what is expected.

    Attributes
    ----------
    label, text
        What is printed; `text` without the tolerance.
    value
        The figure, in the unit of what `seen` returns; None if no closed form holds.
    seen
        How a run shows it.
    holds
        ``exactly``, ``about`` (within the tolerance), or a bound.
    within, beside
        Tolerance as a share of the figure, for what the form leaves out, and in its unit, for
        chance (five standard deviations) and for edges.
    """

    label: str
    text: str
    value: float | None = None
    seen: Seen | None = None
    holds: Holds = "exactly"
    within: float = 0.0
    beside: float = 0.0

    @property
    def slack(self) -> float:
        """By how much a run's figure may miss `value`, in its unit."""
        return self.within * abs(self.value or 0.0) + self.beside

    def agrees(self, found: float) -> bool:
        """Whether a run that shows `found` is what this form says."""
        if self.value is None:
            return True
        over, under = found - self.value, self.value - found
        late = {"at least": -math.inf}.get(self.holds, over)
        early = {"at most": -math.inf}.get(self.holds, under)
        return max(late, early) <= self.slack + 1e-9 * abs(self.value)

    def said(self) -> str:
        """Return the text with its tolerance."""
        if self.value is None or self.holds == "exactly":
            return self.text
        if self.holds != "about":
            return f"{self.holds} {self.text}"
        if self.value == 0:
            return self.text
        percent = 100 * self.slack / abs(self.value)
        if percent < TELLING_PERCENT:
            return self.text
        return f"{self.text}, ±{_rounded_up(percent):g} %"


def no_form(label: str, why: str) -> Form:
    """Return the line for a figure that no closed form gives."""
    return Form(label, f"no closed form: {why}")


def _rounded_up(percent: float) -> float:
    """Return a percentage with one digit that counts, or two above 10, never less than it is.

    >>> [_rounded_up(p) for p in (0.0321, 1.0, 3.2, 12.1)]
    [0.04, 1.0, 4.0, 13.0]
    """
    if percent >= 10:
        return float(math.ceil(round(percent, 6)))
    scale = 10.0 ** math.floor(math.log10(percent)) if percent > 0 else 1.0
    return round(math.ceil(round(percent / scale, 6)) * scale, 12)
