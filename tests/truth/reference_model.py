"""Linux's memory rules for conformance scripts, in plain dictionaries.

An independent second implementation: it shares the grammar and the record type with cowpool and
nothing else, is as slow as it is plain, and says what Linux 6.18 does.  Each rule is stated in
``docs/conformance.md``, with the shortest script that shows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sim.host.record import Figures, OpRecord
from sim.host.script import FIRST_PROCESS, Operation, Verb

TABLE = 512  # pages that one leaf table, or one huge entry, maps
AROUND = 16  # pages that a read fault on a file maps at most
MAPS = {Verb.MAP, Verb.SHMAP, Verb.MAPFILE, Verb.MAPSHFILE}


class SegmentationFault(Exception):  # noqa: N818
    """An access that may not be."""


class Family:
    """An `anon_vma`: equal only to itself."""


@dataclass(eq=False)
class Folio:
    """What is allocated as one: 1 page or 512; `mappings` counts entries that map any of it."""

    mappings: int = 0


@dataclass(eq=False)
class Page:
    """A page of memory; `mapped` counts the entries, small and huge, that map it."""

    anonymous: bool
    folio: Folio = field(default_factory=Folio)
    mapped: int = 0
    dirty: bool = False
    exclusive: bool = False


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


@dataclass(eq=False)
class Backing:
    """The page cache of a file, or of a piece of shared memory."""

    is_file: bool
    pages: dict[int, Page] = field(default_factory=dict)

    def cached(self, index: int) -> Page | None:
        """Return the page if it is in memory; a new file's pages all are."""
        if self.is_file and index not in self.pages:
            self.pages[index] = Page(anonymous=False)
        return self.pages.get(index)

    def page(self, index: int) -> Page:
        """Return the page, made if need be."""
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
    dontfork: bool = False


class Space:
    """The address space of one process."""

    def __init__(self) -> None:
        self.areas: list[Area] = []
        self.entries: dict[int, Entry] = {}
        self.huge: dict[int, HugeEntry] = {}
        self.tables: set[int] = set()
        self.regions: dict[str, Region] = {}

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

    def change_flags(self, start: int, end: int, add: set[str], drop: set[str]) -> str:
        """Change the flags of all areas in [start, end), splitting and merging; return the error."""
        at = start
        for area in self.inside(start, end):
            hole, at = area.start > at, area.end
            flags = (area.flags | add) - drop
            if hole:
                pass
            if flags == area.flags:
                continue
            self.set_flags(max(area.start, start), min(area.end, end), flags)
        return ""

    def set_flags(self, start: int, end: int, flags: frozenset[str]) -> None:
        """Give [start, end), which lies in one area, its new flags; merge with neighbours."""
        area = self.area_at(start)
        left = self.area_at(start - 1) if area.start == start else None
        right = self.area_at(end) if area.end == end else None
        middle = replace(area.cut(start, end), flags=flags)
        joins_left = left is not None and mergeable(left, middle, into=left)
        joins_right = right is not None and mergeable(middle, right, into=right)
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

    def map_page(self, number: int, page: Page, *, writable: bool, dirty: bool) -> None:
        self.tables.add(number // TABLE)
        self.entries[number] = Entry(page, writable, dirty)
        if page is not ZERO:
            page.mapped += 1
            page.folio.mappings += 1

    def unmap_page(self, number: int) -> None:
        entry = self.entries.pop(number, None)
        if entry is None or entry.page is ZERO:
            return
        page = entry.page
        page.mapped -= 1
        page.folio.mappings -= 1
        if not page.anonymous and entry.dirty:
            page.dirty = True

    def map_huge(self, block: int, pages: list[Page], *, writable: bool) -> None:
        self.huge[block] = HugeEntry(pages, writable)
        for page in pages:
            page.mapped += 1
        if pages:
            pages[0].folio.mappings += 1

    def unmap_huge(self, block: int) -> None:
        entry = self.huge.pop(block)
        for page in entry.pages:
            page.mapped -= 1
        if entry.pages:
            entry.pages[0].folio.mappings -= 1

    def split_huge(self, block: int) -> None:
        """Put a table of 512 entries in the place of a huge entry, if there is one."""
        entry = self.huge.get(block)
        if entry is None:
            return
        self.unmap_huge(block)
        for i in range(TABLE):
            page = entry.pages[i] if entry.pages else ZERO
            writable = entry.writable and page is not ZERO
            self.map_page(block * TABLE + i, page, writable=writable, dirty=page is not ZERO)

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
        for block in range(start // TABLE, -(-end // TABLE)):
            if not self.inside(block * TABLE, (block + 1) * TABLE):
                self.tables.discard(block)

    # -- faults --------------------------------------------------------------------------------

    def touch(self, number: int, *, write: bool) -> int:
        """Access a page; return 1 if that took a fault."""
        area = self.area_at(number)
        if area is None or ("w" if write else "r") not in area.flags:
            raise SegmentationFault
        block = number // TABLE
        if block in self.huge:
            huge = self.huge[block]
            if not write or huge.writable:
                return 0
            self.write_huge(block, number)
            return 1
        entry = self.entries.get(number)
        if entry is None:
            self.fault_in(area, number, write=write)
            return 1
        if not write or entry.writable:
            entry.dirty = entry.dirty or (write and entry.page is not ZERO)
            return 0
        self.write_protected(area, number, entry)
        return 1

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
        self.map_huge(block, pages, writable=True)

    def write_huge(self, block: int, number: int) -> None:
        huge = self.huge[block]
        if not huge.pages:
            self.unmap_huge(block)
            self.map_new_huge(block)
        elif huge.pages[0].exclusive or huge.pages[0].folio.mappings == 1:
            huge.writable = True
            for page in huge.pages:
                page.exclusive = True
        else:
            self.split_huge(block)
            self.write_protected(self.area_at(number), number, self.entries[number])

    def fault_file(self, area: Area, number: int, *, write: bool) -> None:
        index = area.offset + number - area.start
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
            self.map_page(number, page, writable=True, dirty=True)

    def write_protected(self, area: Area, number: int, entry: Entry) -> None:
        page = entry.page
        if not area.private:
            page.dirty = entry.dirty = entry.writable = True
        elif page.anonymous and (page.exclusive or page.mapped == 1):
            page.exclusive = entry.writable = entry.dirty = True
        else:
            self.give_family(area)
            self.unmap_page(number)
            self.map_new(number)

    # -- calls ---------------------------------------------------------------------------------

    def protect(self, start: int, end: int, mode: str) -> str:
        at = start
        for area in self.inside(start, end):
            if area.start > at:
                return "ENOMEM"
            low, high = max(area.start, start), min(area.end, end)
            at = high
            access = {"none": set(), "r": {"r"}, "rw": {"r", "w"}}[mode]
            flags = (area.flags - {"r", "w"}) | access
            if flags == area.flags:
                continue
            if "w" in flags and area.private:
                flags |= {"account"}
            elif area.backing is None and area.family is None:
                flags -= {"account"}
            self.set_flags(low, high, flags)
            self.protect_entries(self.area_at(low), low, high)
        return "" if at >= end else "ENOMEM"

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
            if verb is Verb.DONTNEED:
                self.zap(low, high, give_back_tables=True)
                continue
            if verb is Verb.WIPEONFORK and area.backing is not None:
                return "EINVAL"
            flag = {
                Verb.HUGEPAGE: "huge", Verb.DONTFORK: "dontfork", Verb.WIPEONFORK: "wipeonfork",
            }[verb]
            if flag not in area.flags:
                self.set_flags(low, high, area.flags | {flag})
        return error if at >= end else "ENOMEM"

    def fork(self) -> Space:
        child = Space()
        child.regions = {
            name: replace(region) for name, region in self.regions.items() if not region.dontfork
        }
        for area in self.areas:
            if "dontfork" in area.flags:
                continue
            wiped = "wipeonfork" in area.flags
            has_family = area.family is not None and not wiped
            copy = replace(
                area, family=Family() if has_family else None, inherited=has_family
            )
            child.areas.append(copy)
            if has_family:
                self.copy_entries(child, area)
        return child

    def copy_entries(self, child: Space, area: Area) -> None:
        for block in range(area.start // TABLE, -(-area.end // TABLE)):
            low, high = max(area.start, block * TABLE), min(area.end, (block + 1) * TABLE)
            if block in self.huge:
                huge = self.huge[block]
                huge.writable = False
                for page in huge.pages:
                    page.exclusive = False
                child.map_huge(block, huge.pages, writable=False)
            elif block in self.tables:
                child.tables.add(block)
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
        counts = dict.fromkeys(("rss", "anon", "pdirty", "sdirty", "thp"), 0)

        def add(page: Page, dirty: bool) -> None:
            counts["rss"] += 1
            counts["anon"] += page.anonymous
            if dirty or page.dirty:
                counts["pdirty" if page.mapped < 2 else "sdirty"] += 1

        for number in range(region.start, region.start + region.pages):
            entry = self.entries.get(number)
            if entry is not None and entry.page is not ZERO:
                add(entry.page, entry.dirty)
        for block, huge in self.huge.items():
            if region.start <= block * TABLE < region.start + region.pages:
                counts["thp"] += len(huge.pages)
                for page in huge.pages:
                    add(page, True)
        return Figures(process, name, **counts)


def mergeable(left: Area, right: Area, *, into: Area) -> bool:
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
        if verb in MAPS:
            self.map(space, operation)
        elif verb is Verb.FORK:
            self.spaces[operation.child] = space.fork()
        elif verb is Verb.EXIT:
            self.end(operation.process)
        else:
            region = space.regions[operation.region]
            start = region.start + operation.first
            end = region.start + (region.pages if operation.whole else operation.end)
            if verb in (Verb.READ, Verb.WRITE):
                try:
                    for page in range(start, end):
                        minflt += space.touch(page, write=verb is Verb.WRITE)
                except SegmentationFault:
                    ending = "SIGSEGV"
                    self.end(operation.process)
            elif verb is Verb.UNMAP:
                space.unmap(start, end)
                if not space.inside(region.start, region.start + region.pages):
                    del space.regions[operation.region]
            elif verb is Verb.PROTECT:
                ending = space.protect(start, end, operation.mode)
            else:
                ending = space.advise(start, end, verb)
                region.dontfork = region.dontfork or verb is Verb.DONTFORK
        return OpRecord(operation, minflt, self.figures(), None, ending)

    def map(self, space: Space, operation: Operation) -> None:
        pages, verb = operation.end, operation.verb
        start = self.next_page
        self.next_page += (-(-pages // TABLE) + 1) * TABLE
        flags = {"r", "w", "account"}
        backing = None
        if verb is not Verb.MAP:
            backing = Backing(is_file=verb is not Verb.SHMAP)
        if verb in (Verb.SHMAP, Verb.MAPSHFILE):
            flags.add("shared")
        offset = start if backing is None else 0
        space.areas.append(Area(start, start + pages, offset, frozenset(flags), backing))
        space.regions[operation.region] = Region(start, pages)

    def end(self, process: str) -> None:
        self.spaces.pop(process).exit()

    def figures(self) -> tuple[Figures, ...]:
        return tuple(f for name, space in self.spaces.items() for f in space.figures(name))


def predict(script: list[Operation]) -> list[OpRecord]:
    """Return what Linux does with a valid script."""
    machine = Machine()
    return [machine.perform(operation) for operation in script]
