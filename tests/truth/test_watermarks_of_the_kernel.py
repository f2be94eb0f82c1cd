"""Watermarks and per-CPU lists by Linux's formulas, against what the running kernel has set up."""

from pathlib import Path

import pytest

from sim.machine.watermarks import percpu_batch, zone_watermarks

VM = Path("/proc/sys/vm")
ZONEINFO = Path("/proc/zoneinfo")
LOW_MEMORY = ("DMA", "DMA32", "Normal")

pytestmark = [pytest.mark.truth, pytest.mark.kernel]


def zones():
    """Return (name, numbers) of every zone that has pages; of lists kept per CPU, the first."""
    found = []
    for line in ZONEINFO.read_text().splitlines():
        words = line.replace(":", " ").split()
        if words[:1] == ["Node"]:
            found.append((words[words.index("zone") + 1], {}))
        elif found and len(words) == 2 and words[1].isdigit():
            found[-1][1].setdefault(words[0], int(words[1]))
    return [(name, numbers) for name, numbers in found if numbers.get("managed")]


@pytest.fixture
def here():
    """Return the zones of low memory."""
    return [(name, numbers) for name, numbers in zones() if name in LOW_MEMORY]


def setting(name):
    return int((VM / name).read_text())


def test_a_zones_watermarks_follow_from_min_free(here):
    managed = sum(numbers["managed"] for _, numbers in here)
    for name, numbers in here:
        marks = zone_watermarks(
            setting("min_free_kbytes") // 4,
            numbers["managed"],
            managed,
            setting("watermark_scale_factor"),
        )
        boost = numbers.get("boost", 0)  # for a while, after pages of other kinds were mixed
        shown = tuple(numbers[mark] - boost for mark in ("min", "low", "high"))
        assert (marks.min_pages, marks.low_pages, marks.high_pages) == shown, name


def test_a_list_takes_batches_of_the_zones_size(here):
    for name, numbers in here:
        assert percpu_batch(numbers["managed"]) == numbers["batch"], name
