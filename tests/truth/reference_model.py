"""Linux's memory rules for conformance scripts, in plain dictionaries.

An independent second implementation: it shares the grammar and the record type with cowpool and
nothing else, is as slow as it is plain, and says what Linux 6.18 does.  Each rule is stated in
``docs/conformance.md``, with the shortest script that shows it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from sim.script.grammar import FIRST_PROCESS, Operation, Verb
from sim.script.record import Figures, OpRecord

TABLE = 512  # pages that one leaf table, or one huge entry, maps
AROUND = 16  # pages that a read fault on a file maps at most
MAPS = {Verb.MAP, Verb.SHMAP, Verb.MAPFILE, Verb.MAPSHFILE, Verb.STACK}
FILE_CALLS = {Verb.FILEREAD, Verb.FILEWRITE, Verb.FSYNC, Verb.DROP, Verb.WILLNEED}
FLAG_CHANGES = {  # of madvise: what comes, what goes
    Verb.HUGEPAGE: ({"huge"}, {"nohuge"}),
    Verb.NOHUGEPAGE: ({"nohuge"}, {"huge"}),
    Verb.DONTFORK: ({"dontfork"}, set()),
    Verb.DOFORK: (set(), {"dontfork"}),
    Verb.WIPEONFORK: ({"wipeonfork"}, set()),
    Verb.KEEPONFORK: (set(), {"wipeonfork"}),
    Verb.RANDOM: ({"random"}, {"sequential"}),
    Verb.SEQUENTIAL: ({"sequential"}, {"random"}),
    Verb.NORMAL: (set(), {"random", "sequential"}),
}


class SegmentationFault(Exception):  # noqa: N818
    """An access that may not be."""


class Family:
    """An `anon_vma`: equal only to itself."""


@dataclass(eq=False)
class Folio:
    """What is allocated as one: 1 page or 512; `mappers` counts who maps any of it how often.

    A large one itself knows of two mappers at most (`slots`, the older first), and whether there
    were more of them than the one that is left.
    """

    pages: list[Page] = field(default_factory=list)
    mappers: Counter[Space] = field(default_factory=Counter)
    slots: list[tuple[Space, int] | None] = field(default_factory=lambda: [None, None])
    has_many: bool = False

    @property
    def shared(self) -> bool:
        """Whether more than one address space is taken to map any of it."""
        if len(self.pages) < 2:
            return len(self.mappers) > 1
        return self.has_many and self.mappers.total() > 1

    def mapped_by(self, space: Space, change: int) -> None:
        self.mappers[space] += change
        if not self.mappers[space]:
            del self.mappers[space]
        total = self.mappers.total()
        where = next((i for i in (0, 1) if self.slots[i] and self.slots[i][0] is space), None)
        if where is not None:
            known = self.slots[where][1] + change
            self.slots[where] = (space, known) if known > 0 else None
            if known > 0:
                return
        elif change > 0:
            if None in self.slots:
                where = self.slots.index(None)
                self.slots[where] = (space, change)
                self.has_many |= where == 1 or total != change
            return
        if total in [slot[1] if slot else 0 for slot in self.slots]:
            self.has_many = False


@dataclass(eq=False)
class Page:
    """A page of memory; `mapped` counts the entries, small and huge, that map it."""

    anonymous: bool
    folio: Folio = field(default_factory=Folio)
    mapped: int = 0
    dirty: bool = False
    exclusive: bool = False
    written: bool = False  # has something in it other than zeros


ZERO = Page(anonymous=False)


@dataclass(eq=False)
class Entry:
    """A present page-table entry."""

    page: Page
    writable: bool
    dirty: bool


@dataclass(eq=False)
class HugeEntry:
    """A present entry one level up: 512 pages of one folio, or the huge zero page (none)."""

    pages: list[Page]
    writable: bool
    dirty: bool = True


@dataclass(eq=False)
class Backing:
    """The page cache of a file of `size` pages, or of a piece of shared memory.

    What was read ahead is no function of the script: the file is `unsure` from then on.
    """

    is_file: bool
    size: int = 0
    pages: dict[int, Page] = field(default_factory=dict)
    absent: set[int] = field(default_factory=set)
    random: bool = False
    unsure: bool = False
    kept: bool = False

    def note_write(self) -> None:
        """Linux marks pages that a dropping call found in use and that are dirty by some time."""
        self.unsure = self.unsure or self.kept

    def cached(self, index: int) -> Page | None:
        """Return the page if it is in memory; a new file's pages all are."""
        if self.is_file and index not in self.pages and index not in self.absent:
            self.pages[index] = Page(anonymous=False)
        return self.pages.get(index)

    def drop(self) -> None:
        """Take the pages that nobody maps out of memory; they are clean."""
        for index in range(self.size):
            if index not in self.pages or not self.pages[index].mapped:
                self.pages.pop(index, None)
                self.absent.add(index)
            else:
                self.kept = True

    def page(self, index: int) -> Page:
        """Return the page, made or read if need be."""
        self.absent.discard(index)
        return self.cached(index) or self.pages.setdefault(index, Page(anonymous=False))


@dataclass(eq=False)
class Area:
    """A VMA; `first` is the offset into the backing, or the place it was mapped at."""

    start: int
    end: int
    offset: int
    flags: frozenset[str]
    backing: Backing | None
    family: Family | None = None
    inherited: bool = False  # the family chain reaches into a parent process

    @property
    def private(self) -> bool:
        return "shared" not in self.flags

    def cut(self, start: int, end: int) -> Area:
        """Return the piece [start, end) of this area."""
        return replace(self, start=start, end=end, offset=self.offset + start - self.start)


@dataclass(eq=False)
class Region:
    start: int
    pages: int
    room: int = 0
    dontfork: bool = False
    file: Backing | None = None


class Space:
    """The address space of one process."""

    def __init__(self) -> None:
        self.areas: list[Area] = []
        self.entries: dict[int, Entry] = {}
        self.huge: dict[int, HugeEntry] = {}
        self.tables: set[int] = set()
        self.upper: set[tuple[int, int]] = set()  # tables further up: level, number
        self.regions: dict[str, Region] = {}
        self.major = 0  # faults that had to wait for the disk
        self.heap = Region(0x20_0000_0000, 0)

    # -- areas ---------------------------------------------------------------------------------

    def area_at(self, page: int) -> Area | None:
        return next((area for area in self.areas if area.start <= page < area.end), None)

    def inside(self, start: int, end: int) -> list[Area]:
        return [area for area in self.areas if area.start < end and area.end > start]

    def split_at(self, page: int) -> None:
        """Let no area, and no huge entry of one, reach across `page`."""
        area = self.area_at(page)
        if area is None or area.start == page:
            return
        where = self.areas.index(area)
        self.areas[where : where + 1] = [
            area.cut(area.start, page),
            area.cut(page, area.end),
        ]
        if page % TABLE:
            self.split_huge(page // TABLE)

    def set_flags(self, start: int, end: int, flags: frozenset[str]) -> None:
        """Give [start, end), which lies in one area, its new flags; merge with neighbours."""
        area = self.area_at(start)
        left = self.area_at(start - 1) if area.start == start else None
        right = self.area_at(end) if area.end == end else None
        middle = replace(area.cut(start, end), flags=flags)
        joins_left = left is not None and mergeable(left, middle)
        joins_right = right is not None and mergeable(middle, right)
        self.split_at(start)
        self.split_at(end)
        area = self.area_at(start)
        area.flags = flags
        if joins_left and joins_right and left.family and right.family:
            joins_right = left.family is right.family
        if joins_left:
            self.join(left, area)
            area = left
        if joins_right:
            self.join(area, right)

    def join(self, left: Area, right: Area) -> None:
        if left.family is None:
            left.family, left.inherited = right.family, right.inherited
        left.end = right.end
        self.areas.remove(right)

    def give_family(self, area: Area) -> None:
        """Prepare an area for anonymous pages; neighbours of one making share a family."""
        if area.family is not None:
            return
        for other in self.areas:
            touching = other.end == area.start or area.end == other.start
            left, right = (other, area) if other.end == area.start else (area, other)
            if (
                touching
                and other.family is not None
                and not other.inherited
                and other.backing is area.backing
                and not ((other.flags ^ area.flags) - {"r", "w"})
                and left.offset + left.end - left.start == right.offset
            ):
                area.family = other.family
                return
        area.family = Family()

    # -- entries -------------------------------------------------------------------------------

    def make_table(self, block: int) -> None:
        self.tables.add(block)
        self.make_upper(block)

    def make_upper(self, block: int) -> None:
        if block * TABLE < self.heap.start:  # the heap shares them with the program
            self.upper |= {(2, block // TABLE), (3, block // TABLE**2)}

    def table_pages(self) -> int:
        """Pages of page tables; a huge entry has one set aside."""
        return len(self.tables) + len(self.huge) + len(self.upper)

    def map_page(self, number: int, page: Page, *, writable: bool, dirty: bool) -> None:
        self.make_table(number // TABLE)
        self.entries[number] = Entry(page, writable, dirty)
        if page is not ZERO:
            page.mapped += 1
            page.folio.mapped_by(self, 1)

    def unmap_page(self, number: int) -> None:
        entry = self.entries.pop(number, None)
        if entry is None or entry.page is ZERO:
            return
        page = entry.page
        page.mapped -= 1
        page.folio.mapped_by(self, -1)
        if not page.anonymous and entry.dirty:
            page.dirty = True

    def map_huge(self, block: int, pages: list[Page], *, writable: bool) -> None:
        self.make_upper(block)
        self.huge[block] = HugeEntry(pages, writable)
        for page in pages:
            page.mapped += 1
        if pages:
            pages[0].folio.mapped_by(self, 1)

    def unmap_huge(self, block: int) -> None:
        entry = self.huge.pop(block)
        for page in entry.pages:
            page.mapped -= 1
        if entry.pages:
            entry.pages[0].folio.mapped_by(self, -1)

    def split_huge(self, block: int) -> None:
        """Put a table of 512 entries in the place of a huge entry, if there is one."""
        entry = self.huge.get(block)
        if entry is None:
            return
        if entry.pages:  # the folio hears of the small entries before it loses the huge one
            entry.pages[0].folio.mapped_by(self, TABLE)
        self.unmap_huge(block)
        for i in range(TABLE):
            page = entry.pages[i] if entry.pages else ZERO
            dirty = entry.dirty and page is not ZERO
            page.dirty = page.dirty or dirty  # the folio becomes dirty, with all its pages
            writable = entry.writable and page is not ZERO
            self.make_table(block)
            self.entries[block * TABLE + i] = Entry(page, writable, dirty)
            page.mapped += page is not ZERO

    def zap(self, start: int, end: int, *, give_back_tables: bool = False) -> None:
        """Remove all entries in [start, end)."""
        for block in range(start // TABLE, -(-end // TABLE)):
            low, high = max(start, block * TABLE), min(end, (block + 1) * TABLE)
            if block in self.huge:
                if high - low == TABLE:
                    self.unmap_huge(block)
                else:
                    self.split_huge(block)
            for number in range(low, high):
                self.unmap_page(number)
            if give_back_tables and high - low == TABLE:
                self.tables.discard(block)

    def unmap(self, start: int, end: int) -> None:
        self.split_at(start)
        self.split_at(end)
        for area in self.inside(start, end):
            self.zap(area.start, area.end)
            self.areas.remove(area)
        self.drop_tables(start, end)

    def drop_tables(self, start: int, end: int) -> None:
        """Give back the tables of [start, end) that no area can use any more."""
        for block in range(start // TABLE, -(-end // TABLE)):
            if not self.inside(block * TABLE, (block + 1) * TABLE):
                self.tables.discard(block)
        for level, number in list(self.upper):
            size = TABLE**level
            if not self.inside(number * size, (number + 1) * size):
                self.upper.remove((level, number))

    # -- faults --------------------------------------------------------------------------------

    def touch(self, number: int, *, write: bool, by_kernel: bool = False) -> int:
        """Access a page; return 1 if that took a fault.

        A call that populates (`by_kernel`) leaves a writable entry as clean as it is, and makes the
        page dirty instead.
        """
        area = self.area_at(number) or (None if by_kernel else self.grow_stack(number))
        if area is None or ("w" if write else "r") not in area.flags:
            raise SegmentationFault
        block = number // TABLE
        fault = True
        before = self.major
        if block in self.huge:
            fault = write and not self.huge[block].writable
            if fault:
                self.write_huge(block, number)
        elif number not in self.entries:
            self.fault_in(area, number, write=write)
        else:
            entry = self.entries[number]
            fault = write and not entry.writable
            if fault:
                self.write_protected(area, number, entry)
        if write:
            self.after_write(number, by_kernel=by_kernel)
        return int(fault) - (self.major - before)

    def after_write(self, number: int, *, by_kernel: bool) -> None:
        huge = self.huge.get(number // TABLE)
        if huge is not None:
            huge.dirty = True
            page = huge.pages[number % TABLE]
        else:
            entry = self.entries[number]
            page = entry.page
            if not by_kernel:
                entry.dirty = True
            elif not entry.dirty:
                page.dirty = True
        page.written = page.written or not by_kernel

    def grow_stack(self, number: int) -> Area | None:
        """Let the stack whose addresses these are reach down to `number`."""
        for region in self.regions.values():
            if region.start <= number < region.start + region.pages:
                areas = self.inside(region.start, region.start + region.pages)
                if areas and "growsdown" in areas[0].flags and number < areas[0].start:
                    self.give_family(areas[0])
                    areas[0].offset -= areas[0].start - number
                    areas[0].start = number
                    return areas[0]
        return None

    def fault_in(self, area: Area, number: int, *, write: bool) -> None:
        block = number // TABLE
        if area.backing is not None:
            self.fault_file(area, number, write=write)
        elif (
            "huge" in area.flags
            and block not in self.tables
            and area.start <= block * TABLE
            and (block + 1) * TABLE <= area.end
        ):
            self.give_family(area)
            if write:
                self.map_new_huge(block)
            else:
                self.map_huge(block, [], writable=False)
        elif write:
            self.give_family(area)
            self.map_new(number)
        else:
            self.map_page(number, ZERO, writable=False, dirty=False)

    def map_new(self, number: int) -> None:
        page = Page(anonymous=True, exclusive=True)
        self.map_page(number, page, writable=True, dirty=True)

    def map_new_huge(self, block: int) -> None:
        folio = Folio()
        pages = [Page(anonymous=True, folio=folio, exclusive=True) for _ in range(TABLE)]
        folio.pages = pages
        self.map_huge(block, pages, writable=True)

    def write_huge(self, block: int, number: int) -> None:
        huge = self.huge[block]
        if not huge.pages:
            self.unmap_huge(block)
            self.map_new_huge(block)
        elif huge.pages[0].exclusive or huge.pages[0].folio.mappers.total() == 1:
            huge.writable = True
            for page in huge.pages:
                page.exclusive = True
        else:
            self.split_huge(block)
            self.write_protected(self.area_at(number), number, self.entries[number])

    def fault_file(self, area: Area, number: int, *, write: bool) -> None:
        index = area.offset + number - area.start
        if index in area.backing.absent:
            self.major += 1
            area.backing.page(index)
            if "huge" in area.flags:
                first = index // TABLE * TABLE
                for near in range(first, min(first + TABLE, area.backing.size)):
                    area.backing.page(near)
            if "random" not in area.flags or "huge" in area.flags:
                area.backing.unsure = True
        writable = not area.private and not area.backing.is_file and "w" in area.flags
        if not write:
            first = max(number // AROUND * AROUND, area.start)
            end = min(first + AROUND, (number // TABLE + 1) * TABLE, area.end)
            for near in range(first, end):
                page = area.backing.cached(area.offset + near - area.start)
                if page is not None and near not in self.entries:
                    self.map_page(near, page, writable=writable, dirty=False)
            if number not in self.entries:
                self.map_page(number, area.backing.page(index), writable=writable, dirty=False)
        elif area.private:
            area.backing.page(index)
            self.give_family(area)
            self.map_new(number)
        else:
            page = area.backing.page(index)
            page.dirty = True
            area.backing.note_write()
            self.map_page(number, page, writable=True, dirty=True)

    def write_protected(self, area: Area, number: int, entry: Entry) -> None:
        page = entry.page
        if not area.private:
            page.dirty = entry.dirty = entry.writable = True
            area.backing.note_write()
        elif page.anonymous and (page.exclusive or not page.folio.shared):
            page.exclusive = entry.writable = entry.dirty = True
        else:
            self.give_family(area)
            written = page.written
            self.unmap_page(number)
            self.map_new(number)
            self.entries[number].page.written = written

    # -- calls ---------------------------------------------------------------------------------

    def protect(self, start: int, end: int, mode: str) -> tuple[int, str]:
        at, minflt = start, 0
        for area in self.inside(start, end):
            if area.start > at:
                return minflt, "ENOMEM"
            low, at = max(area.start, start), min(area.end, end)
            access = {"none": set(), "r": {"r"}, "rw": {"r", "w"}}[mode]
            flags = (area.flags - {"r", "w"}) | access
            if flags == area.flags:
                continue
            if "w" in flags and area.private and "noreserve" not in flags:
                flags |= {"account"}
            elif "w" not in flags and area.backing is None and area.family is None:
                flags -= {"account"}
            allowed_now = "w" in flags and "w" not in area.flags
            self.set_flags(low, at, flags)
            area = self.area_at(low)
            self.protect_entries(area, low, at)
            if allowed_now and area.private and "locked" in flags:
                minflt += self.populate(low, at, write=True)[0]
        return minflt, "" if at >= end else "ENOMEM"

    def protect_entries(self, area: Area, start: int, end: int) -> None:
        allowed = "w" in area.flags
        for block in range(start // TABLE, -(-end // TABLE)):
            low, high = max(start, block * TABLE), min(end, (block + 1) * TABLE)
            if block in self.huge and high - low < TABLE:
                self.split_huge(block)
            if block in self.huge:
                huge = self.huge[block]
                huge.writable = allowed and bool(huge.pages) and huge.pages[0].exclusive
                continue
            for number in range(low, high):
                entry = self.entries.get(number)
                if entry is None:
                    continue
                if area.private:
                    entry.writable = allowed and entry.page.exclusive
                elif area.backing.is_file:
                    entry.writable = allowed and entry.dirty
                else:
                    entry.writable = allowed

    def advise(self, start: int, end: int, verb: Verb) -> str:
        at, error = start, ""
        for area in self.inside(start, end):
            low, high = max(area.start, start), min(area.end, end)
            if low > at:
                error = "ENOMEM"
            at = high
            if verb in (Verb.DONTNEED, Verb.FREE) and "locked" in area.flags:
                return "EINVAL"
            if verb in (Verb.FREE, Verb.WIPEONFORK) and area.backing is not None:
                return "EINVAL"
            if verb is Verb.DONTNEED:
                self.zap(low, high, give_back_tables=True)
            elif verb is Verb.FREE:
                self.free(low, high)
            elif verb is Verb.COLLAPSE:
                if failed := self.collapse(low, high):
                    return failed
            else:
                add, drop = FLAG_CHANGES[verb]
                flags = (area.flags | add) - drop
                if flags != area.flags:
                    self.set_flags(low, high, flags)
        return error if at >= end else "ENOMEM"

    def collapse(self, start: int, end: int) -> str:
        """MADV_COLLAPSE of a part of an area."""
        area = self.area_at(start)
        first = -(-area.start // TABLE)
        if (
            area.backing is not None
            or area.family is None
            or "nohuge" in area.flags
            or (first + 1) * TABLE > area.end
        ):
            return "EINVAL"
        missed = -(-start // TABLE) > end // TABLE
        for block in range(-(-start // TABLE), end // TABLE):
            if block in self.huge:
                continue
            if (2, block // TABLE) not in self.upper and block * TABLE < self.heap.start:
                missed = True
                continue
            if block not in self.tables:
                return "EINVAL"
            written = []
            for number in range(block * TABLE, (block + 1) * TABLE):
                entry = self.entries.get(number)
                written.append(entry is not None and entry.page.written)
                self.unmap_page(number)
            self.tables.remove(block)
            self.map_new_huge(block)
            self.huge[block].writable = "w" in area.flags
            for page, has_data in zip(self.huge[block].pages, written, strict=True):
                page.written = has_data
        return "EINVAL" if missed else ""

    def free(self, start: int, end: int) -> None:
        """MADV_FREE: what is in these pages may be lost; they count as clean until written."""
        for block in range(start // TABLE, -(-end // TABLE)):
            low, high = max(start, block * TABLE), min(end, (block + 1) * TABLE)
            if block in self.huge:
                huge = self.huge[block]
                if not huge.pages or huge.pages[0].folio.shared:
                    continue
                if high - low == TABLE:
                    huge.dirty = False
                    for page in huge.pages:
                        page.dirty = False
                    continue
                self.split_huge(block)
                self.split_folio(self.entries[low].page.folio)
            number = low
            while number < high:
                number += self.free_entry(number, high)

    def free_entry(self, number: int, end: int) -> int:
        """Free the page, or the folio's run of pages, at `number`; return how many that were."""
        entry = self.entries.get(number)
        if entry is None or entry.page is ZERO or not entry.page.anonymous:
            return 1
        page, folio, run = entry.page, entry.page.folio, 1
        if len(folio.pages) > 1:
            at = folio.pages.index(page)
            while (
                number + run < end
                and at + run < TABLE
                and number + run in self.entries
                and self.entries[number + run].page is folio.pages[at + run]
            ):
                run += 1
            if run < TABLE:
                if folio.shared:
                    return run
                self.split_folio(folio)
                return 0
        if page.dirty:
            if folio.mappers.total() != run:
                return run
            for each in folio.pages or [page]:
                each.dirty = False
        for each in range(number, number + run):
            self.entries[each].dirty = False
        return run

    def split_folio(self, folio: Folio) -> None:
        """Make a large folio single pages; those full of zeros become the zero page."""
        found = [entry for space in folio.mappers for entry in space.entries.values()]
        dirty = any(entry.dirty for entry in found if entry.page in folio.pages)
        for page in folio.pages:
            page.folio = Folio([page])
            page.dirty = page.dirty or dirty
        for space in folio.mappers:
            for entry in space.entries.values():
                if entry.page in folio.pages:
                    entry.page.folio.mapped_by(space, 1)
        for number, entry in list(self.entries.items()):
            if entry.page in folio.pages and not entry.page.written:
                area = self.area_at(number)
                if "locked" not in area.flags:
                    self.unmap_page(number)
                    self.map_page(number, ZERO, writable=False, dirty=False)

    def populate(self, start: int, end: int, *, write: bool | None) -> tuple[int, str]:
        """Fault in [start, end): to write, to read, or (``None``) as each area's flags suggest."""
        minflt, number = 0, start
        while number < end:
            area = self.area_at(number)
            if area is None:
                return minflt, "ENOMEM"
            writing = area.private and "w" in area.flags if write is None else write
            try:
                minflt += self.touch(number, write=writing, by_kernel=True)
            except SegmentationFault:
                return minflt, "ENOMEM" if write is None else "EINVAL"
            number += 1
        return minflt, ""

    def lock(self, start: int, end: int, *, lock: bool) -> tuple[int, str]:
        at = start
        for area in self.inside(start, end):
            if area.start > at:
                return 0, "ENOMEM"
            low, at = max(area.start, start), min(area.end, end)
            flags = area.flags | {"locked"} if lock else area.flags - {"locked"}
            if flags != area.flags:
                self.set_flags(low, at, flags)
        if at < end:
            return 0, "ENOMEM"
        return self.populate(start, end, write=None) if lock else (0, "")

    def sync(self, start: int, end: int, spaces: list[Space]) -> str:
        """msync: dirty pages of shared files go to the disk, and are clean and read-only after."""
        covered = 0
        for area in self.inside(start, end):
            low, high = max(area.start, start), min(area.end, end)
            covered += high - low
            if area.private or not area.backing.is_file:
                continue
            for number in range(low, high):
                page = area.backing.pages.get(area.offset + number - area.start)
                if page is not None:
                    clean(page, spaces)
        return "" if covered == end - start else "ENOMEM"

    def move(self, region: Region, start: int) -> None:
        """Mremap to another place; the region lies in one area."""
        old, region.start = region.start, start
        end, delta = old + region.pages, start - old
        self.split_at(old)
        self.split_at(end)
        area = self.area_at(old)
        if area.backing is None and area.family is None:
            area.offset = start
        area.start, area.end = area.start + delta, area.end + delta
        self.areas.sort(key=lambda area: area.start)
        for block in range(old // TABLE, -(-end // TABLE)):
            low, high = max(old, block * TABLE), min(end, (block + 1) * TABLE)
            whole = high - low == TABLE and delta % TABLE == 0
            if block in self.huge and whole:
                self.huge[block + delta // TABLE] = self.huge.pop(block)
                self.make_upper(block + delta // TABLE)
            else:
                self.split_huge(block)
            if block in self.tables:
                for number in range(low, high):
                    self.make_table((number + delta) // TABLE)
                if whole:
                    self.tables.remove(block)
        for number in range(old, end):
            if number in self.entries:
                self.entries[number + delta] = self.entries.pop(number)
        self.drop_tables(old, end)

    def resize(self, region: Region, pages: int) -> int:
        """Mremap in place; return the faults it takes to populate what is locked."""
        start, old = region.start, region.pages
        region.pages = pages
        if pages <= old:
            self.unmap(start + pages, start + old)
            return 0
        area = self.area_at(start)
        area.end = start + pages
        if "locked" in area.flags:
            return self.populate(start + old, start + pages, write=None)[0]
        return 0

    def set_break(self, pages: int) -> None:
        heap, old = self.heap, self.heap.pages
        heap.pages = pages
        if pages <= old:
            self.unmap(heap.start + pages, heap.start + old)
            return
        new = Area(
            heap.start + old,
            heap.start + pages,
            heap.start + old,
            frozenset({"r", "w", "account"}),
            None,
        )
        last = self.area_at(heap.start + old - 1) if old else None
        self.areas.append(new)
        if last is not None and mergeable(last, new):
            self.join(last, new)
        self.areas.sort(key=lambda area: area.start)

    def fork(self) -> Space:
        child = Space()
        child.heap = replace(self.heap)
        child.regions = {
            name: child.heap if region is self.heap else replace(region)
            for name, region in self.regions.items()
            if not region.dontfork
        }
        for area in self.areas:
            if "dontfork" in area.flags:
                continue
            wiped = "wipeonfork" in area.flags
            has_family = area.family is not None and not wiped
            copy = replace(
                area,
                flags=area.flags - {"locked"},
                family=Family() if has_family else None,
                inherited=has_family,
            )
            child.areas.append(copy)
            if has_family:
                self.copy_entries(child, area)
        return child

    def copy_entries(self, child: Space, area: Area) -> None:
        child.upper |= {
            (level, number)
            for level, number in self.upper
            if number * TABLE**level < area.end and area.start < (number + 1) * TABLE**level
        }
        for block in range(area.start // TABLE, -(-area.end // TABLE)):
            low, high = max(area.start, block * TABLE), min(area.end, (block + 1) * TABLE)
            if block in self.huge:
                huge = self.huge[block]
                huge.writable = False
                for page in huge.pages:
                    page.exclusive = False
                child.map_huge(block, huge.pages, writable=False)
                child.huge[block].dirty = huge.dirty
            elif block in self.tables:
                child.make_table(block)
                for number in range(low, high):
                    entry = self.entries.get(number)
                    if entry is not None:
                        entry.writable = entry.page.exclusive = False
                        child.map_page(number, entry.page, writable=False, dirty=entry.dirty)

    def exit(self) -> None:
        for area in list(self.areas):
            self.unmap(area.start, area.end)

    # -- figures -------------------------------------------------------------------------------

    def figures(self, process: str) -> list[Figures]:
        return [
            self.region_figures(process, name, region)
            for name, region in sorted(self.regions.items())
            if self.inside(region.start, region.start + region.pages)
        ]

    def region_figures(self, process: str, name: str, region: Region) -> Figures:
        rss = anon = pdirty = sdirty = thp = 0
        start, end = region.start, region.start + region.pages
        mapped = [
            (entry.page, entry.dirty)
            for number in range(start, end)
            if (entry := self.entries.get(number)) is not None and entry.page is not ZERO
        ]
        for block in range(start // TABLE, -(-end // TABLE)):
            if block in self.huge:
                huge = self.huge[block]
                inside = huge.pages[max(0, start - block * TABLE) : end - block * TABLE]
                thp += len(inside)
                mapped += [(page, huge.dirty) for page in inside]
        for page, dirty in mapped:
            rss += 1
            anon += page.anonymous
            if dirty or page.dirty:
                if page.mapped < 2:
                    pdirty += 1
                else:
                    sdirty += 1
        return Figures(process, name, rss, anon, pdirty, sdirty, 0, thp, joined=self.joined(name))

    def joined(self, name: str) -> str:
        """Return the names of all regions that share areas with this one, or ""."""
        group, new = set(), {name}
        while new:
            group |= new
            ours = [
                area
                for one in group
                for area in self.inside(
                    self.regions[one].start, self.regions[one].start + self.regions[one].pages
                )
            ]
            new = {
                other
                for other, region in self.regions.items()
                for area in ours
                if area.start < region.start + region.pages and area.end > region.start
            } - group
        return "".join(sorted(group)) if len(group) > 1 else ""


def clean(page: Page, spaces: list[Space]) -> None:
    """Write a dirty page of a file to the disk."""
    if not page.dirty:
        return
    page.dirty = False
    for space in spaces:
        for entry in space.entries.values():
            if entry.page is page:
                entry.dirty = entry.writable = False


def mergeable(left: Area, right: Area) -> bool:
    """Whether two neighbours may become one area."""
    if (
        left.end != right.start
        or left.flags != right.flags
        or left.backing is not right.backing
        or left.offset + left.end - left.start != right.offset
    ):
        return False
    if left.family is None and right.family is None:
        return True
    if left.family is None or right.family is None:
        return not (left if right.family is None else right).inherited
    return left.family is right.family


class Machine:
    """All processes of a script."""

    def __init__(self) -> None:
        self.spaces: dict[str, Space] = {FIRST_PROCESS: Space()}
        self.next_page = 0x10_0000_0000

    def perform(self, operation: Operation) -> OpRecord:
        """Carry out one operation of a valid script."""
        space = self.spaces[operation.process]
        minflt, ending = 0, ""
        verb = operation.verb
        major = -space.major
        if verb in MAPS:
            minflt = self.map(space, operation)
        elif verb is Verb.BRK:
            space.regions[operation.region] = space.heap
            space.set_break(operation.pages)
        elif verb is Verb.FORK:
            self.spaces[operation.child] = space.fork()
        elif verb is Verb.VFORK:
            self.spaces[operation.child] = space
        elif verb is Verb.EXEC:
            self.replace(operation.process, Space())
        elif verb is Verb.EXIT:
            self.replace(operation.process, None)
        else:
            minflt, ending = self.on_region(space, operation)
        major += space.major
        return OpRecord(operation, minflt, self.figures(), None, ending, major, self.unsure())

    def unsure(self) -> frozenset[tuple[str, str]]:
        return frozenset(
            (process, name)
            for process, space in self.spaces.items()
            for name, region in space.regions.items()
            if region.file is not None and region.file.unsure
        )

    def on_region(self, space: Space, operation: Operation) -> tuple[int, str]:
        verb, region = operation.verb, space.regions[operation.region]
        start = region.start + operation.first
        end = region.start + (region.pages if operation.whole else operation.end)
        if verb in (Verb.READ, Verb.WRITE):
            minflt = 0
            try:
                for page in range(start, end):
                    minflt += space.touch(page, write=verb is Verb.WRITE)
            except SegmentationFault:
                self.replace(operation.process, None)
                return minflt, "SIGSEGV"
            return minflt, ""
        if verb in FILE_CALLS:
            self.on_file(region.file, operation)
        elif verb is Verb.UNMAP:
            space.unmap(start, end)
            if not space.inside(region.start, region.start + region.pages):
                del space.regions[operation.region]
        elif verb is Verb.PROTECT:
            return space.protect(start, end, operation.mode)
        elif verb in (Verb.POPULATEREAD, Verb.POPULATEWRITE):
            return space.populate(start, end, write=verb is Verb.POPULATEWRITE)
        elif verb in (Verb.LOCK, Verb.UNLOCK):
            return space.lock(start, end, lock=verb is Verb.LOCK)
        elif verb is Verb.SYNC:
            return 0, space.sync(start, end, list(self.spaces.values()))
        elif verb is Verb.MOVE:
            space.move(region, self.new_place(region.room))
        elif verb is Verb.RESIZE:
            return space.resize(region, operation.pages), ""
        else:
            if verb in (Verb.DONTFORK, Verb.DOFORK):
                region.dontfork = verb is Verb.DONTFORK
            if verb in (Verb.RANDOM, Verb.SEQUENTIAL, Verb.NORMAL):
                region.file.random = verb is Verb.RANDOM
            return 0, space.advise(start, end, verb)
        return 0, ""

    def on_file(self, file: Backing, operation: Operation) -> None:
        """Read, write or fsync the file itself: its pages become dirty, or clean and read-only."""
        if operation.verb in (Verb.FILEREAD, Verb.WILLNEED):
            for index in range(operation.first, operation.end):
                if index in file.absent and operation.verb is Verb.FILEREAD and not file.random:
                    file.unsure = True
                file.page(index)
        elif operation.verb is Verb.FILEWRITE:
            for index in range(operation.first, operation.end):
                file.page(index).dirty = True
            file.note_write()
        else:
            for page in file.pages.values():
                clean(page, list(self.spaces.values()))
            if operation.verb is Verb.DROP:
                file.drop()

    def new_place(self, pages: int) -> int:
        start = self.next_page
        self.next_page += (-(-pages // TABLE) + 1) * TABLE
        return start

    def map(self, space: Space, operation: Operation) -> int:
        pages, verb = operation.end, operation.verb
        if operation.behind:
            before = space.regions[operation.behind]
            start = before.start + before.pages
        elif operation.below:
            start = space.regions[operation.below].start - pages
        else:
            start = self.new_place(pages)
        flags = {"r", "w"}
        backing = None
        if verb in (Verb.SHMAP, Verb.MAPFILE, Verb.MAPSHFILE):
            backing = Backing(is_file=verb is not Verb.SHMAP, size=pages)
        if verb in (Verb.SHMAP, Verb.MAPSHFILE):
            flags.add("shared")
        if verb is Verb.STACK:
            flags.add("growsdown")
        flags.add("noreserve" if operation.mode == "noreserve" else "account")
        low = start + pages - 1 if verb is Verb.STACK else start
        offset = low if backing is None else 0
        space.areas.append(Area(low, start + pages, offset, frozenset(flags), backing))
        space.areas.sort(key=lambda area: area.start)
        if verb is not Verb.STACK:
            space.set_flags(low, start + pages, frozenset(flags))  # one with what it touches
        space.regions[operation.region] = Region(start, pages, pages, False, backing)
        if operation.mode == "populate":
            return space.populate(start, start + pages, write=None)[0]
        return 0

    def replace(self, process: str, new: Space | None) -> None:
        """Give a process another address space, or none: it has exited."""
        old = self.spaces[process]
        if new is None:
            del self.spaces[process]
        else:
            self.spaces[process] = new
        if all(space is not old for space in self.spaces.values()):
            old.exit()

    def figures(self) -> tuple[Figures, ...]:
        return tuple(f for name, space in self.spaces.items() for f in space.figures(name))


def predict(script: list[Operation]) -> list[OpRecord]:
    """Return what Linux does with a valid script."""
    machine = Machine()
    return [machine.perform(operation) for operation in script]
