"""Constraints between keys, as a study states them: ``host.swap <= 2 * host.memory``.

The grammar, of which there is no more: sums, products, brackets, comparisons that may be chained
(``1 GiB <= a <= b``).  A word is a key of the scenario, in full or from any of its words on if
only one key ends so; a text stands in quotes; a quantity has its unit.  Nothing is ever evaluated
as Python.

It is calculated exactly, and with dimensions: a size is never compared with a number of CPUs, nor
with a bare number but 0; a rate times a duration is a number.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from sim.base.text import shorten
from sim.base.units import S, parse_bytes, parse_duration, parse_rate
from sim.scenario.quantities import parse_byte_rate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_WORDS: Final = 100
"""Words and signs in a constraint; so brackets cannot be nested without end."""

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<quantity>[0-9][0-9.,_]*(?:[eE][+-]?[0-9]+)?
            (?:\s*[A-Za-z]+(?![\w.]))?(?:/[A-Za-z]+(?![\w.]))?)
        | (?P<text>'[^']*'|"[^"]*")
        | (?P<word>[A-Za-z_][\w-]*(?:\.[\w-]+)*)
        | (?P<sign><=|>=|!=|==|[-+*/()<>=])
    )""",
    re.VERBOSE,
)
_COMPARES: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}
_EQUAL: Final = ("=", "==", "!=")
_CALCULATES: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_TRUTHS: Final = {"true": True, "false": False}
_EXAMPLE: Final = "write e.g. `host.swap <= 2 * host.memory`"

Dimension = tuple[int, int]
"""Powers of bytes and of time."""
NUMBER: Final[Dimension] = (0, 0)
SIZE: Final[Dimension] = (1, 0)
DURATION: Final[Dimension] = (0, 1)
RATE: Final[Dimension] = (0, -1)
SPEED: Final[Dimension] = (1, -1)
_NAMES: Final = {
    NUMBER: "a number",
    SIZE: "a size",
    DURATION: "a duration",
    RATE: "a rate",
    SPEED: "a speed",
}


@dataclass(frozen=True, slots=True)
class Measure:
    """A value with its dimension, None if that is not known; a text or a truth has none.

    Numbers are exact, in bytes and ns: a rate of 1/s is a billionth.
    """

    value: Any
    dimension: Dimension | None = None

    @property
    def fits_all(self) -> bool:
        """Whether it may stand beside any dimension: nought is nought of anything."""
        return self.dimension is None or (self.dimension == NUMBER and self.value == 0)


def measure_of(value: Any, dimension: Dimension | None) -> Measure:
    """Return a value in base units (bytes, ns, 1/s) with its dimension, None if not known.

    >>> measure_of(2000, RATE).value * measure_of(10**9, DURATION).value
    Fraction(2000, 1)
    """
    if not _is_number(value):
        return Measure(value)
    exact = Fraction(repr(value))
    return Measure(exact / S if dimension in (RATE, SPEED) else exact, dimension)


ValueOf = Callable[[str], Measure]
"""Returns the value of the key that a word means; raises `ValueError` if there is none."""
_Node = Callable[[ValueOf], Measure]


@dataclass(frozen=True, slots=True)
class Constraint:
    """What has to hold at every point of a study, and the words that are keys in it."""

    text: str
    words: tuple[str, ...]
    _sides: tuple[_Node, ...]
    _signs: tuple[str, ...]

    def holds(self, value_of: ValueOf) -> bool:
        """Return whether it holds where `value_of` tells the values of keys.

        Raises `ValueError`, with what would be right, if it has no meaning there.
        """
        values = [side(value_of) for side in self._sides]
        found = True
        for sign, (left, right) in zip(self._signs, pairwise(values), strict=True):
            numbers = [_is_number(side.value) for side in (left, right)]
            if sign not in _EQUAL and not all(numbers):
                what = right.value if numbers[0] else left.value
                raise ValueError(f"{what!r} is no number; texts are `=` or `!=`")
            if all(numbers):
                _alike(left, right, "compared")
            found = found and _COMPARES[sign](left.value, right.value)
        return found


def constraint_of(text: str) -> Constraint:
    """Return the constraint that `text` states; raises `ValueError`, with what would be right.

    >>> sizes = {"a": measure_of(2**31, SIZE), "b": measure_of(2**30, SIZE)}
    >>> constraint_of("2 GiB <= a + b < 8 GiB").holds(sizes.__getitem__)
    True
    >>> constraint_of("host.thp = 'always'").words
    ('host.thp',)
    """
    reader = _Reader(text)
    sides, signs = [reader.sum()], []
    while reader.next in _COMPARES:
        signs.append(reader.take())
        sides.append(reader.sum())
    if reader.next or not signs:
        found = f"{shorten(reader.next)!r} is too much" if reader.next else "it compares nothing"
        raise ValueError(f"{shorten(text)!r} is no constraint, {found}; {_EXAMPLE}")
    return Constraint(text, tuple(dict.fromkeys(reader.words)), tuple(sides), tuple(signs))


def meant_key(word: str, keys: Sequence[str]) -> str | None:
    """Return the one of `keys` that a word means: itself, or the only one that ends with it.

    Raises `ValueError` if several do.

    >>> meant_key("memory", ["host.memory", "policy.memory_limit"])
    'host.memory'
    """
    if word in keys:
        return word
    ending = sorted({key for key in keys if key.endswith(f".{word}")})
    if len(ending) > 1:
        several = ", ".join(shorten(key) for key in ending[:4])
        raise ValueError(f"{word!r} may be any of {several}; write it in full")
    return ending[0] if ending else None


class _Reader:
    """Reads an expression by recursive descent; functions compute it later."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words: list[str] = []
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None or len(self._tokens) == MOST_WORDS:
                rest = text[at:].strip()
                raise ValueError(f"{shorten(rest)!r} is no part of a constraint; {_EXAMPLE}")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            at = found.end()

    @property
    def next(self) -> str:
        """The next word or sign; empty at the end."""
        return self._tokens[0][1] if self._tokens else ""

    def take(self) -> str:
        """Return the next word or sign, and go on."""
        return self._tokens.pop(0)[1]

    def sum(self) -> _Node:
        """Read terms that are added."""
        return self._chain("+-", self._product)

    def _product(self) -> _Node:
        return self._chain("*/", self._factor)

    def _chain(self, signs: str, part: Callable[[], _Node]) -> _Node:
        node = part()
        while self.next and self.next in signs:
            node = _calculated(self.take(), node, part())
        return node

    def _factor(self) -> _Node:
        if not self._tokens:
            raise ValueError(f"{shorten(self.text)!r} ends too early; {_EXAMPLE}")
        kind, token = self._tokens.pop(0)
        if kind == "quantity":
            value = _quantity(token)
            return lambda _: value
        if kind == "text":
            return lambda _: Measure(token[1:-1])
        if kind == "word" and token in _TRUTHS:
            return lambda _: Measure(_TRUTHS[token])
        if kind == "word":
            self.words.append(token)
            return lambda value_of: value_of(token)
        if token == "-":
            return _calculated("-", lambda _: measure_of(0, NUMBER), self._factor())
        if token == "(":
            inner = self.sum()
            if self.next != ")":
                raise ValueError(f"{shorten(self.text)!r} lacks a `)`; {_EXAMPLE}")
            self.take()
            return inner
        raise ValueError(f"{token!r} stands where a key or number should; {_EXAMPLE}")


def _calculated(sign: str, left: _Node, right: _Node) -> _Node:
    def value(value_of: ValueOf) -> Measure:
        one, other = left(value_of), right(value_of)
        for side in (one, other):
            if not _is_number(side.value):
                raise ValueError(f"{side.value!r} is no number; only numbers are calculated with")
        try:
            found = _CALCULATES[sign](one.value, other.value)
        except ZeroDivisionError:
            raise ValueError("it divides by 0; add a bound before it") from None
        return Measure(found, _dimension(sign, one, other))

    return value


def _dimension(sign: str, one: Measure, other: Measure) -> Dimension | None:
    """Return the dimension of what is calculated; raises `ValueError` if there is no such thing."""
    if sign in "+-":
        _alike(one, other, "added" if sign == "+" else "subtracted")
        return other.dimension if one.fits_all else one.dimension
    if one.dimension is None or other.dimension is None:
        return None
    power = 1 if sign == "*" else -1
    size, time = (a + power * b for a, b in zip(one.dimension, other.dimension, strict=True))
    return size, time


def _alike(one: Measure, other: Measure, what: str) -> None:
    """Raise `ValueError` if two numbers are of different dimensions."""
    if one.fits_all or other.fits_all or one.dimension == other.dimension:
        return
    first, second = _name(one), _name(other)
    bare = NUMBER in (one.dimension, other.dimension)
    remedy = "write its unit, e.g. `2 GiB`" if bare else "compare what is alike"
    raise ValueError(f"{first} and {second} cannot be {what}; {remedy}")


def _name(measure: Measure) -> str:
    size, time = measure.dimension or NUMBER
    return _NAMES.get((size, time)) or f"bytes^{size} * time^{time}"


def quantity_of(written: object) -> Any:
    """Return a value as people write it in base units; what is no quantity stays as it is.

    >>> quantity_of("2 KiB"), quantity_of("50 ms"), quantity_of("5,000/s"), quantity_of("always")
    (2048, 50000000, 5000, 'always')
    """
    if isinstance(written, str) and written[:1].isdigit():
        for parse in _PARSERS:
            try:
                return parse(written)
            except ValueError:
                continue
    return written


_PARSERS: Final[Mapping[Callable[[object], Any], Dimension]] = {
    parse_bytes: SIZE,
    parse_duration: DURATION,
    parse_rate: RATE,
    parse_byte_rate: SPEED,
}


def _quantity(token: str) -> Measure:
    plain = token.replace(",", "").replace("_", "")
    try:
        return measure_of(float(plain), NUMBER)
    except ValueError:
        pass
    for parse, dimension in _PARSERS.items():
        try:
            return measure_of(parse(token), dimension)
        except ValueError:
            continue
    raise ValueError(f"{token!r} is no quantity; write e.g. `2 GiB`, `50 ms` or `1000/s`")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Fraction) and not isinstance(value, bool)
