"""Making a script that fails shorter, so that people can read it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from sim.script.fewest import fewest
from sim.script.pressure.grammar import PressureScript, Verb, possible_lines, touches

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.script.pressure.grammar import Line

T = TypeVar("T")
PIECES: Final = 16
"""Into how many the pages of a line are cut, to leave some out."""


def shrink(
    script: PressureScript, fails: Callable[[PressureScript], bool], most_trials: int
) -> PressureScript:
    """Return a shorter script for which `fails` holds, which is asked so often at most.

    Lines go first, then pages of those that are left: so its limit says still what it said.
    """
    return _Shrinker(fails, most_trials).run(script)


class _Shrinker:
    def __init__(self, fails: Callable[[PressureScript], bool], most_trials: int) -> None:
        self._fails = fails
        self._left = most_trials

    def run(self, script: PressureScript) -> PressureScript:
        def made_of(lines: list[Line]) -> PressureScript:
            return replace(script, lines=possible_lines(lines))

        script = made_of(fewest(list(script.lines), self._try(made_of)))
        for at in range(len(script.lines) - 1, -1, -1):
            if script.lines[at].verb in (Verb.READ, Verb.WRITE):
                script = self._fewer_pages(script, at)
        return script

    def _fewer_pages(self, script: PressureScript, at: int) -> PressureScript:
        pages = script.lines[at].pages * script.lines[at].times
        size = max(1, len(pages) // PIECES)
        pieces = [pages[first : first + size] for first in range(0, len(pages), size)]

        def made_of(pieces: list[tuple[int, ...]]) -> PressureScript:
            pages = tuple(page for piece in pieces for page in piece)
            line = replace(script.lines[at], pages=pages, times=1)
            return replace(script, lines=(*script.lines[:at], line, *script.lines[at + 1 :]))

        shortest = fewest(pieces, self._try(made_of))
        return script if shortest == pieces else made_of(shortest)

    def _try(self, made_of: Callable[[list[T]], PressureScript]) -> Callable[[list[T]], bool]:
        def fails(parts: list[T]) -> bool:
            shorter = made_of(parts)
            if self._left == 0 or not touches(shorter):
                return False
            self._left -= 1
            return self._fails(shorter)

        return fails
