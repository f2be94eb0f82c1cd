"""Random scripts of anonymous memory under a limit."""

from __future__ import annotations

from typing import Final

import numpy as np

from sim.script.grammar import FIRST_PROCESS
from sim.script.pressure.grammar import LEAST_WAIT_MS, Line, PressureScript, Verb

MOST_CHILDREN: Final = 3
SHARED: Final = 0.25
"""How often a region is shared memory."""
WAITING: Final = 0.1
"""How often a script of one process, with private memory alone, waits, twice: that takes 6 s.

What is used through several tables is used less by the time a wait is over: where DAMON is on, it
takes the marks of use off entries, and leaves one on the page for all of them.  With shared memory
one of 24 was a page off in five of eight runs; why is not known.
"""


def random_script(seed: int, index: int) -> PressureScript:
    """Draw a script: 2 to 6 rounds over one to three regions, 1.1 to 2.2 times the limit in all.

    One region in four is shared memory, by draws of their own: all else is what it was without, but
    that it is written whole first.  What nobody has written is dropped, and with it nodes of the
    region's tree, which the kernel frees when it comes to that (RCU).

    A round writes or reads in order, backwards, at random, or a small set again and again.  In
    every other script up to three processes are forked between rounds, by any that there is; who
    does a round is drawn as well.  One in ten of the others waits before one of its rounds but the
    first, and at the end, by draws of its own.
    """
    draw = np.random.default_rng((seed, index))
    limit = int(draw.integers(1024, 4096))
    total = int(limit * draw.uniform(1.1, 2.2))
    names = "ABC"[: int(draw.integers(1, 4))]
    size = total // len(names)
    shares = np.random.default_rng((seed, index, 1)).random(len(names)) < SHARED
    made = {
        name: Verb.SHARE if shared else Verb.MAP for name, shared in zip(names, shares, strict=True)
    }
    lines = [Line(FIRST_PROCESS, verb, name, (size,)) for name, verb in made.items()]
    births = int(draw.integers(1, MOST_CHILDREN + 1)) * int(draw.integers(2))
    rounds = max(int(draw.integers(2, 7)), len(names) if births else 0) + births
    processes = [FIRST_PROCESS]
    wait = Line(FIRST_PROCESS, Verb.WAIT, str(LEAST_WAIT_MS))
    own = np.random.default_rng((seed, index, 2))
    alone = births == 0 and Verb.SHARE not in made.values()
    waits_at = int(own.integers(1, rounds)) if own.random() < WAITING and alone else None
    for number in range(rounds):
        name = names[int(draw.integers(len(names)))] if number >= len(names) else names[number]
        verb = Verb.WRITE if number < len(names) else Verb(draw.choice([Verb.READ, Verb.WRITE]))
        by = processes[int(draw.integers(len(processes)))]
        touched = _round(draw, size)
        if number < len(names) and made[name] is Verb.SHARE:
            touched = tuple(range(size)), 1
        if number == waits_at:
            lines.append(wait)
        lines.append(Line(by, verb, name, *touched))
        if len(processes) <= births and number >= len(names) - 1:
            child = f"C{len(processes)}"
            lines.append(Line(processes[int(draw.integers(len(processes)))], Verb.FORK, child))
            processes.append(child)
    if waits_at is not None:
        lines.append(wait)
    return PressureScript(limit, int(draw.integers(1, 201)), tuple(lines))


def _round(draw: np.random.Generator, pages: int) -> tuple[tuple[int, ...], int]:
    """Draw the pages that one round touches, in its order, and how often."""
    kind = draw.integers(5)
    order = np.arange(pages)
    times = 1
    if kind == 1:
        order = order[::-1]
    elif kind == 2:
        order = draw.integers(0, pages, pages)
    elif kind == 3:
        order = draw.choice(pages, max(1, pages // 8), replace=False)
        times = 8
    elif kind == 4:
        order = order[: int(draw.integers(1, pages + 1))]
    return tuple(map(int, order)), times
