"""Who takes memory in a group above `memory.high` sleeps as long as on Linux 6.12, page by page.

Recorded in a virtual machine of Linux 6.12.117 (HZ 250, version 2 of control groups, no swap): one
process of a group with `memory.high` of 32 MiB writes page after page, and after some writes it was
held up.  For how long, follows from the overage: so many jiffies, and up to two ticks.  Its mapping
began 92 pages below a boundary of 2 MiB.
"""

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from support.machines import flat_prices, machine

from sim.engine.build import EngineSpec, Simulation
from sim.engine.groups import GroupSpec
from sim.engine.verbs.process import Process
from sim.kernel.reclaim import high
from sim.kernel.reclaim.memcg import MAX_RECLAIM_RETRIES
from sim.machine.groups import move_process
from sim.machine.slab import objects_bytes

HIGH_PAGES = 32 * 256
TICK_NS = 4_000_000
PAGES = 8_600
BEFORE_BOUNDARY = 92
RECORDED = {
    8_237: (3, 15.6, 20.7),
    8_300: (8, 34.8, 40.0),
    8_364: (15, 62.9, 65.5),
    8_428: (24, 99.0, 99.2),
    8_492: (35, 142.9, 143.1),
    8_556: (47, 190.6, 198.4),
}
"""By page: jiffies of the formula, and the shortest and longest sleep that was measured, in ms."""
LATE_TICKS = 2


def held_up(
    high_pages: int = HIGH_PAGES, kernel: str = "6.12", pages: int = PAGES
) -> tuple[dict[int, int], Any]:
    """Return after which pages, from 1, a process is held up for how many ns; and its group.

    It joins the group when it has all it needs but those pages; two pages more stand for tables of
    upper levels, of which its mapping took two in the virtual machine.
    """
    found: dict[int, int] = {}
    host = machine(flat_prices(zero_fill=1000), memory_pages=24_000, cpus=1, hz=250, kernel=kernel)
    spec = EngineSpec(groups=(GroupSpec("pod", high_pages=high_pages),))
    simulation = Simulation(host, spec)

    def grows(process: Process) -> Generator[Any, Any, None]:
        row = process.task.row
        objects = objects_bytes(host.arrays, int(host.arrays.tasks[row].space))
        move_process(host.arrays, row, simulation.system.groups.rows["pod"], objects)
        region = yield from process.mmap((pages + 1024) * 4096)
        first = -(region.start_vpn + BEFORE_BOUNDARY) % 512
        yield from process.write(region, first=first - 2, pages=2)
        for page in range(pages):
            before_ns = process.now_ns
            yield from process.write(region, first=first + page, pages=1)
            if process.now_ns - before_ns >= TICK_NS:
                found[page + 1] = int(process.now_ns) - before_ns

    simulation.add("p", grows)
    document = simulation.run()
    return found, document["groups"]["pod"]


@pytest.mark.truth
def test_sleeps_come_at_the_pages_and_are_as_long_as_in_the_kernel() -> None:
    found, pod = held_up()
    assert list(found) == list(RECORDED)
    for page, (jiffies, shortest_ms, longest_ms) in RECORDED.items():
        assert jiffies * TICK_NS <= found[page] <= (jiffies + LATE_TICKS) * TICK_NS, page
        assert shortest_ms - found[page] / 1e6 <= TICK_NS / 1e6, page
        assert longest_ms <= (jiffies + LATE_TICKS) * TICK_NS / 1e6 + 2.5, page
    assert pod["high_sleeps"] == len(RECORDED)
    assert pod["high_slept_ns"] == pytest.approx(sum(found.values()), abs=len(found) * 1000)
    assert pod["events"]["max"] == pod["events"]["oom_kill"] == 0
    # one below the pages recorded was too short to sleep for
    assert pod["events"]["high"] == len(RECORDED) * (1 + MAX_RECLAIM_RETRIES) + 1


@pytest.mark.truth
def test_the_comparison_can_fail() -> None:
    """Negative control: a batch more of `memory.high`, and other pages come out."""
    found, _ = held_up(HIGH_PAGES + 64)
    assert not set(found) & {8_237}
    assert list(found) != list(RECORDED)


@pytest.mark.truth
def test_before_linux_5_4_nobody_sleeps_and_before_5_9_reclaim_is_tried_once() -> None:
    found, pod = held_up(kernel="4.19")
    assert found == {}
    assert pod["high_sleeps"] == 0
    found, pod = held_up(kernel="5.4")
    assert list(found) == list(RECORDED)
    assert pod["events"]["high"] == len(RECORDED) + 1


TABLE_MS = {
    101: 6, 102: 25, 103: 57, 104: 102, 105: 159, 106: 230, 107: 313, 108: 409, 109: 518, 110: 639,
    111: 774, 112: 921, 113: 1081, 114: 1254, 115: 1439, 116: 1638, 117: 1849, 118: 2000,
}  # fmt: skip
"""For 64 pages at a high of 100 MiB, by usage in MiB: a comment of `mm/memcontrol.c`."""


@pytest.mark.truth
@pytest.mark.parametrize("usage_mib", TABLE_MS)
def test_delays_are_those_of_the_kernels_own_table(usage_mib: int) -> None:
    overage = high.calculate_overage(usage_mib * 256, 100 * 256)
    assert high.calculate_high_delay(overage, 64, 1000) == pytest.approx(TABLE_MS[usage_mib], abs=1)


IN_GROUPS = Path(__file__).parent / "in_groups"


@pytest.mark.truth
@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
@pytest.mark.parametrize(
    ("group", "high_pages", "pages"), [("b", 4_136, 4_350), ("c", 16_384, 16_900)]
)
def test_other_limits_bring_the_sleeps_and_events_that_were_recorded(
    group: str, high_pages: int, pages: int, kernel: str
) -> None:
    """`in_groups/high.txt`, put three times to each: sleeps are as far apart, and as long."""
    text = (IN_GROUPS / f"high.expected-{kernel}").read_text(encoding="utf-8")
    found, pod = held_up(high_pages, kernel, pages)
    sleeps = re.findall(rf"^varies: slow {group.upper()} (.*)$", text, re.MULTILINE)
    assert len(sleeps) == 3
    for line in sleeps:
        measured = [tuple(map(int, sleep.split(":"))) for sleep in line.split()]
        at = [page for page, _ in measured]
        assert all(abs(ours - theirs) <= 3 for ours, theirs in zip(found, at, strict=True))
        for ours_ns, (_, theirs_us) in zip(found.values(), measured, strict=True):
            coarse = 0 if ours_ns < 63 * TICK_NS else 8  # where a long sleep ends, depends on boot
            assert abs(ours_ns / 1000 - theirs_us) <= (LATE_TICKS + coarse) * TICK_NS / 1000
    (events,) = re.findall(rf"^{group} memory.events high (\d+)$", text, re.MULTILINE)
    assert pod["events"]["high"] == int(events)
