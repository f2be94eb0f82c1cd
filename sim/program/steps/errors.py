"""What is said of a list of steps that cannot be run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indices from the list of steps down to what is meant."""


class StepsError(ValueError):
    """A list of steps says something impossible: ``args`` are the path to it, and what.

    >>> str(StepsError((2, "write", "region"), "no region 'B' here"))
    "step 3, write.region: no region 'B' here"
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(path, what)
        self.path = path
        self.what = what

    def __str__(self) -> str:
        return f"{_spoken(self.path)}: {self.what}"


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return a sentence that refuses `name`, with the nearest known name or all of them."""
    near = get_close_matches(name, list(known), n=1)
    if near:
        return f"unknown {what} {name!r}; did you mean {near[0]!r}?"
    there_are = ", ".join(sorted(known)) or "none"
    return f"unknown {what} {name!r}; there are: {there_are}"


def kind_of(value: Any) -> str:
    """Return what was found, in a few words."""
    if isinstance(value, Mapping):
        return f"a mapping of {len(value)} keys"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a list of {len(value)}"
    return "nothing" if value is None else repr(value)


def _spoken(path: Path) -> str:
    words: list[str] = []
    for part in path:
        if isinstance(part, int) and (not words or words[-1].endswith(("steps", "fork"))):
            words.append(f"step {part + 1}")
        elif words and not words[-1].startswith("step "):
            words[-1] += f"[{part}]" if isinstance(part, int) else f".{part}"
        else:
            words.append(str(part))
    return ", ".join(words) or "steps"
