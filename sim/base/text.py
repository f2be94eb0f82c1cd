"""Text that people wrote, made fit to be shown: short, on one line, without control characters."""

from __future__ import annotations

from typing import Any, Final

MOST_CHARACTERS: Final = 300
"""Limit on a key that people write, and on what is said in one line."""

_UNFIT_BIDI: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def is_unfit(character: str) -> bool:
    r"""Whether a character does something to a terminal or a page instead of being shown there.

    Controls other than line end and tab, halves of pairs, what no character is, separators of
    lines, and what turns the direction of writing.

    >>> [is_unfit(c) for c in ("a", "é", "\x1b", "\n")]
    [False, False, True, False]
    """
    code = ord(character)
    return (
        (code < 32 and character not in "\n\t")
        or 127 <= code < 160
        or 0xD800 <= code < 0xE000
        or code & 0xFFFE == 0xFFFE
        or 0xFDD0 <= code < 0xFDF0
        or character in _UNFIT_BIDI
        or character in "\u2028\u2029\ufeff"
    )


def visible(text: str) -> str:
    r"""Return text in which what is unfit, and ends of lines, are shown by their numbers.

    >>> visible("red \x1b[31m\n")
    'red \\x1b[31m\\n'
    """
    if text.isprintable():
        return text
    return "".join(ascii(c)[1:-1] if is_unfit(c) or c in "\n\t" else c for c in text)


def printable(text: str) -> str:
    r"""Return text, perhaps of several lines, in which what is unfit is shown by its number.

    >>> printable("a\nb \x07")
    'a\nb \\x07'
    """
    return "".join(ascii(c)[1:-1] if is_unfit(c) else c for c in text)


def shorten(text: str, limit: int = 60) -> str:
    """Return text short enough for a message, on one line; the rest is an ellipsis.

    >>> shorten("a" * 100, 10)
    'aaaaaaaaa…'
    """
    flat = visible(" ".join(text.split()))
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def shorten_middle(text: str, limit: int = MOST_CHARACTERS) -> str:
    """Return text of at most `limit` characters, on one line: what is too long lacks its middle.

    >>> shorten_middle("a" * 50 + "b" * 50, 9)
    'aaaaa…bbb'
    """
    flat = visible(" ".join(text.split()))
    if len(flat) <= limit:
        return flat
    tail = limit * 2 // 5
    return f"{flat[: limit - 1 - tail]}…{flat[-tail:]}"


def shown(value: object, limit: int = 60) -> str:
    """Return any value as it would be written in Python, short; never raises an `Exception`."""
    try:
        return shorten(repr(value), limit)
    except Exception:
        return f"a value of type {type(value).__name__}"


def named(name: Any) -> str:
    """Return a name that a program gave to something.

    Raises `ValueError` if it is empty, too long or cannot be shown.

    >>> named("worker 1")
    'worker 1'
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"{shown(name)} is no name; give a text")
    if len(name) > MOST_CHARACTERS:
        raise ValueError(f"{shown(name)} is no name; give at most {MOST_CHARACTERS} characters")
    if not name.isprintable() and any(is_unfit(c) or c in "\n\t" for c in name):
        raise ValueError(f"{shown(name)} is no name; leave out control characters")
    return name


def told(error: BaseException) -> str:
    r"""Return the name of an exception and what it says, as far as that can be had.

    >>> told(ValueError("no\nsuch"))
    'ValueError: no such'
    """
    name = type(error).__name__
    try:
        said = " ".join(str(error).split())
    except Exception:
        said = ""
    return shorten_middle(f"{name}: {said}" if said else name)
