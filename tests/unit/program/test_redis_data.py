"""Where the data of a Redis server comes to lie, extent after extent."""

import numpy as np
import pytest

from sim.base.units import GIB, MIB, PAGE_BYTES
from sim.engine.run import simulate
from sim.program.api import Region
from sim.program.shipped.redis_data import extents, load
from sim.scenario.resolve import resolve


@pytest.mark.parametrize("pages", [1, 511, 512, 513, 10_000, 4_194_304])
def test_extents_hold_the_data_and_little_more(pages):
    sizes = extents(pages)
    assert 0 <= sum(sizes) - pages < 512
    assert all(size % 512 == 0 for size in sizes)
    assert max(sizes) <= max(512, sum(sizes) / 4)


def test_extents_grow_as_jemalloc_grows_them():
    """Its classes are 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 10, 12, 14, 16 MiB."""
    sizes = [size * PAGE_BYTES // MIB for size in extents(GIB // PAGE_BYTES)]
    assert sizes[:13] == [2, 4, 4, 4, 4, 6, 6, 8, 8, 10, 12, 14, 16]


class Mapped:
    """Maps where it is told to, and keeps what is written."""

    def __init__(self, starts):
        self.starts = list(starts)
        self.written = []

    def mmap(self, size_bytes):
        return Region(self.starts.pop(0), size_bytes // PAGE_BYTES)
        yield

    def write(self, region, *, pages):
        self.written += range(region.start_vpn, region.start_vpn + pages)
        return pages
        yield


def loaded(starts, pages):
    task = Mapped(starts)
    run = load(task, pages)
    try:
        next(run)
    except StopIteration as stop:
        return task, stop.value
    raise AssertionError("nothing to wait for")


@pytest.mark.parametrize("starts", [[9728, 8704], [9728, 5000], [100, 9728]])
def test_every_page_has_one_place_wherever_the_extents_lie(starts):
    """One below the other without a hole, with one, one above the other."""
    task, data = loaded(starts, 1300)
    numbers = np.arange(1300)
    places = data.region.start_vpn + data.place(numbers)
    assert places.tolist() == sorted(task.written)
    in_stretches = [
        data.region.start_vpn + page
        for first, pages in data.stretches(0, 1300)
        for page in range(first, first + pages)
    ]
    assert in_stretches == places.tolist()
    assert [sum(n for _, n in data.stretches(first, 200)) for first in (0, 200, 1100)] == [200] * 3


@pytest.mark.parametrize("kernel", ["5.15", "6.8", "6.12", "6.18"])
def test_the_extents_of_a_server_are_one_area(kernel):
    """Fork copies three: its program, its data and its stack."""
    host = {"memory": "256 MiB", "cpus": 2, "kernel": kernel}
    redis = {"program": "redis", "dataset": "50 MiB", "save_every": "1 ms", "writes": "0/s"}
    scenario = {"version": 1, "host": host, "processes": {"redis": redis}}
    document = simulate(resolve(scenario), seed=1).to_json()
    assert document["work"]["fork_area"]["units"] == 3


def server(memory, **keys):
    redis = {"program": "redis", "dataset": "96 MiB", "save_every": "1 ms", "writes": "0/s", **keys}
    host = {"memory": memory, "cpus": 2, "kernel_reserve": 0, "min_free": 0}
    scenario = {"version": 1, "host": host, "processes": {"redis": redis}}
    return simulate(resolve(scenario), seed=1).to_json()


def test_more_data_than_memory_is_killed_near_the_limit():
    """Data comes piece by piece: no single request is refused."""
    document = server("96 MiB", fragmentation=1.2)
    (redis,) = document["processes"]
    assert redis["ended"] == "oom-killed"
    assert redis["peak_rss_bytes"] > 0.98 * 96 * MIB
    assert document["metrics"]["oom_kills"] == 1


@pytest.mark.parametrize("version", ["6.0", "6.2", "valkey 8.0"])
def test_from_6_2_on_there_are_no_huge_pages(version):
    redis = {"program": "redis", "dataset": "50 MiB", "version": version, "save_every": "1 ms"}
    host = {"memory": "256 MiB", "cpus": 2, "thp": "always"}
    scenario = {"version": 1, "host": host, "processes": {"redis": redis}}
    work = simulate(resolve(scenario), seed=1).to_json()["work"]
    assert ("huge_zero_fill" in work) == (version == "6.0")
