"""What can happen at a given point of a script.

A script is *valid* when every line speaks of a living process, of a region it has, of pages inside
that region.  Which accesses end in SIGSEGV follows from mappings and protections alone, so a
script that lets a process die knows that it did: later lines may not speak of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.errors import ScenarioError
from sim.host.script import FIRST_PROCESS, MAPPING_VERBS, Operation, Verb, parse_line

if TYPE_CHECKING:
    from collections.abc import Iterable

UNMAPPED: Final = 0
NO_ACCESS: Final = 1
READABLE: Final = 2
WRITABLE: Final = 3
ACCESS_OF_MODE: Final = {"none": NO_ACCESS, "r": READABLE, "rw": WRITABLE}

MAX_SCRIPT_BYTES: Final = 4 << 20


@dataclass(slots=True)
class RegionView:
    """What a script can know of a region: how it was made and who may do what with each page."""

    made_by: Verb
    access: bytearray
    dontfork: bool = False

    @property
    def pages(self) -> int:
        """Pages from the first to the last it was made with, holes included."""
        return len(self.access)

    def copy(self) -> RegionView:
        """Return the region as a child inherits it."""
        return RegionView(self.made_by, bytearray(self.access), self.dontfork)


@dataclass(slots=True)
class World:
    """The living processes, in order of birth, and their regions.

    `apply` checks an operation and carries it out as far as a script can know; it raises
    `ValueError`, and changes nothing, if the operation cannot happen now.
    """

    processes: dict[str, dict[str, RegionView]] = field(default_factory=lambda: {FIRST_PROCESS: {}})
    ended: dict[str, str] = field(default_factory=dict)

    def region(self, operation: Operation) -> RegionView:
        """Return the region that `operation` speaks of."""
        regions = self.processes[operation.process]
        if operation.region not in regions:
            has = ", ".join(sorted(regions)) or "none"
            raise ValueError(
                f"{operation.process} has no region {operation.region}; its regions: {has}"
            )
        view = regions[operation.region]
        if operation.end > view.pages:
            raise ValueError(
                f"{operation.region} has {view.pages} pages; [{operation.first}, {operation.end}) "
                "reaches past them"
            )
        return view

    def apply(self, operation: Operation) -> None:
        """Carry out `operation`."""
        self._require_living(operation.process)
        regions = self.processes[operation.process]
        verb = operation.verb
        if verb is Verb.FORK:
            self._fork(operation)
        elif verb is Verb.EXIT:
            self._end(operation.process, "exited")
        elif verb in MAPPING_VERBS:
            regions[operation.region] = RegionView(verb, bytearray([WRITABLE]) * operation.pages)
        else:
            view = self.region(operation)
            end = view.pages if operation.whole else operation.end
            self._on_region(operation, view, end)

    def _on_region(self, operation: Operation, view: RegionView, end: int) -> None:
        first, access = operation.first, view.access
        match operation.verb:
            case Verb.READ | Verb.WRITE:
                needed = WRITABLE if operation.verb is Verb.WRITE else READABLE
                if min(access[first:end]) < needed:
                    self._end(operation.process, "was killed by SIGSEGV")
            case Verb.UNMAP:
                access[first:end] = bytes(end - first)
                if not any(access):
                    del self.processes[operation.process][operation.region]
            case Verb.PROTECT:
                hole = access.find(UNMAPPED, first, end)
                stop = end if hole < 0 else hole
                access[first:stop] = bytes([ACCESS_OF_MODE[operation.mode]]) * (stop - first)
            case Verb.DONTFORK:
                view.dontfork = True
            case _:
                pass

    def _require_living(self, name: str) -> None:
        if name in self.processes:
            return
        if name in self.ended:
            raise ValueError(f"{name} {self.ended[name]}")
        raise ValueError(f"no process called {name}; living: {', '.join(self.processes) or 'none'}")

    def _fork(self, operation: Operation) -> None:
        child = operation.child
        if child in self.processes:
            raise ValueError(f"a process called {child} is living; name the child differently")
        self.ended.pop(child, None)
        self.processes[child] = {
            name: view.copy()
            for name, view in self.processes[operation.process].items()
            if not view.dontfork
        }

    def _end(self, name: str, how: str) -> None:
        del self.processes[name]
        self.ended[name] = how


def check_script(operations: Iterable[Operation], *, file: str | None = None) -> None:
    """Raise `ScenarioError`, with file and line, at the first operation that cannot happen."""
    world = World()
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


def parse_script(text: str, *, file: str | None = None) -> list[Operation]:
    """Return the operations of a script; raise `ScenarioError` at the first bad line."""
    operations = []
    for number, line in enumerate(text.splitlines(), start=1):
        operation = parse_line(line, file=file, line=number)
        if operation is not None:
            operations.append(operation)
    check_script(operations, file=file)
    return operations


def load_script(path: str | Path) -> list[Operation]:
    """Read and parse the script at `path`; raise `ScenarioError` if it cannot be."""
    file = Path(path)
    try:
        if file.stat().st_size > MAX_SCRIPT_BYTES:
            raise ScenarioError("too long for a script (over 4 MiB)", str(path))
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"cannot be read: {error.strerror}", str(path)) from None
    except UnicodeDecodeError:
        raise ScenarioError("is not UTF-8 text; write a script", str(path)) from None
    return parse_script(text, file=str(path))
