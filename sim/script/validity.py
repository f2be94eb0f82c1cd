"""What can happen at a given point of a script.

A script is *valid* when every line speaks of a living process, of a region it has, of pages inside
that region.  Which accesses end in SIGSEGV follows from mappings and protections alone, so a
script that lets a process die knows that it did: later lines may not speak of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sim.base.errors import ScenarioError
from sim.base.files import shown_path
from sim.script.grammar import (
    FIRST_PROCESS,
    HUGETLB_VERBS,
    MAPPING_VERBS,
    MAX_PAGES,
    SIZING_VERBS,
    TOUCHING_VERBS,
    Operation,
    Verb,
    parse_line,
)
from sim.script.reading import script_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

UNMAPPED: Final = 0
NO_ACCESS: Final = 1
READABLE: Final = 2
WRITABLE: Final = 3
ACCESS_OF_MODE: Final = {"none": NO_ACCESS, "r": READABLE, "rw": WRITABLE}

PAGES_PER_TABLE: Final = 512
MOST_STATE_BYTES: Final = 1 << 30
"""What is kept of a script at most, a byte a page of each process, unless it may be `large`."""


@dataclass(slots=True)
class RegionView:
    """What a script can know of a region: how it was made and who may do what with each page.

    It may grow to `room` pages; `below` pages before its first are free for others.  `touches`:
    another region begins or ends where it ends or begins, or did.  `intact`: nothing was ever done
    to a part of it that could split it into several areas.  `random`: its faults read nothing
    ahead.
    """

    made_by: Verb
    access: bytearray
    made_pages: int
    room: int
    dontfork: bool = False
    intact: bool = True
    random: bool = False
    below: int = PAGES_PER_TABLE - 1
    touches: bool = False

    @property
    def pages(self) -> int:
        """Pages from the first to the last it was made with, holes included."""
        return len(self.access)

    def copy(self) -> RegionView:
        """Return the region as a child inherits it."""
        return replace(self, access=bytearray(self.access))


@dataclass(slots=True)
class ProcessView:
    """What a script can know of a process; `lender` is the parent whose memory it borrows."""

    regions: dict[str, RegionView] = field(default_factory=dict)
    lender: str = ""

    @property
    def heap(self) -> str:
        """Name of the region that is the heap, or "" without one."""
        return next((name for name, v in self.regions.items() if v.made_by is Verb.BRK), "")


@dataclass(slots=True)
class World:
    """The living processes, in order of birth, and their regions.

    `apply` checks an operation and carries it out as far as a script can know; it raises
    `ValueError`, and changes nothing, if the operation cannot happen now.
    """

    processes: dict[str, ProcessView] = field(
        default_factory=lambda: {FIRST_PROCESS: ProcessView()}
    )
    ended: dict[str, str] = field(default_factory=dict)
    most_bytes: int | None = MOST_STATE_BYTES
    _taken_bytes: int = 0

    def able(self) -> list[str]:
        """Return the processes that can be told to do something, in order of birth."""
        lenders = {view.lender for view in self.processes.values()}
        return [name for name in self.processes if name not in lenders]

    def apply(self, operation: Operation) -> None:
        """Carry out `operation`."""
        process = self._process(operation.process)
        verb = operation.verb
        if verb in (Verb.FORK, Verb.VFORK):
            self._fork(operation, process)
        elif verb is Verb.EXIT:
            self._end(operation.process, "exited")
        elif verb is Verb.EXEC:
            self.processes[operation.process] = ProcessView()
        elif verb in MAPPING_VERBS:
            if operation.region == process.heap:
                raise ValueError(f"{operation.region} is the heap; give the region another name")
            self._take(operation.pages)
            process.regions[operation.region] = _new_region(operation, process)
        elif verb is Verb.BRK:
            self._brk(operation, process)
        elif verb is Verb.RESIZE:
            self._resize(operation, _region(operation, process))
        else:
            self._on_region(operation, process, _region(operation, process))

    def _on_region(self, operation: Operation, process: ProcessView, view: RegionView) -> None:
        verb, first, access = operation.verb, operation.first, view.access
        end = view.pages if operation.whole else operation.end
        if view.made_by is Verb.STACK and verb not in STACK_VERBS:
            allowed = ", ".join(sorted(STACK_VERBS))
            raise ValueError(f"a stack cannot be told to `{verb}`; it can: {allowed}")
        if view.made_by is Verb.BRK and verb in (Verb.UNMAP, Verb.MOVE, Verb.DONTFORK):
            raise ValueError(f"{operation.region} is the heap; it cannot be told to `{verb}`")
        if verb in FILE_VERBS and view.made_by not in (Verb.MAPFILE, Verb.MAPSHFILE):
            raise ValueError(f"`{verb}` needs a region that is a file; see `mapfile`")
        if verb is Verb.COLLAPSE and view.made_by not in (Verb.MAP, Verb.BRK):
            raise ValueError("`collapse` is for private anonymous regions; see `map` and `brk`")
        if view.made_by in HUGETLB_VERBS:
            _require_whole(operation, view, first, end)
        match verb:
            case Verb.READ | Verb.WRITE:
                needed = WRITABLE if verb is Verb.WRITE else READABLE
                if min(access[first:end]) < needed:
                    self._end(operation.process, "was killed by SIGSEGV")
            case Verb.UNMAP:
                if view.made_by is Verb.STACK and end - first < view.pages:
                    raise ValueError("a stack is unmapped whole; write no range")
                access[first:end] = bytes(end - first)
                if not any(access):
                    del process.regions[operation.region]
            case Verb.PROTECT:
                hole = access.find(UNMAPPED, first, end)
                stop = end if hole < 0 else hole
                access[first:stop] = bytes([ACCESS_OF_MODE[operation.mode]]) * (stop - first)
            case Verb.DONTFORK | Verb.DOFORK:
                view.dontfork = verb is Verb.DONTFORK
            case Verb.RANDOM | Verb.SEQUENTIAL | Verb.NORMAL:
                view.random = verb is Verb.RANDOM
            case Verb.MOVE:
                _require_intact(operation, view)
                view.room = _room(view.made_pages)
                view.below = PAGES_PER_TABLE - 1
            case _:
                pass
        if verb in SPLITTING_VERBS and end - first < view.pages:
            view.intact = False

    def _process(self, name: str) -> ProcessView:
        if name in self.processes:
            borrower = next((n for n, v in self.processes.items() if v.lender == name), None)
            if borrower is not None:
                raise ValueError(
                    f"{name} waits until {borrower}, which borrows its memory, calls exec or exit"
                )
            return self.processes[name]
        if name in self.ended:
            raise ValueError(f"{name} {self.ended[name]}")
        raise ValueError(f"no process called {name}; living: {', '.join(self.processes) or 'none'}")

    def _fork(self, operation: Operation, process: ProcessView) -> None:
        child = operation.child
        if child in self.processes:
            raise ValueError(f"a process called {child} is living; name the child differently")
        if operation.verb is Verb.VFORK:
            if process.lender:
                raise ValueError(
                    f"{operation.process} has borrowed its memory; it may fork, not vfork"
                )
            view = ProcessView(process.regions, operation.process)
        else:
            self._take(sum(v.pages for v in process.regions.values() if not v.dontfork))
            view = ProcessView(
                {name: v.copy() for name, v in process.regions.items() if not v.dontfork}
            )
        self.ended.pop(child, None)
        self.processes[child] = view

    def _take(self, n_bytes: int) -> None:
        """Count what is to be kept; raise `ValueError` if that is too much."""
        self._taken_bytes += n_bytes
        if self.most_bytes is None or self._taken_bytes <= self.most_bytes:
            return
        own = [view.regions for view in self.processes.values() if not view.lender]
        held = sum(region.pages for regions in own for region in regions.values())
        self._taken_bytes = held + n_bytes  # some has been given back since
        if self._taken_bytes > self.most_bytes:
            raise ValueError(
                f"the processes have {self._taken_bytes:,} pages; keep to {self.most_bytes:,},"
                " or add --large"
            )

    def _brk(self, operation: Operation, process: ProcessView) -> None:
        heap = process.heap
        if not heap:
            if operation.region in process.regions:
                raise ValueError(f"{operation.region} is mapped; name the heap differently")
            process.regions[operation.region] = RegionView(Verb.BRK, bytearray(), 0, MAX_PAGES)
        elif heap != operation.region:
            raise ValueError(f"the heap of {operation.process} is {heap}, not {operation.region}")
        view = process.regions[operation.region]
        self._take(max(0, operation.pages - view.pages))
        _set_pages(view, operation.pages)

    def _resize(self, operation: Operation, view: RegionView) -> None:
        if view.made_by is not Verb.MAP:
            raise ValueError("`resize` is for private anonymous regions; see `map`")
        _require_intact(operation, view)
        if operation.pages > view.room:
            raise ValueError(
                f"{operation.region} has room for {view.room} pages, up to the next 2 MiB boundary"
            )
        self._take(max(0, operation.pages - view.pages))
        _set_pages(view, operation.pages, view.access[0])

    def _end(self, name: str, how: str) -> None:
        del self.processes[name]
        self.ended[name] = how


SPLITTING_VERBS: Final = frozenset({Verb.UNMAP, Verb.PROTECT, Verb.LOCK, Verb.UNLOCK})
READING_VERBS: Final = frozenset({Verb.RANDOM, Verb.SEQUENTIAL, Verb.NORMAL})
"""The verbs that say how a file will be read."""
FILE_VERBS: Final = READING_VERBS | {
    Verb.FILEREAD,
    Verb.FILEWRITE,
    Verb.FSYNC,
    Verb.DROP,
    Verb.WILLNEED,
}
PLACED_VERBS: Final = MAPPING_VERBS - HUGETLB_VERBS - {Verb.STACK}
STACK_VERBS: Final = TOUCHING_VERBS | {Verb.UNMAP, Verb.DONTNEED}


UNKNOWN_TO_HUGETLB: Final = FILE_VERBS | {
    Verb.MOVE,
    Verb.DONTNEED,
    Verb.FREE,
    Verb.HUGEPAGE,
    Verb.NOHUGEPAGE,
    Verb.LOCK,
    Verb.UNLOCK,
    Verb.SYNC,
    Verb.WIPEONFORK,
    Verb.KEEPONFORK,
}
"""What is not asked of huge pages of the pool."""


def _require_whole(operation: Operation, view: RegionView, first: int, end: int) -> None:
    if operation.verb in UNKNOWN_TO_HUGETLB:
        raise ValueError(f"`{operation.verb}` is not for regions made by `{view.made_by}`")
    if operation.verb in SPLITTING_VERBS and (first | end) % PAGES_PER_TABLE:
        raise ValueError(
            f"`{operation.verb}` takes whole huge pages of {operation.region}, "
            f"{PAGES_PER_TABLE} pages each"
        )


def _region(operation: Operation, process: ProcessView) -> RegionView:
    regions = process.regions
    if operation.region not in regions:
        has = ", ".join(sorted(regions)) or "none"
        raise ValueError(
            f"{operation.process} has no region {operation.region}; its regions: {has}"
        )
    view = regions[operation.region]
    if operation.verb not in SIZING_VERBS and operation.end > view.pages:
        raise ValueError(
            f"{operation.region} has {view.pages} pages; [{operation.first}, {operation.end}) "
            "reaches past them"
        )
    return view


def _room(pages: int) -> int:
    return -(-pages // PAGES_PER_TABLE) * PAGES_PER_TABLE


def _new_region(operation: Operation, process: ProcessView) -> RegionView:
    """Return the region that a mapping makes; one that it touches is told so."""
    pages = operation.pages
    old = process.regions.get(operation.region)
    if old is not None and old.touches:
        raise ValueError(
            f"{operation.region} touches another region, or did; unmap it before it is mapped again"
        )
    made = RegionView(operation.verb, bytearray([WRITABLE]) * pages, pages, _room(pages))
    if not operation.beside:
        return made
    if operation.beside == operation.region:
        where = "behind" if operation.behind else "below"
        raise ValueError(f"{operation.region} cannot lie {where} itself; name another region")
    view = _region(Operation(operation.process, Verb.UNMAP, operation.beside), process)
    if view.made_by not in PLACED_VERBS:
        raise ValueError(f"{operation.beside} is a heap or a stack: nothing may touch it")
    left = view.room - view.pages if operation.behind else view.below
    if pages > left:
        where = f"behind {operation.behind}" if operation.behind else f"below {operation.below}"
        raise ValueError(f"{where} there is room for {left} pages, up to the next 2 MiB boundary")
    if operation.behind:
        made.room, made.below, view.room = left, 0, view.pages
    else:
        made.room, made.below, view.below = pages, left - pages, 0
    made.touches = view.touches = True
    return made


def _set_pages(view: RegionView, pages: int, access: int = WRITABLE) -> None:
    del view.access[pages:]
    view.access += bytes([access]) * (pages - view.pages)


def _require_intact(operation: Operation, view: RegionView) -> None:
    if not view.intact:
        raise ValueError(
            f"`{operation.verb}` needs a region in one piece; a part of {operation.region} was "
            "unmapped, protected or locked on its own"
        )


def check_script(
    operations: Iterable[Operation], *, file: str | None = None, large: bool = False
) -> None:
    """Raise `ScenarioError`, with file and line, at the first operation that cannot happen.

    Unless it may be `large`, one that takes more than `MOST_STATE_BYTES` cannot.
    """
    world = World(most_bytes=None if large else MOST_STATE_BYTES)
    for operation in operations:
        try:
            world.apply(operation)
        except ValueError as error:
            raise ScenarioError(str(error), file, operation.line or None) from None


def is_valid(operations: Iterable[Operation]) -> bool:
    """Whether every operation can happen when its turn comes."""
    try:
        check_script(operations)
    except ScenarioError:
        return False
    return True


def parse_script(text: str, *, file: str | None = None, large: bool = False) -> list[Operation]:
    """Return the operations of a script; raise `ScenarioError` at the first bad line."""
    operations = []
    for number, line in enumerate(text.splitlines(), start=1):
        operation = parse_line(line, file=file, line=number)
        if operation is not None:
            operations.append(operation)
    check_script(operations, file=file, large=large)
    return operations


def load_script(path: str | Path, *, large: bool = False) -> list[Operation]:
    """Read and parse the script at `path`; raise `ScenarioError` if it cannot be."""
    return parse_script(script_text(path), file=shown_path(path), large=large)
