"""Speed between bursts: each row beside SimPy's bare timeout of the same run, and how it grows.

    make bench

prints, for each case, the CPU time of a unit at the largest size, in us and in timeouts, and the
exponent by which the whole grows with n: 1 is linear.  Nothing is asserted about time.

Where Linux took part of that time, it says how much, and how the rest grows: a machine of 10,000
processes lies in 250 MB, and the first touch of memory costs what it costs, in a virtual machine
most of all.  With few processes it lies in memory that this program had touched before.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from math import log
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import scheduling as cases

from sim.policy.schedulers import SCHEDULERS

LINES: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def summary(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print what was found once all is measured."""
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n\n" + "\n".join(LINES))


def tell(what: str, unit_s: float, timeout_s: float, more: str = "") -> None:
    LINES.append(f"{what}: {unit_s * 1e6:.2f} us, {unit_s / timeout_s:.2f} bare timeouts{more}")


@pytest.mark.parametrize(
    ("what", "case", "few", "many"),
    [
        ("an operation (brk)", cases.breaks, 4_000, 40_000),
        ("an operation (write)", cases.writes, 4_000, 40_000),
        ("a switch on 4 CPUs", partial(cases.switches, cpus=4), 100_000, 1_000_000),
        ("a switch on 64 CPUs", partial(cases.switches, cpus=64), 100_000, 1_000_000),
        (
            "a switch on 4 CPUs, eevdf",
            partial(cases.switches, cpus=4, scheduler=SCHEDULERS["eevdf"]),
            100_000,
            1_000_000,
        ),
        (
            "a switch on 4 CPUs, a plug-in's policy",
            partial(cases.switches, cpus=4, scheduler=cases.FirstCome),
            4_000,
            40_000,
        ),
        (
            "a switch on 64 CPUs, a plug-in's policy",
            partial(cases.switches, cpus=64, scheduler=cases.FirstCome),
            4_000,
            40_000,
        ),
        ("a process of 100 ms on 4 CPUs", partial(cases.processes, cpus=4), 1_000, 10_000),
        (
            "a process of 100 ms on 4 CPUs, eevdf",
            partial(cases.processes, cpus=4, scheduler=SCHEDULERS["eevdf"]),
            1_000,
            10_000,
        ),
        ("a process of 100 ms on 64 CPUs", partial(cases.processes, cpus=64), 1_000, 10_000),
        ("fork, exec and exit", cases.forks, 1_000, 10_000),
        ("a killed worker of prefork_web replaced", cases.restarts, 1_000, 4_700),
        ("an area forked", cases.forked_areas, 1_000, 10_000),
        ("a nap on 1 CPU", partial(cases.naps, cpus=1), 2_000, 20_000),
        ("a nap on 4,096 CPUs", partial(cases.naps, cpus=4_096), 2_000, 20_000),
    ],
)
def test_between_bursts(
    what: str, case: Callable[[int], cases.Cost], few: int, many: int, benchmark: object
) -> None:
    """Measure a case at two sizes, and SimPy in between."""
    case(few)  # compiled code is loaded
    small = min(case(few) for _ in range(2))
    timeout_s = cases.bare_timeout_s()
    large = min(benchmark.pedantic(lambda: [case(many) for _ in range(2)], rounds=1))  # type: ignore[attr-defined]
    assert large.units > small.units
    wide = log(large.units / small.units)
    power = log(large.seconds / small.seconds) / wide
    more = f"; {large.units:,}; grows as n^{power:.2f}"
    if large.system_s > 0.05 * large.seconds:
        own = [cost.seconds - cost.system_s for cost in (large, small)]
        more += f", without Linux's {large.system_s:.2f} s as n^{log(own[0] / own[1]) / wide:.2f}"
    tell(what, large.seconds / large.units, timeout_s, more)


def test_an_operation_through_the_command_line(benchmark: object) -> None:
    """Measure what more operations of `heap_growth` cost a whole `cowpool run`.

    So many more that a start, which takes .1 s more or less each time, does not decide.
    """

    def run(cycles: int) -> tuple[float, int]:
        before_s = _children_s()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "sim", "run", "heap_growth", "--json"),
                *("--set", f"processes.growers.cycles={cycles}"),
                *("--set", "processes.growers.step=4 KiB"),
            ],
            capture_output=True,
            check=True,
        )
        return _children_s() - before_s, int(json.loads(done.stdout)["operations"])

    run(1)
    few_s, few = run(1)
    timeout_s = cases.bare_timeout_s()
    many_s, many = benchmark.pedantic(lambda: run(2_000), rounds=1)  # type: ignore[attr-defined]
    unit_s = (many_s - few_s) / (many - few)
    tell("an operation through the command line", unit_s, timeout_s, f"; {many:,}")


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
