"""What a study states about an input that nobody measured: ends, a distribution, or data.

Prices are inputs too: what is stated of one is its mean, and its shape is scaled to it.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from sim.base.units import BaseFloat, BaseInt
from sim.cost.bounds import price_with_mean
from sim.cost.catalogue import price_spec
from sim.cost.quantiles import parse_ps
from sim.scenario.constraints import quantity_of
from sim.scenario.questions import UncertainInput
from sim.stats.laws import Law, empirical, fitted, named
from sim.study.points import value_at

PRICES: Final = "host.prices"
"""The key of all prices together."""
SPAN: Final = 0.9
"""What is told of a distribution, and of draws, holds this share of them."""
_PLACED: Final = ("loc", "scale")
"""Parameters of `scipy.stats` that have the unit of the input."""
_REFERENCE: Final = re.compile(r"LKML [\w.-]*\w")


def is_price(key: str) -> bool:
    """Return whether a key is that of one price."""
    return key.startswith(f"{PRICES}.")


def law_of(key: str, given: UncertainInput) -> Law | None:
    """Return the distribution that is stated of an input, in base units, or None; a price in ps.

    Raises `ValueError`, with what would be right, if it is none.
    """
    return _law(key, given.model_dump_json()) if given.has_law else None


@lru_cache(maxsize=256)  # a fit takes a while, and every cell asks
def _law(key: str, text: str) -> Law:
    given = UncertainInput.model_validate_json(text, strict=False)
    low, high = (None if end is None else number_of(key, end) for end in (given.low, given.high))
    if given.distribution is not None:
        ((name, parameters),) = given.distribution.items()
        numbers = {
            each: number_of(key if each in _PLACED else "", value)
            for each, value in parameters.items()
        }
        said = ", ".join(f"{each} {value}" for each, value in parameters.items())
        ends = zip(("from", "to"), (given.low, given.high), strict=True)
        cut = "".join(f", {word} {end}" for word, end in ends if end is not None)
        return Law(named(name, numbers, low, high).quantile, f"{name} ({said}{cut})")
    values = [number_of(key, value) for value in given.data or ()]
    if given.fit is not None:
        return fitted(given.fit, values, low, high)
    return empirical([v for v in values if _within(v, low, high)])


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def number_of(key: str, written: Any) -> float:
    """Return a value of an input in base units; raises `ValueError` if it is no number."""
    if is_price(key) and isinstance(written, int | float) and written:
        raise ValueError(f"{written} has no unit; write e.g. `{written} ns`")
    value = parse_ps(written) if is_price(key) else quantity_of(written)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{written!r} is no number; write e.g. `5` or `200 MiB/s`")
    return float(value)


def stated_value(key: str, number: float, before: Any, end: str = "stated") -> Any:
    """Return what an input is set to so that it is `number`, in base units.

    `before` is its resolved value: a whole number stays one, a price keeps its shape.
    """
    if is_price(key):
        return price_with_mean(before, round(number), f"{end}; {before['source']}")
    return BaseInt(round(number)) if isinstance(before, int) else BaseFloat(number)


def likely_value(key: str, given: UncertainInput, scenario: Callable[[], Mapping[str, Any]]) -> Any:
    """Return what an input is in all other runs: as stated, or the median; None: as it was.

    `scenario` returns the resolved one in which nothing is stated yet.  Raises `ValueError`, with
    what would be right, for what is no value.
    """
    law = law_of(key, given)
    if given.likely is not None and not is_price(key):
        return given.likely
    if is_price(key) and value_at(scenario(), key) is None:
        raise ValueError("there is no such price; `cowpool keys prices` has them")
    for end in (given.low, given.high) if is_price(key) else ():
        if end is not None:
            number_of(key, end)
    if given.likely is None and law is None:
        return None
    number = number_of(key, given.likely) if law is None else law.quantile(0.5)
    source = given.source or "assumed: stated in the study"
    return stated_value(key, number, value_at(scenario(), key), source)


def with_units(key: str, given: UncertainInput) -> list[tuple[tuple[str | int, ...], Any]]:
    """Return values that a distribution or data state, each with its place, to see their units."""
    if is_price(key):
        return []
    found: list[tuple[tuple[str | int, ...], Any]] = []
    for parameters in (given.distribution or {}).values():
        found += [(("distribution",), parameters[name]) for name in _PLACED if name in parameters]
    data = given.data or []
    return found + [(("data", n), data[n]) for n in sorted({0, len(data) - 1}) if data]


def mean_ps(price: Mapping[str, Any]) -> float:
    """Return the mean of a resolved price, in ps."""
    return float(price_spec(price).mean_ps)


def source_of(price: Mapping[str, Any]) -> str:
    """Return where a price is from: what several have in common moves together.

    >>> source_of({"source": "mean: as lmbench (LKML 2009.GP1); sd assumed"})
    'LKML 2009.GP1'
    >>> source_of({"source": "assumed: as in LKML 2009.GP1"}), source_of({"source": "own, 2 runs"})
    ('assumed', 'own')
    """
    text = str(price["source"])
    if text.startswith("assumed"):
        return "assumed"
    found = _REFERENCE.search(text)
    return found[0] if found else re.split(r"[,;:]", text.removeprefix("mean: "))[0].strip()
