"""malloc in threads: resident memory of a real process against that of a list of steps.

Each thread has an arena of its own, as long as there may be more; with `MALLOC_ARENA_MAX` they
share.  What threads hold differs by what the order of their calls decides, so figures are held to
2 %, not to the page.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sim.base.units import PAGE_BYTES
from sim.engine.run import simulate
from sim.host.kernel import compiled_program
from sim.scenario.resolve import resolve

SOURCE = Path(__file__).with_name("malloc_threads.c")
WITHIN = 0.02
BEFORE, AFTER, END = "10 s", "20 s", "30 s"

CASES = {
    "large": (100, (100_000, 2000, 30_000)),
    "small": (400, (100, 5000, 60_000, 700)),
    "mapped": (20, (200_000, 50_000)),
}


def real(threads: int, case: str, arenas: int) -> list[float]:
    """Return by how many pages malloc's memory grew, at the fullest and in the end."""
    blocks, sizes = CASES[case]
    program = compiled_program("malloc_threads", [SOURCE], "-pthread")
    command = [program, str(threads), str(blocks), *map(str, sizes)]
    environment = {**os.environ, "MALLOC_ARENA_MAX": str(arenas)} if arenas else None
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    before, *later = map(int, ran.stdout.split())
    return [(kib - before) * 1024 / PAGE_BYTES for kib in later]


def simulated(threads: int, case: str, arenas: int, cpus: int) -> list[float]:
    """Return the same of a list of steps; threads run side by side, in bursts."""
    blocks, sizes = CASES[case]
    names = [f"b{number}" for number in range(blocks)]
    work: list[Any] = []
    for number, name in enumerate(names):
        work += [{"malloc": {"name": name, "size": f"{sizes[number % len(sizes)]} B"}}]
        work += [{"write": name}]
    work += [{"sleep_until": BEFORE}, *({"free": name} for name in names), {"sleep_until": END}]
    grown, base = (resident(steps, threads, arenas, cpus) for steps in (work, [work[-1]]))
    return [with_work - without for with_work, without in zip(grown, base, strict=True)]


def resident(steps: list[Any], threads: int, arenas: int, cpus: int) -> list[float]:
    process = {
        "program": "steps",
        "malloc_arena_max": arenas,
        "steps": [{"thread": steps} for _ in range(threads)] + [{"sleep_until": AFTER}],
    }
    host = {"memory": "1 GiB", "cpus": cpus, "thp": "never"}
    document = simulate(
        resolve({"version": 1, "host": host, "processes": {"p": process}}), seed=1
    ).to_json()
    (p,) = document["processes"]
    assert p["ended"] == "exit 0"
    return [p["peak_rss_bytes"] / PAGE_BYTES, p["unique_bytes"] / PAGE_BYTES]


@pytest.mark.kernel
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("threads", "arenas"), [(8, 0), (8, 1), (8, 2), (3, 0)])
def test_threads_hold_what_they_hold_with_glibc(threads: int, arenas: int, case: str) -> None:
    cpus = os.cpu_count() or 1
    assert simulated(threads, case, arenas, cpus)[0] == pytest.approx(
        real(threads, case, arenas)[0], rel=WITHIN
    )


@pytest.mark.kernel
@pytest.mark.parametrize("case", CASES)
def test_arenas_of_their_own_keep_what_they_keep_with_glibc(case: str) -> None:
    cpus = os.cpu_count() or 1
    found, expected = simulated(8, case, 0, cpus)[1], real(8, case, 0)[1]
    assert found == pytest.approx(expected, rel=WITHIN, abs=16)


@pytest.mark.kernel
def test_one_arena_for_all_would_be_noticed() -> None:
    """Negative control: what it keeps when all is freed is not what eight keep."""
    one, eight = simulated(8, "mapped", 1, 2)[1], real(8, "mapped", 0)[1]
    assert one != pytest.approx(eight, rel=WITHIN, abs=16)
