"""What a value in a scenario may be: sizes, durations, rates, whole numbers, names.

Each is an `Annotated` type: pydantic reads it, checks it and describes it in the JSON schema.
A size or a duration needs its unit, except in a resolved scenario, whose numbers are in base units
(`sim.base.units.in_base_units`), so that it is itself a scenario.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from sim.base.units import (
    BYTE_UNITS,
    PAGE_BYTES,
    TIME_UNITS,
    BaseFloat,
    BaseInt,
    S,
    format_bytes,
    format_duration,
    parse_bytes,
    parse_duration,
    parse_rate,
)
from sim.machine.releases import known_release

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBER: Final = r"^\s*([0-9][0-9_,]*(\.[0-9]+)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*"
_SIZES: Final = f"({'|'.join(sorted(BYTE_UNITS, key=len, reverse=True))})"
_TIMES: Final = f"({'|'.join(sorted(TIME_UNITS, key=len, reverse=True))})"

_NO_BOUND: Final = 2**50

FOLIO_BYTES: Final = tuple(PAGE_BYTES << order for order in range(2, 9))
"""Sizes of folios between a page and a huge page."""


class Closed(BaseModel):
    """A mapping in which an unknown key is an error, and nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _quantity_schema(bare: dict[str, Any], pattern: str, description: str) -> dict[str, Any]:
    """Return the schema of a quantity; its comment stays where a key's own text is put instead."""
    either = [bare, {"type": "string", "pattern": f"{_NUMBER}{pattern}\\s*$"}]
    return {"anyOf": either, "description": description, "$comment": description}


BYTES_SCHEMA: Final = _quantity_schema({"const": 0}, _SIZES, "a size, e.g. `16 GiB`")
LENGTH_SCHEMA: Final = _quantity_schema(
    {"type": "integer", "minimum": 0}, _SIZES, "a size, e.g. `2 KiB`; a plain number is in bytes"
)
DURATION_SCHEMA: Final = _quantity_schema({"const": 0}, _TIMES, "a duration, e.g. `1.5 ms`")
RATE_SCHEMA: Final = _quantity_schema(
    {"type": "number", "minimum": 0},
    rf"/\s*{_TIMES}",
    "a rate, e.g. `20000/s`; a plain number is per second",
)
BYTE_RATE_SCHEMA: Final = _quantity_schema(
    {"const": 0}, rf"{_SIZES}\s*/\s*{_TIMES}", "a speed, e.g. `200 MiB/s`"
)


def parse_byte_rate(value: object) -> float:
    """Return a speed in bytes per second; takes `BaseInt`, `BaseFloat` and 0 as they are.

    >>> parse_byte_rate("200 MiB/s"), parse_byte_rate("3 MB/min")
    (209715200.0, 50000.0)

    Raises `ValueError`, with a remedy in the message, for anything else.
    """
    if not isinstance(value, str):
        bare = isinstance(value, int | float) and not isinstance(value, bool | BaseInt | BaseFloat)
        if bare and value > 0:  # type: ignore[operator]  # a number
            raise ValueError(f"{value} has no unit; write e.g. `{value} MiB/s`")
        return float(parse_rate(value))
    amount, slash, unit = value.partition("/")
    if not slash:
        raise ValueError(f"{value!r} is not a speed; write e.g. `200 MiB/s`")
    try:
        return parse_bytes(amount) * S / parse_duration(f"1 {unit.strip()}")
    except ValueError:
        raise ValueError(f"{value!r} is not a speed; write e.g. `200 MiB/s`") from None


def or_nothing(parse: Callable[[object], Any]) -> Callable[[object], Any]:
    """Return `parse`, but let ``None`` through: whether it is allowed is the type's business."""

    def parsed(value: object) -> object:
        return None if value is None else parse(value)

    return parsed


def plainly(value: object) -> str:
    """Return a number without a trailing ``.0``."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def within(
    low: float | None, high: float | None, show: Callable[[Any], str] = plainly
) -> AfterValidator:
    """Return a check that a value lies in ``[low, high]``, with a message that shows the bounds."""

    def check(value: Any) -> Any:
        if value is None:
            return value
        if low is not None and not value >= low:
            raise ValueError(f"{show(value)} is too small; write at least {show(low)}")
        if high is not None and not value <= high:
            raise ValueError(f"{show(value)} is too large; write at most {show(high)}")
        return value

    if low is not None and high is not None and high < _NO_BOUND:
        check.bounds = f"{show(low)} to {show(high)}"  # type: ignore[attr-defined]
    elif low is not None or high is not None:  # what only has to fit 64 bits has no upper bound
        least = f"at least {show(low)}" if low is not None else f"at most {show(high)}"
        check.bounds = least  # type: ignore[attr-defined]
    return AfterValidator(check)


def bounds_of(annotation: Any) -> str:
    """Return what `within` says of a type, in words; empty where it has no bounds.

    >>> bounds_of(Annotated[int, within(1, 8)] | None)
    '1 to 8'
    """
    for item in getattr(annotation, "__metadata__", ()):
        found = getattr(getattr(item, "func", None), "bounds", "")
        if found:
            return str(found)
    return next((found for arg in get_args(annotation) if (found := bounds_of(arg))), "")


Bytes = Annotated[int, BeforeValidator(or_nothing(parse_bytes)), WithJsonSchema(BYTES_SCHEMA)]
"""A size in bytes, at least 0."""

Duration = Annotated[
    int, BeforeValidator(or_nothing(parse_duration)), WithJsonSchema(DURATION_SCHEMA)
]
"""A duration in ns, at least 0."""

ByteRate = Annotated[
    float, BeforeValidator(or_nothing(parse_byte_rate)), WithJsonSchema(BYTE_RATE_SCHEMA)
]
"""Bytes per second, written ``200 MiB/s``."""
PositiveDuration = Annotated[Duration, within(1, None, format_duration)]
"""A duration in ns, at least 1."""


def size(low: int, high: int | None) -> AfterValidator:
    """Return a check of a size's bounds."""
    return within(low, high, format_bytes)


def _whole_pages(value: int) -> int:
    if value % PAGE_BYTES:
        raise ValueError(f"{value} B is not whole pages; write a multiple of 4 KiB")
    return value


WholePages = Annotated[Bytes, AfterValidator(_whole_pages)]
"""A size in bytes that is a multiple of the page size."""

KERNEL_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "number"},
        {"type": "string", "pattern": r"^[0-9]{1,2}\.[0-9]{1,3}([.+-].*)?$"},
    ],
    "$comment": "a release, e.g. `6.12`",
}


def kernel_release(value: object) -> str:
    """Return the Linux release that a version names, which may be all that ``uname -r`` prints.

    It may be newer than all whose rules are known.  Raises `ValueError`, with what would be right,
    if it is none, or too old.

    >>> kernel_release("6.12"), kernel_release(6.12), kernel_release("5.10.0-28-amd64")
    ('6.12', '6.12', '5.10')
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a kernel version; write e.g. `6.12`")
    return known_release(str(value).strip())


def _whole_cpus(value: object) -> object:
    """Read ``2000m`` and ``2.0`` as 2; refuse a part of a CPU."""
    milli = isinstance(value, str) and re.fullmatch(r"([0-9]{1,9})m", value.strip())
    cpus = int(milli[1]) / 1000 if milli else value
    if not isinstance(cpus, float):
        return value
    if cpus != cpus // 1:
        least = max(1, math.ceil(cpus)) if math.isfinite(cpus) else 1
        raise ValueError(f"a host has whole CPUs, not {value}; write e.g. `{least}`")
    return int(cpus)


Cpus = Annotated[
    int,
    BeforeValidator(_whole_cpus),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]+000m$"}]}),
]
"""A number of CPUs."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
"""A name in messages and files; no ``/``, which stands between a parent and its child."""


def folio_sizes(value: object) -> object:
    """Check the sizes that are the keys of a mapping, and write them all the same way.

    >>> folio_sizes({"64KiB": "madvise"})
    {'64 KiB': 'madvise'}
    """
    if not isinstance(value, dict):
        return value
    return {format_bytes(folio_bytes(key)): mode for key, mode in value.items()}


def folio_bytes(value: object) -> int:
    """Return the size of a folio between a page and a huge page, in bytes; else `ValueError`."""
    size_bytes = parse_bytes(value)
    if size_bytes not in FOLIO_BYTES:
        known = ", ".join(format_bytes(known) for known in FOLIO_BYTES)
        raise ValueError(f"{value!r} is no size of a folio; write one of {known}")
    return size_bytes
