"""Prices as people write them, and the one form they have in a resolved scenario.

``850 ns``, ``{value: 850 ns, ...}``, ``{lognormal: {mean: 690 ns, sd: 1.4 us, least: 450 ns},
...}`` or ``{quantiles: [400 ns, 600 ns, 9 us], ...}``, each mapping with ``source``, ``low`` and
``high``.  The resolved form holds whole picoseconds, in keys that say so, and is accepted as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Final

from sim.cost.catalogue import STAGES, price_spec
from sim.cost.quantiles import parse_ps
from sim.scenario.complaints import suggestion

_SHAPES: Final = ("value", "lognormal", "quantiles")
_KEYS: Final = (*_SHAPES, "source", "low", "high")
_PS: Final = "_ps"

BARE_SOURCE: Final = "assumed: set without a source"
"""Source of a price that is given as nothing but a number."""

_TIME: Final = {"anyOf": [{"const": 0}, {"type": "string"}]}

PRICE_SCHEMA: Final[dict[str, Any]] = {
    "description": "a price: `850 ns`, or a value, lognormal or quantiles with its source",
    "$comment": "a price",
    "anyOf": [
        _TIME,
        {
            "type": "object",
            "properties": {
                "value": _TIME,
                "value_ps": {"type": "integer"},
                "lognormal": {
                    "type": "object",
                    "properties": {
                        key + unit: _TIME for key in ("mean", "sd", "least") for unit in ("", _PS)
                    },
                    "additionalProperties": False,
                },
                "quantiles": {"type": "array", "items": _TIME},
                "quantiles_ps": {"type": "array", "items": {"type": "integer"}},
                "source": {"type": "string"},
                **{key + unit: _TIME for key in ("low", "high") for unit in ("", _PS)},
            },
            "required": ["source"],
            "additionalProperties": False,
        },
    ],
}


def parse_price(raw: object) -> dict[str, Any]:
    """Return a price in its resolved form.

    A bare number is a constant that calls itself assumed, with bounds at half and at twice its
    value.  Raises `ValueError`, with a remedy in the message, for anything that is not a price.
    """
    if not isinstance(raw, Mapping):
        ps = _time_ps(raw)
        return {
            "value_ps": ps,
            "source": BARE_SOURCE,
            "low_ps": ps // 2,
            "high_ps": 2 * ps,
        }
    given = _closed(raw, _KEYS)
    shapes = [key for key in _SHAPES if key in given]
    if len(shapes) != 1:
        raise ValueError("a price has one of `value`, `lognormal` and `quantiles`")
    price = _shape(shapes[0], given[shapes[0]])
    source = given.get("source")
    if not isinstance(source, str) or not source.strip():
        raise ValueError(
            "a price needs a source; add `source: ...`, `assumed: ...` if it is a guess"
        )
    price["source"] = " ".join(source.split())
    middle = price_spec({**price, "low_ps": 0, "high_ps": 10**18}).mean_ps
    price["low_ps"] = given.get("low", int(middle) // 2)
    price["high_ps"] = given.get("high", 2 * int(middle) + 1)
    price_spec(price)
    return price


def _shape(shape: str, given: Any) -> dict[str, Any]:
    if shape == "value":
        return {"value_ps": given}
    if shape == "quantiles":
        return {"quantiles_ps": given}
    if not isinstance(given, Mapping):
        raise ValueError("write `lognormal: {mean: 690 ns, sd: 1.4 us}`")
    numbers = _closed(given, ("mean", "sd", "least"))
    if "mean" not in numbers or "sd" not in numbers:
        raise ValueError("lognormal needs `mean` and `sd`")
    return {"lognormal": {f"{key}{_PS}": ps for key, ps in numbers.items()}}


def _closed(raw: Mapping[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    """Return the entries under their plain names, times in ps, and refuse unknown keys."""
    found: dict[str, Any] = {}
    for key, value in raw.items():
        plain = key.removesuffix(_PS)
        if plain not in known or (plain in ("source", "lognormal") and plain != key):
            raise ValueError(f"unknown key {key!r}; {suggestion(key, known)}")
        if plain in found:
            raise ValueError(f"both `{plain}` and `{plain}{_PS}` are given; keep one")
        if plain in ("source", "lognormal"):
            found[plain] = value
        elif plain == "quantiles":
            if not isinstance(value, list):
                raise ValueError("quantiles are a list; write `quantiles: [400 ns, 9 us]`")
            found[plain] = [_ps(item, key) for item in value]
        else:
            found[plain] = _ps(value, key)
    return found


def _ps(value: object, key: str) -> int:
    if not key.endswith(_PS):
        return _time_ps(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"`{key}` takes whole picoseconds, got {value!r}")
    return parse_ps(f"{value} ps") if value >= 0 else parse_ps(value)


def _time_ps(value: object) -> int:
    """Return a price with its unit in ps; a bare number above 0 has none."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < inf:
        raise ValueError(f"{value} has no unit; write e.g. `{value} ns`")
    return parse_ps(value)


def with_zeroing(
    prices: Mapping[str, Any], stages: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """Return prices with those of zeroing apart from a fault, if they do not say them.

    They follow from `zero_fill` and the share of its time that is its stage `zero`.
    """
    found = dict(prices)
    if "zero_fill" not in prices:
        return found
    fill = prices["zero_fill"]
    share = stages.get("zero_fill", {}).get("zero", 0.0)
    zero_ps = price_spec(fill).mean_ps * share
    said = f"assumed: {100 * share:g} % of zero_fill, its stage `zero`"
    alone = {
        "value_ps": round(zero_ps),
        "low_ps": round(zero_ps / 2),
        "high_ps": round(2 * zero_ps),
    }
    found.setdefault("page_zero", {**alone, "source": said})
    source = "assumed: zero_fill without its stage `zero`"
    found.setdefault("ready_fill", {**_scaled(fill, 1 - share), "source": source})
    return found


def _scaled(price: Any, share: float) -> Any:
    """Return a price in picoseconds with every time of it multiplied."""
    if isinstance(price, Mapping):
        return {key: _scaled(value, share) for key, value in price.items() if key != "source"}
    if isinstance(price, list):
        return [_scaled(value, share) for value in price]
    return round(price * share)


def parse_stages(raw: object) -> dict[str, float]:
    """Return the shares of a fault's stages, in the order in which they happen.

    Raises `ValueError` unless they are at least 0 and add up to 1.
    """
    if not isinstance(raw, Mapping):
        raise ValueError("stages are a mapping; write `{trap: 0.4, zero: 0.6}`")
    for key, share in raw.items():
        if key not in STAGES:
            raise ValueError(f"unknown stage {key!r}; {suggestion(key, STAGES)}")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ValueError(f"the share of {key!r} must lie in [0, 1], got {share!r}")
    if abs(sum(raw.values()) - 1) > 1e-9:
        raise ValueError(f"the shares must add up to 1, got {sum(raw.values()):g}")
    return {stage: float(raw[stage]) for stage in STAGES if stage in raw}
