"""Releases of Linux: those whose rules are known, how they are written, and the nearest known one.

A release is written as ``uname -r`` prints it, or as its first two numbers.  What is kept of it is
its numbers, and ``-el8`` and its like, whose kernels carry much of later releases.
"""

import re
from typing import Final

Release = tuple[int, int]

OLDEST: Final[Release] = (3, 10)
NEWEST: Final[Release] = (6, 18)
CHECKED: Final[Release] = (6, 18)
"""The release that scripts were run on."""

OLDEST_WHOLE: Final[Release] = (4, 19)
"""The oldest release whose rules were all looked for; of older ones the table has some."""

LAST_OF_SERIES: Final = {3: 19, 4: 20, 5: 19, 6: 19}
"""The last minor number of each series that has ended."""

LATEST_MAJOR: Final = 9
"""What is beyond is no release to come, but a slip of the pen."""

_WRITTEN: Final = re.compile(r"(\d{1,2})\.(\d{1,3})(?:[.+-].{0,100})?", re.ASCII)
_ENTERPRISE: Final = re.compile(r"[.+-]el(\d{1,2})(?![0-9a-z])", re.ASCII)
_BUILD: Final = re.compile(r"\d+\.\d+\.0-\d{2,4}(\.\d+)*", re.ASCII)
_BASES: Final = {(3, 10): 7, (4, 18): 8, (5, 14): 9}
"""Releases that those of an enterprise distribution are made of, and its number."""


def parse_release(text: str) -> Release:
    """Return a release as numbers: of ``6.12`` and of ``6.12.117-amd64`` it is (6, 12).

    Raises `ValueError` if it is none.

    >>> parse_release("6.12.117-amd64"), parse_release("4.18-el8")
    ((6, 12), (4, 18))
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f'{text!r} is not a kernel version; write e.g. "6.12"')
    return int(found[1]), int(found[2])


def release_name(release: Release) -> str:
    """Return a release as it is written: (6, 12) is ``6.12``."""
    return f"{release[0]}.{release[1]}"


def known_release(text: str) -> str:
    """Return a release as it is kept: ``6.12``, ``7.1``, ``4.18-el8``.

    Raises `ValueError`, with what would be right, if it is none, or older than all whose rules are
    known.

    >>> known_release("5.15.0-91-generic"), known_release("3.10.0-1160")
    ('5.15', '3.10-el7')
    """
    release = parse_release(text)
    if not OLDEST <= release <= (LATEST_MAJOR, 999):
        oldest, newest = release_name(OLDEST), release_name(NEWEST)
        raise ValueError(f'{text!r} is not known; write "{oldest}" to "{newest}", or a newer one')
    enterprise = enterprise_of(text)
    return release_name(release) + (f"-{enterprise}" if enterprise else "")


def followed_release(text: str) -> Release:
    """Return the release whose rules a kernel follows here: its own, or the nearest known one.

    >>> followed_release("7.1"), followed_release("4.31"), followed_release("4.15")
    ((6, 18), (4, 20), (4, 15))
    """
    major, minor = parse_release(text)
    minor = min(minor, LAST_OF_SERIES.get(major, minor))
    return min(max((major, minor), OLDEST), NEWEST)


def enterprise_of(text: str) -> str:
    """Return ``el8`` and its like of a release that is one of theirs; else nothing.

    Without that word the number of the build tells: ``4.18.0-372``.
    """
    if _BUILD.fullmatch(text):
        number = _BASES.get(parse_release(text))
    else:
        found = _ENTERPRISE.search(text)
        number = int(found[1]) if found else None
    return "" if number is None else f"el{number}"
