"""Constraints between keys, as a study states them: ``host.swap <= 2 * host.memory``.

The grammar, of which there is no more: sums, products, brackets, comparisons that may be chained
(``1 GiB <= a <= b``).  A word is a key of the scenario, in full or from any of its words on if
only one key ends so; a text stands in quotes; a quantity has its unit.  Nothing is ever evaluated
as Python.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from sim.base.text import shorten
from sim.base.units import parse_bytes, parse_duration, parse_rate
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

ValueOf = Callable[[str], Any]
"""Returns the value of the key that a word means; raises `ValueError` if there is none."""
_Node = Callable[[ValueOf], Any]


@dataclass(frozen=True, slots=True)
class Constraint:
    """What has to hold at every point of a study, and the words that are keys in it."""

    text: str
    words: tuple[str, ...]
    _sides: tuple[_Node, ...]
    _signs: tuple[str, ...]

    def holds(self, value_of: ValueOf) -> bool:
        """Return whether it holds where `value_of` tells the values of keys, in base units.

        Raises `ValueError`, with what would be right, if it has no meaning there.
        """
        values = [side(value_of) for side in self._sides]
        for sign, (left, right) in zip(self._signs, pairwise(values), strict=True):
            if sign not in _EQUAL and not (_is_number(left) and _is_number(right)):
                what = left if not _is_number(left) else right
                raise ValueError(f"{what!r} is no number; texts are `=` or `!=`")
            if not _COMPARES[sign](left, right):
                return False
        return True


def constraint_of(text: str) -> Constraint:
    """Return the constraint that `text` states; raises `ValueError`, with what would be right.

    >>> constraint_of("2 GiB <= a + b < 8 GiB").holds({"a": 2**31, "b": 2**30}.__getitem__)
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
            return lambda _: token[1:-1]
        if kind == "word" and token in _TRUTHS:
            return lambda _: _TRUTHS[token]
        if kind == "word":
            self.words.append(token)
            return lambda value_of: value_of(token)
        if token == "-":
            return _calculated("-", lambda _: 0, self._factor())
        if token == "(":
            inner = self.sum()
            if self.next != ")":
                raise ValueError(f"{shorten(self.text)!r} lacks a `)`; {_EXAMPLE}")
            self.take()
            return inner
        raise ValueError(f"{token!r} stands where a key or number should; {_EXAMPLE}")


def _calculated(sign: str, left: _Node, right: _Node) -> _Node:
    def value(value_of: ValueOf) -> Any:
        sides = left(value_of), right(value_of)
        for side in sides:
            if not _is_number(side):
                raise ValueError(f"{side!r} is no number; only numbers are calculated with")
        try:
            return _CALCULATES[sign](*sides)
        except (ZeroDivisionError, OverflowError):
            raise ValueError("it divides by 0, or is too large; add a bound before it") from None

    return value


def quantity_of(written: object) -> Any:
    """Return a value as people write it in base units; what is no quantity stays as it is.

    >>> quantity_of("2 KiB"), quantity_of("50 ms"), quantity_of("5,000/s"), quantity_of("always")
    (2048, 50000000, 5000, 'always')
    """
    if isinstance(written, str) and written[:1].isdigit():
        for parse in (parse_bytes, parse_duration, parse_rate, parse_byte_rate):
            try:
                return parse(written)
            except ValueError:
                continue
    return written


def _quantity(token: str) -> float:
    try:
        return float(token.replace(",", "").replace("_", ""))
    except ValueError:
        value = quantity_of(token)
    if isinstance(value, str):
        raise ValueError(f"{token!r} is no quantity; write e.g. `2 GiB`, `50 ms` or `1000/s`")
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
