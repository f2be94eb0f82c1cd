"""Small words: counts, lists and ranges as sentences have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.walk.tell.names import Names

_MOST_LISTED: Final = 6


def count(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> count(1, "page"), count(4, "copy")
    ('1 page', '4 copies')
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,} {noun}s"


def listing(words: Sequence[str]) -> str:
    """Return words as a list.

    >>> listing(["P", "C", "D"])
    'P, C and D'
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def span(numbers: Sequence[int]) -> str:
    """Return numbers as ranges, the middle left out where there are too many.

    >>> span([3, 4, 5, 9]), span([1, 3, 5, 7, 9, 11, 13, 15])
    ('3 to 5, 9', '1, 3, 5 … 15')
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        elif not runs or number != runs[-1][-1]:
            runs.append([number])
    texts = [str(r[0]) if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in runs]
    if len(texts) > _MOST_LISTED:
        return f"{', '.join(texts[:3])} … {texts[-1]}"
    return ", ".join(texts)


def pages_of(first: int, last: int, names: Names) -> str:
    """Return the pages [first, last] as people say them: ``A0``, ``A0 to A3``."""
    if first == last:
        return names.page(first)
    return f"{names.page(first)} to {names.page(last)}"
