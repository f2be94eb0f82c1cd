"""Random scripts of reads of files."""

from __future__ import annotations

from typing import Final

import numpy as np

from sim.script.filepage.grammar import Line, PageScript, Verb, as_lines

FILES: Final = {"A": 700, "B": 500, "C": 400}
READS: Final = 3500
LIMITS: Final = (450, 1100)
"""Sizes of the files of random scripts, reads in each, and between which limits: in pages."""


def random_page_script(seed: int, index: int) -> tuple[PageScript, int]:
    """Return script `index` of a seed, and a limit for it in pages.

    Ranges in order and backwards, pages at random, and small sets of pages again and again: what
    moves pages to the active list and back.
    """
    draw = np.random.default_rng((seed, index))
    limit = int(draw.integers(*LIMITS))
    names = list(FILES)
    lines: list[Line] = []
    left = READS
    while left > 0:
        name = names[int(draw.integers(len(names)))]
        size = FILES[name]
        length = min(left, int(draw.integers(1, size)))
        first = int(draw.integers(size - length + 1))
        kind = draw.integers(4)
        part = np.arange(first, first + length)
        if kind == 1:
            part = part[::-1]
        elif kind == 2:
            part = draw.integers(first, first + length, length)
        elif kind == 3:
            part = draw.choice(size, max(1, length // 8), replace=False)
            part = np.tile(part, 8)[:length]
        lines += as_lines(name, part.tolist())
        left -= length
    return PageScript(dict(FILES), tuple(lines)), limit


def random_mapped_script(seed: int, index: int) -> tuple[PageScript, int]:
    """Do as `random_page_script`, with pages that are used through mappings, as data and as text.

    What was just read is used, and what was used before again: so most pages become active, and
    some of them inactive again.
    """
    draw = np.random.default_rng((seed, index, 1))
    limit = int(draw.integers(*LIMITS)) // 2
    names = list(FILES)
    lines: list[Line] = []
    left = READS
    while left > 0:
        name = names[int(draw.integers(len(names)))]
        length = int(draw.integers(1, min(limit, FILES[name])))
        first = int(draw.integers(FILES[name] - length + 1))
        verbs = [Verb.READ] * int(draw.integers(3))
        verbs += draw.choice([Verb.USE, Verb.EXECUTE], int(draw.integers(3))).tolist()
        lines += [Line(Verb(verb), name, first, first + length) for verb in verbs]
        left -= length * len(verbs)
    return PageScript(dict(FILES), tuple(lines)), limit
