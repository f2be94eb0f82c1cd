"""Speed: faults a second on this host, beside the simplest simulator of the same faults.

    make bench

prints pytest-benchmark's table and, at the end, faults a second and the ratio to the simplest
version, pair by pair, with the spread of its repeats.  Nothing is asserted about time: machines
differ.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cases
from simplest import run_simplest

from sim.base.units import GIB

ROUNDS = 5
SIMPLEST_PAGES = 200_000
LINES: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def summary(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print what was found once all is measured."""
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n\n" + "\n".join(LINES))


def spread(values: list[float], form: str) -> str:
    """Return median and range."""
    low, middle, high = (form.format(v) for v in (min(values), median(values), max(values)))
    return f"{middle} ({low} to {high}, {len(values)} rounds)"


def simplest_per_second(forked: bool) -> float:
    """Return faults a second of the simplest version."""
    order: Any = range(SIMPLEST_PAGES)
    if forked:
        order = np.random.default_rng(1).permutation(SIMPLEST_PAGES).tolist()
    started = perf_counter()
    faults = run_simplest(SIMPLEST_PAGES, order, forked=forked)
    return faults / (perf_counter() - started)


@pytest.mark.parametrize(
    ("case", "simplest_forked"),
    [
        (cases.zero_fill, False),
        (cases.random_copies, True),
        (cases.two_fill, False),
        (cases.two_of_a_family, True),
    ],
)
def test_faults_a_second(
    case: Callable[..., cases.Timed], simplest_forked: bool, benchmark: Any
) -> None:
    """Measure a case and the simplest version in turn, so that drifts of the host cancel out."""
    case(cases.system_of(12 * GIB, 2))  # compiled code is loaded, memory is warm
    rates: list[float] = []
    ratios: list[float] = []

    def once(system: Any) -> None:
        timed = case(system)
        rates.append(timed.per_second)
        ratios.append(timed.per_second / simplest_per_second(simplest_forked))

    benchmark.pedantic(
        once, setup=lambda: ((cases.system_of(12 * GIB, 2),), {}), rounds=ROUNDS, iterations=1
    )
    benchmark.extra_info["faults_per_second"] = rates
    benchmark.extra_info["ratio_to_simplest"] = ratios
    LINES.append(
        f"{case.__name__}: {spread([rate / 1e6 for rate in rates], '{:.1f}')} million faults/s;"
        f" {spread(ratios, '{:.0f}')} times the simplest version"
    )


@pytest.mark.parametrize(
    ("case", "what"),
    [(cases.fork_4_gib, "fork of 4 GiB"), (cases.paced, "3 million paced writes over 60 s")],
)
def test_whole_operations(case: Callable[..., cases.Timed], what: str, benchmark: Any) -> None:
    """Measure operations that have no counterpart in the simplest version."""
    case(cases.system_of(12 * GIB, 2))
    seconds: list[float] = []
    benchmark.pedantic(
        lambda system: seconds.append(case(system).seconds),
        setup=lambda: ((cases.system_of(12 * GIB, 2),), {}),
        rounds=3,
        iterations=1,
    )
    LINES.append(f"{what}: {spread([1000 * s for s in seconds], '{:.0f}')} ms")


@pytest.mark.parametrize(
    ("case", "machine", "what"),
    [
        (cases.at_the_watermark, (4 * GIB, 2), "faults at the watermark, memory full of files"),
        (cases.fill_with_swap, (2 * GIB, 2, None, "zram"), "faults at the watermark, with zram"),
        (cases.fill_with_swap, (2 * GIB, 2, None, "ssd"), "faults at the watermark, with an SSD"),
        (cases.swapping, (16 * GIB, 2, None, "ssd"), "20 GiB filled on 16 GiB with an SSD"),
        (cases.streaming, (8 * GIB, 2, 4 * GIB), "64 GiB of files streamed in a group of 4 GiB"),
    ],
)
def test_under_pressure(
    case: Callable[..., cases.Timed], machine: tuple[Any, ...], what: str, benchmark: Any
) -> None:
    """Measure what needs memory that has to be reclaimed first, in CPU time."""
    case(cases.system_of(*machine))
    found: list[cases.Timed] = []
    benchmark.pedantic(
        lambda system: found.append(case(system)),
        setup=lambda: ((cases.system_of(*machine),), {}),
        rounds=3,
        iterations=1,
    )
    rates = spread([timed.per_second / 1e6 for timed in found], "{:.2f}")
    seconds = spread([timed.seconds for timed in found], "{:.2f}")
    LINES.append(f"{what}: {rates} million pages/s, {seconds} s")


def test_a_large_process(benchmark: Any) -> None:
    """Fill 64 GiB, fork, write a tenth: time and peak memory, in a process of its own."""
    code = "import cases, resource; t = cases.big_fork(cases.system_of(80 * cases.GIB, 2)); "
    code += "print(t.seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    found: list[tuple[float, float]] = []

    def once() -> None:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
        )
        seconds, peak_kib = map(float, done.stdout.split())
        found.append((seconds, peak_kib))

    benchmark.pedantic(once, rounds=1, iterations=1)
    seconds, peak_kib = found[0]
    peak_gib = peak_kib / 2**20
    LINES.append(f"64 GiB filled, forked, a tenth written: {seconds:.1f} s, {peak_gib:.2f} GiB")
    assert peak_gib <= 3.0
