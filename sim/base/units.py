"""Base units, identifiers, and the quantities people write in scenarios.

Every quantity is an ``int`` in one base unit, and its name ends in that unit: ``quantum_ns``,
``heap_bytes``, ``resident_pages``.  Identifiers, on which no arithmetic is meaningful, get their
own type so that mypy keeps them apart.  Nothing here knows what a quantity is used for.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final, NewType

Pfn = NewType("Pfn", int)
"""Page frame number: an index into physical memory."""
Vpn = NewType("Vpn", int)
"""Virtual page number: an index into one address space."""
Pid = NewType("Pid", int)
"""Process identifier."""

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB
TIB: Final = 1024 * GIB

NS: Final = 1
US: Final = 1_000
MS: Final = 1_000 * US
S: Final = 1_000 * MS
MINUTE: Final = 60 * S
HOUR: Final = 60 * MINUTE

PAGE_BYTES: Final = 4096
"""Size of a base page, as on x86-64."""

LARGEST: Final = 2**63 - 1
"""Largest quantity: counts are signed 64-bit integers in compiled code."""

_PREFIXES: Final = {"k": KIB, "m": MIB, "g": GIB, "t": TIB}

BYTE_UNITS: Final[Mapping[str, int]] = {
    "B": 1,
    **{f"{letter.upper()}iB": size for letter, size in _PREFIXES.items()},
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "page": PAGE_BYTES,
    "pages": PAGE_BYTES,
    # As others write them: Kubernetes `500Mi`, redis.conf `6gb`, Docker and Java `512m`.
    **{f"{letter.upper()}i": size for letter, size in _PREFIXES.items()},
    **{
        f"{letter}{rest}": size
        for letter, size in _PREFIXES.items()
        for rest in ("ib", "i", "b", "")
    },
    **dict.fromkeys(("b", "byte", "bytes"), 1),
}
"""Units of sizes.  Lower-case ones are binary, as in redis.conf; `kB` to `TB` are decimal."""

_TWO_MEANINGS: Final = ("K", "M", "G", "T")
"""Binary for Docker, systemd and Java, decimal for Kubernetes and disks."""

TIME_UNITS: Final[Mapping[str, int]] = {
    "ns": NS,
    "us": US,
    "\u00b5s": US,  # micro sign
    "\u03bcs": US,  # Greek mu: the two look alike and keyboards produce either
    "ms": MS,
    "s": S,
    "min": MINUTE,
    "h": HOUR,
    **dict.fromkeys(("sec", "secs", "second", "seconds"), S),
    **dict.fromkeys(("m", "mins", "minute", "minutes"), MINUTE),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), HOUR),
}
"""Units of durations, and of what a rate is counted per."""

_BYTE_EXAMPLE: Final = "write e.g. `16 GiB`"
_TIME_EXAMPLE: Final = "write e.g. `850 ns`, `1.5 ms` or `2 s`"
_RATE_EXAMPLE: Final = "write e.g. `20000/s` or `3/min`"

_QUANTITY: Final = re.compile(
    r"(?P<number>"
    r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,8}|[0-9][0-9_]{0,30}|(?=\.))"  # thousands as they are printed
    r"(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?"
    r")\s*(?P<unit>[^\s0-9]*)"
)


class BaseInt(int):
    """A whole number that is in its base unit already, because a program wrote it."""


class BaseFloat(float):
    """A number that is in its base unit already, because a program wrote it."""


def in_base_units(data: Any) -> Any:
    """Return a copy of JSON-like data whose numbers need no unit to be read as quantities.

    >>> parse_bytes(in_base_units({"size": 4096})["size"])
    4096
    """
    match data:
        case bool():
            return data
        case dict():
            return {key: in_base_units(value) for key, value in data.items()}
        case list() | tuple():
            return [in_base_units(value) for value in data]
        case int():
            return BaseInt(data)
        case float():
            return BaseFloat(data)
        case _:
            return data


@dataclass(frozen=True, slots=True)
class Range:
    """Inclusive bounds of a parameter, for `typing.Annotated`; ``None`` is no bound.

    ``Annotated[int, Range(1, None)]`` is a whole number of at least 1.
    """

    low: float | None
    high: float | None

    def holds(self, value: float) -> bool:
        """Return whether `value` lies within the bounds; NaN never does.

        >>> Range(1, None).holds(0), Range(0, 1).holds(1)
        (False, True)
        """
        above = value >= self.low if self.low is not None else value == value
        below = value <= self.high if self.high is not None else value == value
        return above and below


@dataclass(frozen=True, slots=True)
class InBytes:
    """Mark of a parameter whose bare number is in bytes (`parse_length`), for `Annotated`."""


def parse_bytes(value: object) -> int:
    """Return a size in bytes.

    Takes the units of `BYTE_UNITS`, `BaseInt` and 0.  Raises `ValueError`, with a remedy in the
    message, for anything else, for another number without a unit, for a negative size, and for a
    fraction of a byte; what a larger unit leaves over (``1.1 GiB``) is rounded to the nearest byte.

    >>> parse_bytes("16 GiB"), parse_bytes("1.5 kB"), parse_bytes("12 pages"), parse_bytes(0)
    (17179869184, 1500, 49152, 0)
    >>> parse_bytes("500Mi"), parse_bytes("6gb"), parse_bytes("512m")
    (524288000, 6442450944, 536870912)
    """
    _refuse_bare(value, ("GiB", "MiB", "B"))
    return _whole(_parse(value, BYTE_UNITS, _BYTE_EXAMPLE), value, "bytes", _BYTE_EXAMPLE)


def parse_length(value: object) -> int:
    """Return the length of a thing that is counted in bytes, where a bare number says which unit.

    A value, a key, a block of malloc: `redis-benchmark -d` and malloc(3) take bytes, and nobody
    means GiB.  Otherwise as `parse_bytes`.

    >>> parse_length(1000), parse_length("2 KiB")
    (1000, 2048)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = BaseInt(value)
    return parse_bytes(value)


def parse_duration(value: object) -> int:
    """Return a duration in nanoseconds; takes the units of `TIME_UNITS`, `BaseInt` and 0.

    Raises `ValueError`, with a remedy in the message, for anything that is not a duration, for
    another number without a unit, for a negative one, and for a fraction of a nanosecond; what a
    larger unit leaves over is rounded.

    >>> parse_duration("850 ns"), parse_duration("1.5 ms"), parse_duration("5 min")
    (850, 1500000, 300000000000)
    """
    _refuse_bare(value, ("s", "ms"))
    return _whole(_parse(value, TIME_UNITS, _TIME_EXAMPLE), value, "ns", _TIME_EXAMPLE)


def parse_rate(value: object) -> float:
    """Return a rate per second, an ``int`` if it is whole; a bare number already is one.

    Raises `ValueError`, with a remedy in the message, for anything that is not a rate, and for a
    negative one.

    >>> parse_rate("20000/s"), parse_rate("3/min"), parse_rate(0.5), parse_rate("5,000/s")
    (20000, 0.05, 0.5, 5000)
    """
    if not isinstance(value, str):
        rate = _parse(value, {}, _RATE_EXAMPLE)
    else:
        number, slash, unit = value.partition("/")
        if not slash or not unit.strip():
            raise ValueError(f"{value!r} is not a rate; {_RATE_EXAMPLE}")
        count = _parse(f"{number.strip()} #", {"#": 1}, _RATE_EXAMPLE, shown=value)
        rate = count * S / _unit(unit.strip(), TIME_UNITS, _RATE_EXAMPLE, value)
    return int(rate) if rate.denominator == 1 else float(rate)


def format_bytes(size_bytes: float) -> str:
    """Return a size for people: three significant digits or whole numbers, binary units.

    >>> format_bytes(17_179_869_184), format_bytes(1536), format_bytes(0)
    ('16 GiB', '1.5 KiB', '0 B')
    """
    steps = [(1, "B"), (KIB, "KiB"), (MIB, "MiB"), (GIB, "GiB"), (TIB, "TiB")]
    return _format(size_bytes, steps)


def format_bytes_up(size_bytes: float) -> str:
    """Return a size for people that is no smaller than `size_bytes`: for what has to suffice.

    >>> format_bytes_up(21.42 * GIB), format_bytes_up(16 * GIB), format_bytes_up(1023.5 * MIB)
    ('21.5 GiB', '16 GiB', '1 GiB')
    """
    scale = next(s for s in (TIB, GIB, MIB, KIB, 1) if size_bytes >= s or s == 1)
    value = size_bytes / scale
    decimals = 2 - len(str(int(value))) + (value >= 1)
    factor = 10 ** max(decimals, 0)
    return format_bytes(math.ceil(value * factor * (1 - 1e-12)) / factor * scale)


def format_duration(duration_ns: float) -> str:
    """Return a duration for people, in the unit that suits it, as `format_bytes` does.

    >>> format_duration(850), format_duration(1_234_567), format_duration(7_200 * S)
    ('850 ns', '1.23 ms', '2 h')
    """
    steps = [(NS, "ns"), (US, "us"), (MS, "ms"), (S, "s"), (MINUTE, "min"), (HOUR, "h")]
    return _format(duration_ns, steps)


def format_rate(per_second: float) -> str:
    """Return a rate for people: per second, minute or hour, as `format_bytes` does.

    >>> format_rate(20_000), format_rate(0.05), format_rate(0)
    ('20,000/s', '3/min', '0/s')
    """
    if per_second == 0 or abs(per_second) >= 1:
        return f"{_three_digits(per_second)}/s"
    if abs(per_second) * 60 >= 1:
        return f"{_three_digits(per_second * 60)}/min"
    return f"{_three_digits(per_second * 3600)}/h"


def pages_for(size_bytes: int, page_bytes: int = PAGE_BYTES) -> int:
    """Return how many whole pages hold `size_bytes`, rounding up.

    >>> pages_for(4097), pages_for(0)
    (2, 0)
    """
    if size_bytes < 0:
        raise ValueError(f"size_bytes must be >= 0, got {size_bytes}")
    if page_bytes <= 0:
        raise ValueError(f"page_bytes must be > 0, got {page_bytes}")
    return -(-size_bytes // page_bytes)


def _refuse_bare(value: object, units: tuple[str, ...]) -> None:
    """Raise `ValueError` for a number above 0 that has no unit."""
    if type(value) in (bool, BaseInt, BaseFloat) or not isinstance(value, int | float):
        return
    if 0 < value <= LARGEST:
        *most, last = [f"`{value} {unit}`" for unit in units]
        alternatives = f"{', '.join(most)} or {last}"
        raise ValueError(f"{value} has no unit; write e.g. {alternatives}")


def _parse(value: object, units: Mapping[str, int], example: str, shown: object = None) -> Fraction:
    """Return `value` in base units, exactly."""
    shown = value if shown is None else shown
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{shown!r} is not a quantity; {example}")
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value.strip())
        if match is None:
            raise ValueError(f"{shown!r} is not a quantity; {example}")
        scale = _unit(match["unit"], units, example, shown)
        quantity = Fraction(match["number"].replace("_", "").replace(",", "")) * scale
    else:
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"{shown!r} is not finite; {example}")
        quantity = Fraction(value)
    if quantity < 0:
        raise ValueError(f"{shown!r} is negative; {example}")
    if quantity > LARGEST:
        raise ValueError(f"{shown!r} does not fit 64 bits; {example}")
    return quantity


def _unit(name: str, units: Mapping[str, int], example: str, shown: object) -> int:
    if not name:
        raise ValueError(f"{shown!r} has no unit; {example}")
    if name in units:
        return units[name]
    if name in _TWO_MEANINGS and "B" in units:
        number = str(shown).partition(name)[0].strip()
        either = f"`{number} {name}iB` (binary) or `{number} {name}B` (decimal)"
        raise ValueError(f"{shown!r} has two meanings; write e.g. {either}")
    by_lower = {known.lower(): known for known in reversed(list(units))}
    near = get_close_matches(name.lower(), by_lower, n=1)
    hint = f"did you mean `{by_lower[near[0]]}`? " if near else ""
    raise ValueError(f"{shown!r} has the unknown unit {name!r}; {hint}{example}")


def _whole(quantity: Fraction, shown: object, unit: str, example: str) -> int:
    """Round what a larger unit leaves over (1.1 GiB); refuse half of the base unit (1.5 ns)."""
    named_in_unit_of = not isinstance(shown, str) or _unit_of(shown) in ("B", "ns")
    if quantity.denominator != 1 and (named_in_unit_of or quantity < 1):
        raise ValueError(f"{shown!r} is not a whole number of {unit}; {example}")
    return round(quantity)


def _unit_of(text: str) -> str:
    match = _QUANTITY.fullmatch(text.strip())
    return match["unit"] if match else ""


def _format(value: float, steps: list[tuple[int, str]]) -> str:
    sign, value = ("-", -value) if value < 0 else ("", value)
    for (scale, name), (larger, _) in pairwise(steps):
        text = _three_digits(value / scale)
        if float(text.replace(",", "")) * scale < larger:
            return f"{sign}{text} {name}"
        value = max(value, larger)
    scale, name = steps[-1]
    return f"{sign}{_three_digits(value / scale)} {name}"


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:.3g}"
