"""Values as people write them: what kind they are, how they are read, how they are written."""

from collections.abc import Callable, Mapping
from typing import Final

from sim.base.units import (
    GIB,
    HOUR,
    KIB,
    MIB,
    MINUTE,
    MS,
    TIB,
    US,
    S,
    format_bytes,
    format_duration,
    format_rate,
    parse_bytes,
    parse_duration,
    parse_rate,
)
from sim.scenario.quantities import parse_byte_rate

KINDS: Final[Mapping[str, tuple[Callable[[object], float], Callable[[float], str]]]] = {
    "bytes": (parse_bytes, format_bytes),
    "bytes/s": (parse_byte_rate, lambda value: f"{format_bytes(value)}/s"),
    "ns": (parse_duration, format_duration),
    "rate": (parse_rate, format_rate),
}
"""What a value may be: how it is read, and how it is written; anything else is a ``number``."""

FLOWS: Final = ("rate", "bytes/s")
"""Kinds that are spread on a logarithmic scale unless something else is said."""

_BYTES: Final = ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"), (1, "B"))
_TIMES: Final = ((HOUR, "h"), (MINUTE, "min"), (S, "s"), (MS, "ms"), (US, "us"), (1, "ns"))
_UNITS: Final = {"bytes": (_BYTES, ""), "bytes/s": (_BYTES, "/s"), "ns": (_TIMES, "")}
_DIGITS: Final = 6


def kind_of(written: object) -> str:
    """Return what a value is that was written so; a bare number is just that.

    >>> kind_of("2 GiB"), kind_of("200 MiB/s"), kind_of("5 ms"), kind_of("3/min"), kind_of(7)
    ('bytes', 'bytes/s', 'ns', 'rate', 'number')
    """
    for kind, (parse, _) in KINDS.items() if isinstance(written, str) else ():
        try:
            parse(written)
        except ValueError:
            continue
        return kind
    return "number"


def is_flow(written: object) -> bool:
    """Return whether a value is a rate or a speed."""
    return kind_of(written) in FLOWS


def read(kind: str, text: str) -> float:
    """Return the value that is written so, in base units."""
    return KINDS[kind][0](text) if kind in KINDS else float(text)


def written(kind: str, value: float) -> str:
    """Return a value of a kind, in base units, as it may be written: to 6 digits, never in others.

    What is written is what is meant: whoever reads it, has the rounded value.

    >>> written("bytes", 1.5 * GIB), written("ns", 2_500_000), written("rate", 1234.5678)
    ('1.5 GiB', '2.5 ms', '1234.57/s')
    >>> written("bytes/s", 200 * MIB), written("number", 1.05), written("bytes", 1000)
    ('200 MiB/s', '1.05', '1000 B')
    """
    if kind not in _UNITS:
        return f"{_digits(value)}/s" if kind == "rate" else _digits(value)
    units, behind = _UNITS[kind]
    size, name = next((u, n) for u, n in units if abs(value) >= u or u == 1)
    whole = size == 1 and kind != "bytes/s"
    return f"{round(value) if whole else _digits(value / size)} {name}{behind}"


def _digits(value: float) -> str:
    text = f"{value:.{_DIGITS}g}"
    return f"{float(text):.0f}" if "e" in text and abs(value) >= 1 else text
