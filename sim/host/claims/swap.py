"""Anonymous memory beyond a limit, with swap on a disk: in a file, or on a loop device."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.host.claims.claim import Case, Claim
from sim.host.pressure.real import touch_really
from sim.host.pressure.swap import PAGES, Medium, rotates, swap_on, why_not
from sim.script.pressure.grammar import Line, PressureScript, Verb
from sim.script.pressure.timed import count_timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LIMIT: Final = 16384
"""64 MiB, as in `sim.host.claims.files`."""
REGION: Final = LIMIT * 3 // 2
CLUSTER: Final = 8
"""Pages that a swap-in reads at once, where they lie one behind the other."""
REPEATS: Final = 3
WITHIN: Final = 0.02
BATCH: Final = 31
"""Pages that a CPU collects before they go to the end of their list (`PAGEVEC_SIZE`)."""
FEWER: Final = -(-BATCH // CLUSTER)
"""Major faults that may be missing in order: pages that were written wait in the batch of the CPU
that heard of it (`folio_rotate_reclaimable`), in the swap cache still when they are read."""
MORE: Final = 2
"""And more: how much is read ahead at first is left from who read before, on the same kernel."""
FULL: Final = (LIMIT // 4, REGION)
"""Pages of swap: half of what is too much, and enough for all of it, written or being written."""

Counts = dict[str, int]


def touched(*order: int) -> PressureScript:
    """Return a script that writes its region in order, then reads `order`, or all of it."""
    every = tuple(range(REGION))
    return PressureScript(
        LIMIT,
        60,
        (
            Line("P", Verb.MAP, "A", (REGION,)),
            Line("P", Verb.WRITE, "A", every),
            Line("P", Verb.READ, "A", order or every),
        ),
    )


def at_random(seed: int) -> PressureScript:
    """Return one that reads as many pages as there are, uniformly at random."""
    return touched(*np.random.default_rng(seed).integers(0, REGION, REGION).tolist())


def predict(script: PressureScript, pages: int, rotating: bool) -> list[Counts] | None:
    """Return what writing and reading counted, None if the process was killed."""
    told = count_timed(script, swap_pages=pages - 1, rotates=rotating)  # one is the header
    return told[1:] if len(told) == len(script.lines) else None


def ask_kernel(script: PressureScript) -> list[Counts] | None:
    """Return the same of the running kernel; swap is on."""
    touches = touch_really(script)
    return [one.counts for one in touches.told[1:]] if touches.killed is None else None


def _check(medium: Medium, cases: int, seed: int, ask: bool) -> Iterator[Case]:
    kinds: list[Callable[[], Iterator[Case]]] = [
        partial(_in_order, medium, ask),
        partial(_at_random, medium, ask, seed),
        *(partial(_full, medium, ask, pages) for pages in FULL),
    ]
    for kind in kinds[:cases]:
        yield from kind()


def _asked(
    medium: Medium, script: PressureScript, ask: bool, pages: int = PAGES
) -> tuple[list[Counts] | None, list[list[Counts] | None]]:
    """Return the prediction, and what the kernel said in each of a few runs."""
    if not ask:
        return predict(script, pages, rotating=True), []
    with swap_on(medium, pages) as device:
        answers = [ask_kernel(script) for _ in range(REPEATS)]
        rotating = rotates(device)
    return predict(script, pages, rotating), answers


def _in_order(medium: Medium, ask: bool) -> Iterator[Case]:
    mine, theirs = _asked(medium, touched(), ask)
    start = f"{REGION} pages, limit {LIMIT}"
    yield _case(f"{start}, written in order: in swap", mine, theirs, 0, "in_swap", WITHIN)
    name = (
        f"{start}, read in order: major faults, {REGION // CLUSTER} if {CLUSTER} are read at once"
    )
    yield _case(name, mine, theirs, 1, "major", (-FEWER, MORE))


def _at_random(medium: Medium, ask: bool, seed: int) -> Iterator[Case]:
    mine, theirs = _asked(medium, at_random(seed), ask)
    for name, key in (("major faults", "major"), ("pages in swap", "in_swap")):
        yield _case(f"{REGION} read at random: {name}", mine, theirs, 1, key, WITHIN)


def _full(medium: Medium, ask: bool, pages: int) -> Iterator[Case]:
    mine, theirs = _asked(medium, touched(), ask, pages)
    told = {True: "killed", False: "not killed"}
    found = {answer is None for answer in theirs}
    answer = " or ".join(told[one] for one in sorted(found))
    yield Case(f"{pages} pages of swap", told[mine is None], answer, found <= {mine is None})


def _case(
    name: str,
    mine: list[Counts] | None,
    theirs: Sequence[list[Counts] | None],
    line: int,
    key: str,
    band: float | tuple[int, int],
) -> Case:
    """Compare one count with all runs: by a share, or by so many fewer and more of them."""
    told = None if mine is None else mine[line][key]
    found = [None if answer is None else answer[line][key] for answer in theirs]
    held = all(
        told is not None and one is not None and _is_within(told, one, band) for one in found
    )
    return Case(name, _said([told]), _said(found), held, quiet=True)


def _is_within(told: int, counted: int, band: float | tuple[int, int]) -> bool:
    if isinstance(band, tuple):
        return band[0] <= counted - told <= band[1]
    return abs(told - counted) <= band * counted


def _said(counts: Sequence[int | None]) -> str:
    numbers = [str(count) for count in sorted({c for c in counts if c is not None})]
    words = [*numbers[:1], *numbers[1:][-1:], *(["killed"] if None in counts else [])]
    return " to ".join(words)


SWAP_FILE: Final = Claim(
    "swapfile",
    "half a limit too much, swap in a file: in swap, major faults, killed if swap is full",
    f"{WITHIN:.0%}; in order {FEWER} major faults fewer to {MORE} more",
    2 + len(FULL),
    partial(why_not, Medium.FILE),
    partial(_check, Medium.FILE),
)
SWAP_LOOP: Final = Claim(
    "swaploop",
    "the same with swap on a loop device",
    SWAP_FILE.band,
    SWAP_FILE.cases,
    partial(why_not, Medium.LOOP),
    partial(_check, Medium.LOOP),
)
