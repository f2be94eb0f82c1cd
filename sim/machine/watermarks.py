"""Linux's arithmetic for watermarks, per-CPU lists and reserves: plain integers, no state.

Read in Linux 6.12.117, `mm/page_alloc.c`, `mm/khugepaged.c` and `mm/mmap.c`.  Everything counts
pages of 4 KiB unless its name says bytes or kB.  *Managed* pages are those the allocator owns:
the machine's memory less what the kernel keeps for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE_KB: Final = 4
PAGEBLOCK_PAGES: Final = 512
"""Pages in a page block, 2 MiB: the unit that khugepaged wants free."""
ADMIN_RESERVE_PAGES: Final = 2048
USER_RESERVE_PAGES: Final = 32_768
LOWMEM_RESERVE_RATIO: Final = 256
"""Of zones DMA and DMA32, behind which others may lie (``vm.lowmem_reserve_ratio``)."""
MIN_FREE_KB_LOWEST: Final = 128
MIN_FREE_KB_HIGHEST: Final = 262_144
DMA32_END_PAGES: Final = 1 << 20
"""First page above 4 GiB, where x86-64's zone Normal begins."""


@dataclass(frozen=True, slots=True)
class Watermarks:
    """Free pages at which a zone is short (`min`), wakes kswapd (`low`), and is well (`high`)."""

    min_pages: int
    low_pages: int
    high_pages: int


def x86_zones(memory_pages: int) -> int:
    """Return how many zones an x86-64 machine of this size has: DMA, DMA32 and maybe Normal."""
    return 3 if memory_pages > DMA32_END_PAGES else 2


def min_free_kb(managed_pages: int) -> int:
    """Return the default of ``vm.min_free_kbytes``, from the square root of memory.

    >>> min_free_kb(16 * 2**30 // 4096)
    16384
    """
    if managed_pages < 1:
        raise ValueError(f"managed_pages must be >= 1, got {managed_pages}")
    root = isqrt(managed_pages * PAGE_KB * 16)
    return min(max(root, MIN_FREE_KB_LOWEST), MIN_FREE_KB_HIGHEST)


def khugepaged_min_free_kb(managed_pages: int, zones: int) -> int:
    """Return what khugepaged raises ``vm.min_free_kbytes`` to where huge pages are on.

    Two page blocks a zone and three for each of three migration types squared, at most 5 % of
    memory.  It never lowers the value: the caller takes the larger.

    >>> khugepaged_min_free_kb(2**24, zones=3), khugepaged_min_free_kb(2**20, zones=2)
    (67584, 45056)
    """
    if zones < 1:
        raise ValueError(f"zones must be >= 1, got {zones}")
    wanted = PAGEBLOCK_PAGES * zones * (2 + 3 * 3)
    return min(wanted, managed_pages // 20) * PAGE_KB


def default_min_free_kb(managed_pages: int, *, zones: int, huge_pages: bool) -> int:
    """Return ``vm.min_free_kbytes`` as a machine shows it after booting."""
    root = min_free_kb(managed_pages)
    if not huge_pages:
        return root
    return max(root, khugepaged_min_free_kb(managed_pages, zones))


def zone_watermarks(
    min_free_pages: int, zone_pages: int, managed_pages: int, scale_factor: int = 10
) -> Watermarks:
    """Return the watermarks of a zone of `zone_pages` on a machine of `managed_pages`.

    The zone's min is its share of `min_free_pages`.  `scale_factor` is
    ``vm.watermark_scale_factor``, in units of 0.01 % of the zone.

    Raises `ValueError` where the zone is larger than the machine.
    """
    if not 0 <= zone_pages <= managed_pages or managed_pages < 1:
        raise ValueError(f"a zone of {zone_pages} pages on a machine of {managed_pages}")
    if min_free_pages < 0 or scale_factor < 0:
        raise ValueError(f"negative: min_free {min_free_pages}, scale factor {scale_factor}")
    minimum = min_free_pages * zone_pages // managed_pages
    gap = max(minimum // 4, zone_pages * scale_factor // 10_000)
    return Watermarks(minimum, minimum + gap, minimum + 2 * gap)


def percpu_batch(zone_pages: int) -> int:
    """Return how many pages a per-CPU list takes from its zone at once, 2**n - 1, at least 1.

    >>> percpu_batch(2**30 // 4096)
    63
    """
    quarter = max(1, min(zone_pages >> 10, 256) // 4)
    grown = quarter + quarter // 2
    return max(1, (1 << (grown.bit_length() - 1)) - 1)


def percpu_high(low_pages: int, cpus: int, batch: int) -> int:
    """Return how many pages a per-CPU list may hold before it gives a batch back."""
    if cpus < 1:
        raise ValueError(f"cpus must be >= 1, got {cpus}")
    return max(low_pages // cpus, 4 * batch)


def total_reserve_pages(zones: Sequence[tuple[int, int]]) -> int:
    """Return ``totalreserve_pages``: what no promise counts on, of zones in order of address.

    `zones` are managed pages and high watermark of each.  A zone keeps the latter, and from
    requests that a later one could serve 1/256 of those (`lowmem_reserve`); never more than it has.

    >>> total_reserve_pages([(262_144, 1000), (1_048_576, 4000)])
    9096
    """
    later = sum(managed for managed, _ in zones)
    reserve = 0
    for managed, high in zones:
        later -= managed
        reserve += min(managed, high + later // LOWMEM_RESERVE_RATIO)
    return reserve


def commit_reserves(free_pages: int) -> tuple[int, int]:
    """Return what overcommit mode 2 keeps back for root and for a user's recovery, in pages.

    ``vm.admin_reserve_kbytes`` and ``vm.user_reserve_kbytes`` as a machine with `free_pages` free
    at boot sets them: 1/32 of those, at most 8 MiB and 128 MiB.

    >>> commit_reserves(2**22)
    (2048, 32768)
    """
    share = free_pages // 32
    return min(share, ADMIN_RESERVE_PAGES), min(share, USER_RESERVE_PAGES)
