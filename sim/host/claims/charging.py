"""What a group is charged for, when its limit kills, and whom: scripts in a group of their own."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.host.claims.claim import Case, Claim
from sim.host.conditions import cannot_run
from sim.host.groups import no_group
from sim.host.kernel import KernelRunner
from sim.script.grammar import FIRST_PROCESS, Operation, Verb
from sim.script.group import predict_in_group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sim.host.kernel import InGroup
    from sim.script.record import GroupRun

TRIES: Final = 10
"""Runs until a figure that depends on the stock of a CPU must be as predicted.

The CPU is kept from others (`quiet.h`) where that is allowed; elsewhere they drain its stocks.
"""
PLENTY: Final = 1 << 20
"""A limit of 4 GiB, which nothing here meets."""
TOUCHED: Final = 1024
MIB: Final = 256
LIMITS: Final = (
    *(64 * MIB, 64 * MIB + 40, 16 * MIB + 40, 96 * MIB),
    *(4 * MIB * (2 + more) + more for more in range(16)),
)
"""20 limits in pages: 64 MiB among them, and some that no batch of 64 pages divides."""
SET_LIMIT: Final = 64 * MIB
SETS: Final = 50
APART_PAGES: Final = 40
FEW: Final = 64
"""Pages that are written at a time until somebody is killed."""
CHILDREN: Final = 40
SHAPES: Final = ((1, 0), (1, 1), (25, 1), (25, 25))
"""Areas of who forks, and how many of them are written."""
STORMS: Final = ((4096, 500, 64 * MIB), (2000, 0, 16 * MIB), (3000, 100, 16 * MIB + 40))
"""Pages of who forks, pages that each child writes, and the limit."""
MOST_CHILDREN: Final = 60
LATER: Final = 4
"""Operations that the kernel is given beyond the one at which a storm is predicted to end."""


def why_not() -> str:
    """Return why no script can be run in a group here, "" if one can."""
    return cannot_run() or no_group()


def mapping(pages: int, process: str = FIRST_PROCESS, region: str = "A") -> Operation:
    """Return `PROCESS map REGION PAGES`."""
    return Operation(process, Verb.MAP, region, end=pages)


def writing(first: int, end: int, process: str = FIRST_PROCESS, region: str = "A") -> Operation:
    """Return `PROCESS write REGION FIRST END`."""
    return Operation(process, Verb.WRITE, region, first, end)


def forking(child: str) -> Operation:
    """Return `P fork CHILD`."""
    return Operation(FIRST_PROCESS, Verb.FORK, child=child)


def run_until(
    script: Sequence[Operation], limit: int, as_predicted: Callable[[InGroup], bool]
) -> InGroup:
    """Run a script in a group of `limit` pages; return the first run as predicted, or the last."""
    kernel = KernelRunner()
    for _ in range(TRIES):
        found = kernel.run_in_group(script, limit)
        if as_predicted(found):
            break
    return found


def charges(run: InGroup | GroupRun) -> list[tuple[int | None, int]]:
    """Return usage and kernel memory after each operation, in pages."""
    return [
        (record.usage, kernel) for record, kernel in zip(run.records, run.kernel_pages, strict=True)
    ]


def _same_failcnt(mine: GroupRun, real: InGroup) -> bool:
    return mine.failcnt == real.failcnt


def _same_end(mine: GroupRun, real: InGroup) -> bool:
    return charges(mine)[-1] == charges(real)[-1]


# -- charging -------------------------------------------------------------------------------------


def page_by_page(pages: int) -> list[Operation]:
    """Return a script that touches so many pages, one an operation."""
    return [mapping(pages), *(writing(page, page + 1) for page in range(pages))]


def _usage(cases: int, _seed: int, ask: bool) -> Iterator[Case]:
    script = page_by_page(cases)
    mine = predict_in_group(script, PLENTY)
    name = f"usage, kernel memory after touching 0 to {cases} pages"
    if not ask:
        yield Case(name, _steps(charges(mine)))
        return
    real = run_until(script, PLENTY, lambda real: charges(real) == charges(mine))
    found = charges(real)
    yield Case(name, _steps(charges(mine)), _steps(found), found == charges(mine))


def _steps(found: list[tuple[int | None, int]]) -> str:
    """Return usage and kernel memory at the first page, at each change of the latter, and last."""
    told = [0, *(n for n, (a, b) in enumerate(pairwise(found), 1) if a[1] != b[1]), len(found) - 1]
    return ", ".join(f"{found[n][0]}, {found[n][1]} at {n}" for n in dict.fromkeys(told))


# -- the limit ------------------------------------------------------------------------------------


def over_the_limit(limit: int) -> list[Operation]:
    """Return a script that touches more than `limit` pages."""
    return [mapping(limit + 100), writing(0, limit + 100)]


def _kill(cases: int, _seed: int, ask: bool) -> Iterator[Case]:
    for limit in LIMITS[:cases]:
        script = over_the_limit(limit)
        mine = predict_in_group(script, limit)
        told = mine.records[1].minflt, mine.peak_pages, mine.failcnt
        name = f"limit of {limit} pages: killed at, peak, failcnt"
        if not ask:
            yield Case(name, _numbers(told))
            continue
        real = run_until(script, limit, partial(_same_failcnt, mine))
        found = real.touched[1], real.peak_pages, real.failcnt
        held = found == told and real.records[1].killed == (FIRST_PROCESS,)
        yield Case(name, _numbers(told), _numbers(found), held)


def _numbers(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


# -- the victim -----------------------------------------------------------------------------------


def processes(number: int) -> tuple[list[Operation], dict[str, int], GroupRun]:
    """Return a random set of 3 to 6 processes of which one goes on until somebody is killed.

    Their scores are at least `APART_PAGES` apart.
    """
    draw = np.random.default_rng(number)
    while True:
        names = [f"C{n}" for n in range(int(draw.integers(3, 7)))]
        limit = SET_LIMIT
        shares = draw.dirichlet(np.ones(len(names))) * (limit - 1500) * draw.uniform(0.4, 0.9)
        sizes = 20 + shares.astype(int)
        scores = {name: int(draw.integers(0, 1001)) for name in names}
        script = [forking(name) for name in names]
        for name, size in zip(names, sizes.tolist(), strict=True):
            script += [mapping(limit, name), writing(0, size, name)]
        last = str(draw.choice(names))
        script += [mapping(limit, last, "B")]
        script += [writing(page, page + FEW, last, "B") for page in range(0, limit, FEW)]
        mine = predict_in_group(script, limit, scores)
        ranked = sorted(mine.scores[0].values())
        if all(high - low >= APART_PAGES for low, high in pairwise(ranked)):
            return script, scores, mine


def first_killed(run: InGroup | GroupRun) -> tuple[str, ...]:
    """Return whom the first operation killed that killed anybody: one, or two small ones."""
    return next((record.killed for record in run.records if record.killed), ())


def _victim(cases: int, seed: int, ask: bool) -> Iterator[Case]:
    for number in range(seed, seed + cases):
        script, scores, mine = processes(number)
        told = " ".join(first_killed(mine))
        ranked = sorted(mine.scores[0].items(), key=lambda item: -item[1])
        name = f"set {number}: badness {', '.join(f'{who} {score}' for who, score in ranked)}"
        if not ask:
            yield Case(name, told)
            continue
        found = " ".join(first_killed(KernelRunner().run_in_group(script, SET_LIMIT, scores)))
        yield Case(name, told, found, found == told)


# -- forks ----------------------------------------------------------------------------------------


def children(more_areas: int, written: int) -> list[Operation]:
    """Return a script that forks `CHILDREN` of a process with so many areas."""
    labels = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:more_areas]
    return [
        *(mapping(4, region=label) for label in labels),
        *(writing(0, 1, region=label) for label in labels[:written]),
        *(forking(f"C{n}") for n in range(CHILDREN)),
    ]


def of_a_child(run: InGroup | GroupRun) -> float:
    """Return the kernel memory of one child, in pages."""
    return (run.kernel_pages[-1] - run.kernel_pages[-1 - CHILDREN]) / CHILDREN


def _children(cases: int, _seed: int, ask: bool) -> Iterator[Case]:
    for areas, written in SHAPES[:cases]:
        script = children(areas, written)
        mine = predict_in_group(script, PLENTY)
        name = f"kernel memory of a child, {areas} areas, {written} written, in pages"
        if not ask:
            yield Case(name, f"{of_a_child(mine):.3f}")
            continue
        real = run_until(script, PLENTY, partial(_same_end, mine))
        pairs = zip(charges(mine), charges(real), strict=True)
        held = all(abs(ours - theirs) <= 1 for (_, ours), (_, theirs) in pairs)
        yield Case(name, f"{of_a_child(mine):.3f}", f"{of_a_child(real):.3f}", held)


def storm(pages: int, written: int, children: int) -> list[Operation]:
    """Return a script of a process of `pages` whose children each write the first `written`."""
    script = [mapping(pages), writing(0, pages)]
    for number in range(children):
        script += [forking(f"C{number}")]
        if written:
            script += [writing(0, written, f"C{number}")]
    return script


def _storm(cases: int, _seed: int, ask: bool) -> Iterator[Case]:
    for pages, written, limit in STORMS[:cases]:
        script = storm(pages, written, MOST_CHILDREN)
        mine = predict_in_group(script, limit)
        at = _end(mine)
        name = f"parent of {pages} pages, children write {written}, limit {limit}: ends at"
        told = str(script[at])
        if not ask:
            yield Case(name, told)
            continue
        real = _end(KernelRunner().run_in_group(script[: at + 1 + LATER], limit))
        yield Case(name, told, str(script[real]), at == real)


def _end(run: InGroup | GroupRun) -> int:
    """Return the number of the operation at which somebody was killed first; the last if none."""
    killing = (at for at, record in enumerate(run.records) if record.killed)
    return next(killing, len(run.records) - 1)


USAGE: Final = Claim(
    "usage",
    "usage and kernel memory after touching page after page",
    "equal",
    TOUCHED,
    why_not,
    _usage,
)
KILL: Final = Claim(
    "kill",
    "the page at which a group without swap kills, the most it was charged for, and failcnt",
    "equal",
    len(LIMITS),
    why_not,
    _kill,
)
VICTIM: Final = Claim(
    "victim",
    "who of a random set is killed, oom_score_adj 0 to 1000, scores 40 pages apart or more",
    "equal",
    SETS,
    why_not,
    _victim,
)
KERNEL_MEMORY: Final = Claim(
    "children",
    f"kernel memory of {CHILDREN} forked children",
    "1 page of their sum",
    len(SHAPES),
    why_not,
    _children,
)
STORM: Final = Claim(
    "storm",
    "the child, and its fork or its write, at which a storm of forks ends in a kill",
    "equal",
    len(STORMS),
    why_not,
    _storm,
)
