"""malloc in threads: resident memory of a real process against that of a list of steps.

Each thread has an arena of its own, as long as there may be more; with `MALLOC_ARENA_MAX` they
share.  What threads hold differs by what the order of their calls decides, so figures are held
within a band, not to the page.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.base.units import PAGE_BYTES
from sim.host.claims.claim import Case, Claim
from sim.host.conditions import cannot_run
from sim.host.kernel import compiled_program

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE: Final = Path(__file__).with_name("programs") / "malloc_threads.c"
WITHIN: Final = 0.02
FEW_PAGES: Final = 16
"""What may be left over when all is freed, beside the band."""
THREADS: Final = 8
BEFORE, AFTER, END = "10 s", "20 s", "30 s"
SIZES: Final = {
    "large": (100, (100_000, 2000, 30_000)),
    "small": (400, (100, 5000, 60_000, 700)),
    "mapped": (20, (200_000, 50_000)),
}
"""Blocks that a thread takes, and their sizes in bytes, in turn."""


def _why_not() -> str:
    return cannot_run() or ""


def real(threads: int, sizes: str, arenas: int) -> list[float]:
    """Return by how many pages malloc's memory grew, at the fullest and in the end."""
    blocks, each = SIZES[sizes]
    program = compiled_program("malloc_threads", [SOURCE], "-pthread")
    command = [program, str(threads), str(blocks), *map(str, each)]
    environment = {**os.environ, "MALLOC_ARENA_MAX": str(arenas)} if arenas else None
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    before, *later = map(int, ran.stdout.split())
    return [(kib - before) * 1024 / PAGE_BYTES for kib in later]


def simulated(threads: int, sizes: str, arenas: int, cpus: int) -> list[float]:
    """Return the same of a list of steps; threads run side by side, in bursts."""
    blocks, each = SIZES[sizes]
    names = [f"b{number}" for number in range(blocks)]
    work: list[Any] = []
    for number, name in enumerate(names):
        work += [{"malloc": {"name": name, "size": f"{each[number % len(each)]} B"}}]
        work += [{"write": name}]
    work += [{"sleep_until": BEFORE}, *({"free": name} for name in names), {"sleep_until": END}]
    grown, base = (_resident(steps, threads, arenas, cpus) for steps in (work, [work[-1]]))
    return [with_work - without for with_work, without in zip(grown, base, strict=True)]


def _resident(steps: list[Any], threads: int, arenas: int, cpus: int) -> list[float]:
    from sim.engine.run import simulate
    from sim.scenario.resolve import resolve

    process = {
        "program": "steps",
        "malloc_arena_max": arenas,
        "steps": [{"thread": steps} for _ in range(threads)] + [{"sleep_until": AFTER}],
    }
    host = {"memory": "1 GiB", "cpus": cpus, "thp": "never"}
    scenario = {"version": 1, "host": host, "processes": {"p": process}}
    (p,) = simulate(resolve(scenario), seed=1).to_json()["processes"]
    assert p["ended"] == "exit 0", p["ended"]
    return [p["peak_rss_bytes"] / PAGE_BYTES, p["unique_bytes"] / PAGE_BYTES]


def _check(cases: int, _seed: int, ask: bool) -> Iterator[Case]:
    for sizes in list(SIZES)[:cases]:
        told = simulated(THREADS, sizes, 0, os.cpu_count() or 1)
        found = real(THREADS, sizes, 0) if ask else []
        bands = (0, FEW_PAGES)
        for at, (when, few) in enumerate(zip(("at the fullest", "in the end"), bands, strict=True)):
            name = f"{sizes} blocks: pages resident {when}"
            if not ask:
                yield Case(name, f"{told[at]:.0f}")
                continue
            held = abs(told[at] - found[at]) <= max(WITHIN * found[at], few)
            yield Case(name, f"{told[at]:.0f}", f"{found[at]:.0f}", held)


ARENAS: Final = Claim(
    "arenas",
    f"malloc in {THREADS} threads, an arena each: resident at the fullest, and when all is freed",
    f"{WITHIN:.0%}, or {FEW_PAGES} pages of what is left",
    len(SIZES),
    _why_not,
    _check,
)
