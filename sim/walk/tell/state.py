"""What memory looks like at one moment: areas, page tables, frames and the free pool.

Everything here is read from the arrays of a machine.  Addresses are pages; frames are numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.kernel.fault.pmd import huge_entry
from sim.kernel.fork.shared_tables import is_shared_table
from sim.machine.areas import find_area
from sim.machine.cached import find_page
from sim.machine.layout import (
    A_DONTFORK,
    A_GROWSDOWN,
    A_HUGEPAGE,
    A_LOCKED,
    A_READ,
    A_SHARED,
    A_WIPEONFORK,
    A_WRITE,
    F_ANON,
    F_EXCLUSIVE,
    F_FILE,
    F_HUGETLB,
    F_RESERVED,
    F_STACK,
    F_TABLE,
    HUGE_PAGES,
    KIND_ANON,
    KIND_FILE,
    KIND_HUGETLB,
    KIND_SHMEM,
    NONE,
    PFN_SHIFT,
    PMD_READONLY,
    PTE_BLANK,
    PTE_DIRTY,
    PTE_HUGE,
    PTE_PRESENT,
    PTE_WRITE,
    PTE_ZERO,
    TABLE_ENTRIES,
    TABLE_MASK,
    TABLE_SHIFT,
    Arrays,
)
from sim.machine.tables import find_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.script.run import Scripted

FREE, KERNEL, STACK, TABLE, DATA, CACHE = "free", "kernel", "stack", "table", "data", "cache"
HUGETLB: Final = "hugetlb"
"""What a frame is used for: `kernel` is the zero page, `stack` a kernel stack.

`hugetlb` is the pool of huge pages.
"""
_USES: Final = (
    (F_RESERVED, KERNEL), (F_STACK, STACK), (F_TABLE, TABLE), (F_ANON, DATA), (F_FILE, CACHE),
    (F_HUGETLB, HUGETLB),
)  # fmt: skip
_FLAGS: Final = (
    (A_DONTFORK, "dontfork"), (A_WIPEONFORK, "wipeonfork"), (A_HUGEPAGE, "hugepage"),
    (A_LOCKED, "locked"), (A_GROWSDOWN, "grows down"),
)  # fmt: skip


_KINDS: Final = {
    KIND_ANON: "anonymous",
    KIND_FILE: "file",
    KIND_SHMEM: "shared memory",
    KIND_HUGETLB: HUGETLB,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A present page-table entry; a page of a huge entry has its own frame here."""

    pfn: int
    writable: bool
    dirty: bool = False
    zero: bool = False
    huge: bool = False

    @property
    def mode(self) -> str:
        """`w` where the processor lets a write pass, otherwise `r`."""
        return "w" if self.writable else "r"


@dataclass(frozen=True, slots=True)
class Area:
    """An area (VMA), ``start <= page < end``; of anonymous, shared memory, a file, or hugetlb."""

    start: int
    end: int
    kind: str
    shared: bool
    access: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A page-table page of level 4 (top) to 1 (leaf), and the pages [start, end) it covers.

    One that is set aside for a huge entry covers nothing yet: its `end` is its `start`.
    """

    level: int
    frame: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Space:
    """An address space, and the processes that use it, its owner first."""

    slot: int
    processes: tuple[str, ...]
    areas: tuple[Area, ...]
    tables: tuple[Table, ...]
    entries: dict[int, Entry]

    @property
    def name(self) -> str:
        """The processes, as one label."""
        return " + ".join(self.processes)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame: its use, its references, and how many page-table entries map it.

    `owner` has the process whose page table or kernel stack it is.  `page` tells what it holds:
    family and offset of an anonymous page, file and offset of one in the page cache.
    """

    use: str
    refs: int = 0
    maps: int = 0
    owner: str = ""
    page: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class State:
    """The whole of a small machine's memory."""

    spaces: tuple[Space, ...]
    frames: tuple[Frame, ...]
    free: int
    blocks: dict[int, int]
    """Free blocks of the buddy allocator: frames of a block, and how many there are."""
    cache: dict[int, int]
    """Frames of the page cache behind the pages of areas that map it."""


def set_aside(space: Space) -> dict[int, Table]:
    """Return the leaf tables set aside for huge entries, by the first page of 2 MiB.

    The kernel keeps them in a list for each 1 GiB, as many as there are huge entries; which one
    belongs to which is decided at the split.
    """
    waiting = [t for t in space.tables if t.level == 1 and t.start == t.end]
    found: dict[int, Table] = {}
    pool = [(a.start, a.end) for a in space.areas if a.kind == HUGETLB]
    huge = {v // HUGE_PAGES * HUGE_PAGES for v, e in space.entries.items() if e.huge}
    for start in sorted(v for v in huge if not any(first <= v < end for first, end in pool)):
        gib = start & ~((1 << 2 * TABLE_SHIFT) - 1)
        table = next((t for t in waiting if t.start == gib), None)
        if table is not None:
            waiting.remove(table)
            found[start] = table
    return found


def free_frames(m: Arrays) -> int:
    """Return the frames in the free pool, those on per-CPU lists included."""
    return int(m.pool[0].free) + int(m.percpu["count"].sum())


def area_facts(m: Arrays, row: int) -> Area:
    """Return what there is to know of an area."""
    a = m.areas[row]
    bits = int(a.vm_flags)
    kind = _KINDS[int(a.kind)]
    access = ("r" if bits & A_READ else "") + ("w" if bits & A_WRITE else "")
    flags = tuple(name for bit, name in _FLAGS if bits & bit)
    return Area(int(a.start), int(a.end), kind, bool(bits & A_SHARED), access or "none", flags)


def entry_at(m: Arrays, space: int, vpn: int) -> Entry | None:
    """Return the entry that maps a page, or ``None`` if none does."""
    leaf = find_table(m, space, vpn, 0)
    if leaf != NONE:
        shared = m.spaces[space].shared_tables > 0 and is_shared_table(m, space, vpn)
        return _entry(int(m.tables[leaf, vpn & TABLE_MASK]), 0, shared=bool(shared))
    return _entry(int(huge_entry(m, space, vpn)), vpn & TABLE_MASK)


def _entry(bits: int, within: int, *, shared: bool = False) -> Entry | None:
    if not bits & PTE_PRESENT:
        return None
    zero = bool(bits & PTE_ZERO)
    return Entry(
        (bits >> PFN_SHIFT) + (0 if zero else within),
        bool(bits & PTE_WRITE) and not shared,
        bool(bits & (PTE_DIRTY | PTE_BLANK)),
        zero,
        bool(bits & PTE_HUGE),
    )


def is_exclusive(m: Arrays, pfn: int) -> bool:
    """Whether the page in a frame is marked as belonging to one address space only."""
    return bool(m.frames[pfn].bits & F_EXCLUSIVE)


def frame_use(m: Arrays, pfn: int) -> str:
    """Return what a frame is used for."""
    bits = int(m.frames[pfn].bits)
    return next((use for bit, use in _USES if bits & bit), FREE)


def take_down(scripted: Scripted) -> State:
    """Return what the memory of a machine looks like now."""
    m = scripted.machine.arrays
    users: dict[int, list[str]] = {}
    owner: dict[int, str] = {}
    for name, process in scripted.processes.items():
        users.setdefault(scripted.space(process), []).append(name)
        pfn = int(m.tasks[process.row].stack)
        while pfn != NONE:
            owner[pfn] = name
            pfn = int(m.frames[pfn].next)
    spaces = tuple(_space(m, slot, tuple(names)) for slot, names in users.items())
    for space in spaces:
        for table in space.tables:
            others = f"{owner[table.frame]} + " if table.frame in owner else ""
            owner[table.frame] = others + space.name
    frames = tuple(
        Frame(use, int(f.refs), int(f.maps), owner.get(pfn, ""), _page(f, use))
        for pfn, (f, use) in enumerate(
            (_counts_of(m, p), frame_use(m, p)) for p in range(len(m.frames))
        )
    )
    counts = m.buddy["count"].sum(axis=0)
    blocks = {1 << order: int(count) for order, count in enumerate(counts) if count}
    cache = {
        vpn: pfn for space in spaces for area in space.areas for vpn, pfn in _cached(m, space, area)
    }
    return State(spaces, frames, free_frames(m), blocks, cache)


def _counts_of(m: Arrays, pfn: int) -> Any:
    """Return the record that counts for a frame: of a huge page of the pool, that of its first."""
    f = m.frames[pfn]
    return m.frames[pfn - pfn % HUGE_PAGES] if f.bits & F_HUGETLB else f


def _page(frame: Any, use: str) -> tuple[int, int]:
    return (int(frame.mapping), int(frame.index)) if use in (DATA, CACHE) else (0, 0)


def _cached(m: Arrays, space: Space, area: Area) -> Iterator[tuple[int, int]]:
    """Yield pages of an area and the frames that the page cache has for them."""
    a = m.areas[find_area(m, space.slot, area.start)]
    if a.file == NONE or a.kind == KIND_HUGETLB:  # whose file keeps whole huge pages
        return
    for vpn in range(area.start, area.end):
        pfn = find_page(m, int(a.file), int(a.offset) + vpn - area.start)
        if pfn != NONE:
            yield vpn, pfn


def _space(m: Arrays, slot: int, processes: tuple[str, ...]) -> Space:
    areas = []
    row = int(m.spaces[slot].head)
    while row != NONE:
        areas.append(area_facts(m, row))
        row = int(m.areas[row].next)
    entries: dict[int, Entry] = {}
    tables = tuple(_tables(m, int(m.spaces[slot].top), 3, 0, entries))
    return Space(slot, processes, tuple(areas), tables, entries)


def _tables(
    m: Arrays,
    slot: int,
    level: int,
    start: int,
    entries: dict[int, Entry],
    *,
    shared: bool = False,
) -> Iterator[Table]:
    """Yield the table in `slot` and all below it, from the top down; put entries in `entries`.

    In a `shared` leaf table nothing is writable, whatever its entries say: the table above it
    forbids that.
    """
    span = 1 << (TABLE_SHIFT * level)
    frame = int(m.table_info[slot].frame)
    yield Table(level + 1, frame, start, start + span * TABLE_ENTRIES)
    for at in np.flatnonzero(m.tables[slot]).tolist():
        first = start + at * span
        bits = int(m.tables[slot, at])
        if level == 0 or bits & PTE_HUGE:
            for within in range(span):
                entry = _entry(bits, within, shared=shared)
                if entry is not None:
                    entries[first + within] = entry
        else:
            below = bool(bits & PMD_READONLY)
            yield from _tables(m, bits >> PFN_SHIFT, level - 1, first, entries, shared=below)
    if level == 1:
        aside = int(m.table_info[slot].next)
        while aside != NONE:
            yield Table(1, int(m.table_info[aside].frame), start, start)
            aside = int(m.table_info[aside].next)
