"""Releases of Linux: those whose rules are known, and how they are written."""

from typing import Final

Release = tuple[int, int]

OLDEST: Final[Release] = (4, 19)
NEWEST: Final[Release] = (6, 18)
CHECKED: Final[Release] = (6, 18)
"""The release that scripts were run on."""


def parse_release(text: str) -> Release:
    """Return a release as numbers: of ``6.12`` and of ``6.12.117-amd64`` it is (6, 12).

    Raises `ValueError` if it is none.

    >>> parse_release("6.12.117-amd64")
    (6, 12)
    """
    major, _, rest = text.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    if not (major.isdecimal() and minor.isdecimal() and text.isascii()):
        raise ValueError(f"{text!r} is not a kernel release")
    return int(major), int(minor)


def release_name(release: Release) -> str:
    """Return a release as it is written: (6, 12) is ``6.12``."""
    return f"{release[0]}.{release[1]}"


def known_release(text: str) -> str:
    """Return `text` if it names a release that the table knows, as ``6.12`` does.

    Raises `ValueError`, with what would be right.
    """
    parts = text.split(".")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f'{text!r} is not a kernel version; write e.g. "6.12"')
    if len(text) > 8 or not OLDEST <= (int(parts[0]), int(parts[1])) <= NEWEST:
        oldest, newest = release_name(OLDEST), release_name(NEWEST)
        raise ValueError(f'{text!r} is not known; write "{oldest}" to "{newest}"')
    return text
