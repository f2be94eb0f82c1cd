"""Whose pages of files stay where one of two groups is protected: as Linux 6.1 and 6.12 have it.

Recorded in virtual machines (`tests/truth/in_groups`, `protection*.txt`): two groups in one of
64 MiB; a process of the first reads 9,000 pages of a file, one of the second twice all of another.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.machines import flat_prices, machine

from sim.engine.build import EngineSpec, Simulation
from sim.engine.groups import GroupSpec
from sim.machine.layout import KIND_FILE

if TYPE_CHECKING:
    from collections.abc import Generator

    from sim.engine.verbs.process import Process

RECORDED = Path(__file__).parent / "in_groups"
LIMIT_PAGES = 64 * 256
PAGES = 12_288
FIRST = 9_000
MOST_OFF = 0.005
"""Of the limit: how far residents may be from the kernel's where groups are scanned in part."""


def predicted(kernel: str, **protected: int) -> list[int]:
    """Return pages of each file that are resident: the first's, both after each reading."""
    host = machine(
        flat_prices(cache_fill=200, reclaim_page=100), memory_pages=393_216, cpus=1, kernel=kernel
    )
    groups = (
        GroupSpec("p", None, LIMIT_PAGES),
        GroupSpec("x", "p", **protected),
        GroupSpec("y", "p"),
    )
    simulation = Simulation(host, EngineSpec(groups=groups))
    found: list[int] = []

    def look(*names: str) -> None:
        rows = simulation.system.groups.rows
        found.extend(int(host.arrays.charged[rows[name], KIND_FILE]) for name in names)

    def first(process: Process) -> Generator[Any, Any, None]:
        yield from process.pread("a", FIRST)
        look("x")
        yield from process.sleep(20_000_000_000)

    def second(process: Process) -> Generator[Any, Any, None]:
        yield from process.sleep(3_000_000_000)
        for _ in range(2):
            yield from process.pread("b", PAGES)
            look("x", "y")

    simulation.add("first", first, group="x")
    simulation.add("second", second, group="y")
    simulation.run()
    return found


def recorded(name: str, kernel: str) -> list[int]:
    text = (RECORDED / f"{name}.expected-{kernel}").read_text(encoding="utf-8")
    return [int(pages) for pages in re.findall(r"^resident \S+ (\d+) of", text, re.MULTILINE)]


@pytest.mark.truth
@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
@pytest.mark.parametrize(
    ("name", "key"), [("protection", "low_pages"), ("protection_min", "min_pages")]
)
def test_who_is_protected_keeps_all_and_the_other_about_as_many_pages_as_on_linux(
    name: str, key: str, kernel: str
) -> None:
    """The processes are born in their groups here, so what these hold beside files is more.

    `test_groups_in_guests` has them join as they do there: the pages are the same then.
    """
    found, wanted = predicted(kernel, **{key: 10_240}), recorded(name, kernel)
    assert [found[at] for at in (0, 1, 3)] == [wanted[at] for at in (0, 1, 3)] == [FIRST] * 3
    assert found == pytest.approx(wanted, abs=MOST_OFF * LIMIT_PAGES)


@pytest.mark.truth
@pytest.mark.parametrize(("name", "low"), [("protection_part", 4_096), ("protection_none", 0)])
def test_who_is_protected_in_part_keeps_about_as_many(name: str, low: int) -> None:
    found, wanted = predicted("6.1", low_pages=low), recorded(name, "6.1")
    assert found == pytest.approx(wanted, abs=MOST_OFF * LIMIT_PAGES)


@pytest.mark.truth
def test_the_comparison_can_fail() -> None:
    """Negative control: protection in part is far from none, and none from all."""
    part, none = (recorded(f"protection_{name}", "6.1") for name in ("part", "none"))
    assert part != pytest.approx(none, abs=MOST_OFF * LIMIT_PAGES)
    assert predicted("6.1") != recorded("protection", "6.1")
