"""What zram takes of memory as pages come to it and go, by its own `mm_stat`."""

from __future__ import annotations

import fcntl
import os
import random
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.base.units import PAGE_BYTES, pages_for
from sim.host.claims.claim import Case, Claim
from sim.host.pressure.swap import Medium, device_for, no_zram
from sim.machine.spec import zram_page_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES: Final = 8192
RANDOM_BYTES: Final = (PAGE_BYTES, 3072, 2048, 1024, 512)
"""How much of a page is random; the rest is one byte, which compresses to next to nothing."""
QUARTERS: Final = 4
WITHIN: Final = 0.01
BESIDES: Final = 8
"""Pages: zsmalloc takes a few at once for objects of one size."""
WASTE: Final = 0.05
"""How much more than what pages compress to is taken, at most: objects of a size fill no page."""
_BLKDISCARD: Final = 0x1277


def frames_for(pages: int, ratio: float) -> int:
    """Return how many frames so many pages take, by the rule of `sim.machine.zram`."""
    return pages_for(pages * zram_page_bytes(ratio))


class _Device:
    """A zram device, not used for swap; what it says of itself in pages."""

    def __init__(self, name: str) -> None:
        self._block = Path("/sys/block", Path(name).name)
        self._open = os.open(name, os.O_RDWR)

    def close(self) -> None:
        os.close(self._open)

    def write(self, first: int, pages: int, random_bytes: int, luck: random.Random) -> None:
        rest = b"x" * (PAGE_BYTES - random_bytes)
        for page in range(first, first + pages):
            os.pwrite(self._open, luck.randbytes(random_bytes) + rest, page * PAGE_BYTES)
        os.fsync(self._open)

    def give_up(self, page: int) -> None:
        where = struct.pack("QQ", page * PAGE_BYTES, PAGE_BYTES)
        fcntl.ioctl(self._open, _BLKDISCARD, where)

    def compact(self) -> None:
        (self._block / "compact").write_text("1")

    def taken(self) -> tuple[int, int]:
        """Return what pages compress to, and the memory that is taken, in pages."""
        _, compressed, used, *_ = (self._block / "mm_stat").read_text().split()
        return pages_for(int(compressed)), pages_for(int(used))


def _check(cases: int, seed: int, ask: bool) -> Iterator[Case]:
    for random_bytes in RANDOM_BYTES[:cases]:
        yield from _asked(random_bytes, seed) if ask else _predicted(random_bytes)


def _predicted(random_bytes: int) -> Iterator[Case]:
    ratio = PAGE_BYTES / random_bytes
    name = f"{PAGES} pages that become {ratio:.2f} times smaller"
    yield Case(f"{name}: frames", str(frames_for(PAGES, ratio)))
    yield Case(f"{name}: half of them given up", str(frames_for(PAGES // 2, ratio)))


def _asked(random_bytes: int, seed: int) -> Iterator[Case]:
    """Fill a device by quarters, then give up half of its pages; its ratio is DATA by TOTAL."""
    luck = random.Random(seed)
    with device_for(Medium.ZRAM, PAGES) as name:
        device = _Device(name)
        try:
            found = []
            for quarter in range(QUARTERS):
                each = PAGES // QUARTERS
                device.write(quarter * each, each, random_bytes, luck)
                found.append(device.taken())
            for page in luck.sample(range(PAGES), PAGES // 2):
                device.give_up(page)
            given_up = device.taken()[1]
            device.compact()
            compacted = device.taken()[1]
        finally:
            device.close()
    compressed, used = found[-1]
    ratio = PAGES / used
    start = f"{PAGES} pages that become {PAGES / compressed:.2f} times smaller"
    held = compressed <= used <= compressed * (1 + WASTE) + BESIDES
    yield Case(f"{start}: frames, by what they compress to", str(compressed), str(used), held)
    for quarter, (_, frames) in enumerate(found[:-1], 1):
        told = frames_for(PAGES * quarter // QUARTERS, ratio)
        yield _near(f"{start}: after {quarter} of {QUARTERS} parts", told, frames)
    half = frames_for(PAGES // 2, ratio)
    yield _near(f"{start}: half of them given up, compacted", half, compacted)
    held = half - BESIDES <= given_up <= used
    yield Case(f"{start}: not compacted", f"{half} to {used}", str(given_up), held)


def _near(name: str, told: int, frames: int) -> Case:
    return Case(name, str(told), str(frames), abs(told - frames) <= WITHIN * told + BESIDES)


ZRAM: Final = Claim(
    "zram",
    "what pages on zram take of memory as they come and go, by DATA and TOTAL of zramctl",
    f"{WITHIN:.0%} and {BESIDES} frames; {WASTE:.0%} more than they compress to",
    len(RANDOM_BYTES),
    no_zram,
    _check,
)
