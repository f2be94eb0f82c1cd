"""What zram takes of memory: frames that are nobody's, as many as the pages that it has come to."""

from typing import Any

import pytest
from support.kernel import DONE, Kernel
from support.swapping import page_out

from sim.base.errors import KernelPanicError
from sim.engine.run import host_spec, simulate
from sim.machine.layout import F_DIRTY, KIND_ZRAM, ROOT, SWAP_IN_MEMORY
from sim.machine.pool import drain_all, reserve
from sim.scenario.resolve import resolve
from sim.script.pressure.grammar import Line, PressureScript, Verb
from sim.script.pressure.predict import touch_pages

BASE = 512 * 1000
THIRD = 1366
"""Bytes that a page takes where three fit into one."""


def kernel_with(pages: int, page_bytes: int = THIRD, **host: Any) -> tuple[Kernel, int]:
    """Return a machine and a process that has written so many pages."""
    settings: dict[str, Any] = {"memory_pages": 4000, "swap_pages": 300} | host
    kernel = Kernel(swap_kind=SWAP_IN_MEMORY, zram_page_bytes=page_bytes, **settings)
    row = kernel.process()
    kernel.mmap(row, pages, start=BASE)
    kernel.write(row, BASE, pages)
    return kernel, row


def held(kernel: Kernel) -> int:
    """Return how many frames zram has, after an audit."""
    kernel.machine.audit()
    return int(kernel.arrays.charged[ROOT, KIND_ZRAM])


def take_all_that_is_free(kernel: Kernel) -> int:
    """Let another process have what may be had, and return it."""
    other = kernel.process()
    kernel.mmap(other, int(kernel.arrays.pool[0].free), start=BASE)
    page = BASE
    while kernel.access(other, page, 1) == DONE:
        page += 1
    return other


def leave(kernel: Kernel, row: int, pages: int) -> list[int]:
    """Swap pages out, one after the other; return what zram has after each."""
    seen = []
    for vpn in range(BASE, BASE + pages):
        assert page_out(kernel.arrays, 0, kernel.pfn(row, vpn)) == 1
        seen.append(held(kernel))
    return seen


@pytest.mark.parametrize("page_bytes", [1, 100, THIRD, 2048, 4096])
def test_frames_follow_the_pages_that_are_out(page_bytes: int) -> None:
    kernel, row = kernel_with(100, page_bytes)
    used = int(kernel.arrays.pool[0].used)
    for n, frames in enumerate(leave(kernel, row, 100), 1):
        assert frames == -(-n * page_bytes // 4096)
    assert kernel.arrays.pool[0].used == used - 100 + held(kernel)
    for n in range(99, 39, -1):  # read back, its slot is free
        kernel.read(row, BASE + n, 1)
        assert held(kernel) == -(-n * page_bytes // 4096)
    kernel.munmap(row, BASE, 100)
    assert held(kernel) == 0


def test_a_page_is_there_once_whoever_shares_it() -> None:
    kernel, row = kernel_with(30, 2048)
    kernel.fork(row)
    assert leave(kernel, row, 30)[-1] == 15
    kernel.munmap(row, BASE, 30)
    assert held(kernel) == 15, "the child's entries refer to the slots"


def test_who_reclaims_takes_from_below_the_watermarks() -> None:
    kernel, row = kernel_with(100, percpu_batch_pages=0, min_free_pages=64)
    m = kernel.arrays
    take_all_that_is_free(kernel)
    assert m.pool[0].free == m.zones[0].min_pages == 64
    assert page_out(m, 0, kernel.pfn(row, BASE)) == 1
    assert (held(kernel), int(m.pool[0].free)) == (1, 64), "one was taken, another came free"


def test_without_a_frame_the_page_stays_and_nothing_is_lost() -> None:
    kernel, row = kernel_with(40, 4096, percpu_batch_pages=0)
    m = kernel.arrays
    other = take_all_that_is_free(kernel)
    assert kernel.free() == 0
    pfn = kernel.pfn(row, BASE)
    assert page_out(m, 0, pfn) == 0
    assert (held(kernel), int(m.pool[0].zram_stored)) == (0, 0)
    assert m.frames[pfn].bits & F_DIRTY != 0
    assert m.frames[pfn].slot != 0
    assert m.lruvecs[ROOT].pswpout == 1, "the kernel counts a write that fails, too"
    kernel.munmap(other, BASE, 100)
    assert page_out(m, 0, pfn) == 1
    assert held(kernel) == 1
    kernel.read(row, BASE, 1)
    assert held(kernel) == 0


def test_what_is_promised_to_a_fork_is_not_taken() -> None:
    kernel, row = kernel_with(40, 4096, queueing=True)
    m = kernel.arrays
    drain_all(m)
    other = kernel.process()
    drain_all(m)
    assert reserve(m, other, int(m.pool[0].free) - 1)
    assert page_out(m, 0, kernel.pfn(row, BASE)) == 1
    assert m.pool[0].free + 1 >= m.pool[0].reserved
    assert page_out(m, 0, kernel.pfn(row, BASE + 1)) == 1, "the frame of the first is free"
    kernel.machine.audit()


def test_a_frame_that_is_lost_is_noticed() -> None:
    """Negative control of the audit."""
    kernel, row = kernel_with(9, 2048)
    assert leave(kernel, row, 9)[-1] == 5
    kernel.arrays.pool[0].zram_stored -= 1
    with pytest.raises(KernelPanicError, match="what zram has taken"):
        kernel.machine.audit()


def test_a_group_is_charged_as_ever() -> None:
    """Pages, counts and kernel memory of a group do not depend on how well its pages compress."""
    every = tuple(range(400))
    lines = (
        Line("P", Verb.MAP, "A", (400,)),
        Line("P", Verb.WRITE, "A", every),
        Line("P", Verb.FORK, "C"),
        Line("C", Verb.READ, "A", every[::3]),
        Line("P", Verb.WRITE, "A", every[::-1]),
    )
    script = PressureScript(256, 60, lines)
    free, dear = (touch_pages(script, zram_page_bytes=size) for size in (0, 4096))
    assert [one.counts for one in free.told] == [one.counts for one in dear.told]
    for one, other in zip(free.told, dear.told, strict=True):
        assert all((one.maps[key] == other.maps[key]).all() for key in one.maps)


# -- runs ------------------------------------------------------------------------------------------


def scenario(**device: Any) -> dict[str, Any]:
    steps = [
        {"mmap": {"name": "A", "size": "40 MiB"}},
        {"write": "A"},
        {"write": {"region": "A", "pages": 3000, "pattern": {"uniform": 3000}}},
    ]
    swap = {"size": "64 MiB", "device": "zram"} | device
    return {
        "version": 1,
        "host": {"memory": "32 MiB", "kernel_reserve": "2 MiB", "cpus": 1, "swap": swap},
        "processes": {"p": {"program": "steps", "steps": steps}},
        "run": {"horizon": "30 s", "sample_every": "1 ms"},
    }


def test_it_is_a_part_of_the_memory_in_use() -> None:
    said = scenario(compression_ratio=3)
    document = simulate(resolve(said), seed=1, check=True).to_json()
    need, swap = document["metrics"]["memory_need_bytes"], document["swap"]
    assert sum(size for part, size in need.items() if part != "total") == need["total"]
    assert swap["zram_peak_bytes"] > 3 << 20
    assert swap["zram_peak_bytes"] == pytest.approx(swap["peak_bytes"] / 3, rel=0.01)
    assert max(document["series"]["zram_pages"]) * 4096 <= swap["zram_peak_bytes"]
    assert swap["zram_bytes"] == 0, "all is gone with its process"
    room = next(f["what"] for f in document["validity"] if f["code"] == "peak_is_room")
    assert "on the swap device, which took up to 6" in room


def test_the_ratio_decides_who_is_killed() -> None:
    kills = {
        ratio: len(simulate(resolve(scenario(compression_ratio=ratio)), seed=1).to_json()["kills"])
        for ratio in (1, 1.3, 2, 4)
    }
    assert kills == {1: 1, 1.3: 1, 2: 0, 4: 0}


def test_another_device_takes_nothing_and_tells_nothing() -> None:
    document = simulate(resolve(scenario(device="ssd")), seed=1).to_json()
    assert "zram" not in document["metrics"]["memory_need_bytes"]
    assert "zram_pages" not in document["series"]
    assert "zram_bytes" not in document["swap"]


def test_two_to_one_is_assumed() -> None:
    assert host_spec(resolve(scenario())).zram_page_bytes == 2048
    assert host_spec(resolve(scenario(compression_ratio=3))).zram_page_bytes == THIRD
    assert host_spec(resolve(scenario(device="ssd"))).zram_page_bytes == 0
