"""What an operation did, taken down step by step while the machine carries it out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sim.kernel.fork.begin import needs_copy
from sim.kernel.ops import OP_ACCESS, OP_EXEC, OP_MPROTECT, OP_POPULATE
from sim.kernel.work import BEGUN
from sim.machine.areas import STACK_TOP_VPN, find_area
from sim.machine.layout import (
    A_DONTFORK,
    A_SHARED,
    A_WRITE,
    KIND_ANON,
    KIND_FILE,
    KIND_SHMEM,
    KIND_STACK,
    KIND_TABLE,
    NONE,
    ROOT,
)
from sim.machine.work import (
    FILE_MAP_AROUND,
    FORK_TABLE,
    HUGE_SPLIT,
    MAJOR_FAULT,
    SEGFAULT,
    TABLE_ALLOC,
)
from sim.script.grammar import Operation, Verb
from sim.walk.tell.state import (
    Area,
    Entry,
    area_facts,
    entry_at,
    frame_use,
    free_frames,
    is_exclusive,
)

if TYPE_CHECKING:
    from sim.machine.layout import Arrays
    from sim.script.processes import ScriptedProcess
    from sim.script.run import Scripted
    from sim.walk.tell.names import Names

WRITES: Final[dict[int, str]] = {
    OP_ACCESS: "write",
    OP_POPULATE: "populate_mode",
    OP_MPROTECT: "unshares",
    OP_EXEC: "counted",
}
"""What says, of operations that touch pages, whether they write."""
PURPOSES: Final = {
    "data": (KIND_ANON,),
    "page tables": (KIND_TABLE,),
    "kernel stack": (KIND_STACK,),
    "page cache": (KIND_FILE, KIND_SHMEM),
}
"""What frames are taken for, and the kinds of memory that are."""
NO_FAULT: Final = NONE


@dataclass(frozen=True, slots=True)
class Old:
    """The frame that a page had before a step: references, mappings, use, whether exclusive."""

    refs: int
    maps: int
    use: str
    exclusive: bool


@dataclass(frozen=True, slots=True)
class Touch:
    """One page touched, or faulted in, by one step.

    `kind` is the kind of work of its fault, such as `ZERO_FILL`, or `NO_FAULT` where there was
    none.  `mappers` map the page's frame now; `left` those that map the frame it had before, where
    that is another, which has `left_refs` references left.  `around` pages were mapped besides;
    `tables` frames went into page tables; `in_shared_table` says that a leaf table that others
    use was copied first; `free` are left in the pool.
    """

    process: str
    vpn: int
    write: bool
    kind: int
    area: Area | None
    before: Entry | None
    old: Old | None
    after: Entry | None
    refs: int
    mappers: tuple[str, ...]
    left: tuple[str, ...]
    left_refs: int
    around: int
    tables: int
    split: bool
    in_shared_table: bool
    free: int


@dataclass(slots=True)
class Effects:
    """All that an operation did.

    `lines` counts units of work by the kinds in `sim.machine.work`; `taken` and `returned` count
    frames by `PURPOSES`.  For a fork, `copied` says of each region of the parent whether its page
    tables are copied (1), not (0), or the child gets no such area (-1).
    """

    touches: list[Touch] = field(default_factory=list)
    lines: Counter[int] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    returned: Counter[str] = field(default_factory=Counter)
    copied: dict[str, int] = field(default_factory=dict)

    @property
    def faults(self) -> dict[int, int]:
        """Faults by kind, in the order in which they came; SIGSEGV is one."""
        return dict(Counter(touch.kind for touch in self.touches if touch.kind != NO_FAULT))


class Witness:
    """Watches a machine and takes down what its steps do."""

    def __init__(self, scripted: Scripted, names: Names) -> None:
        self._scripted = scripted
        self._names = names
        self._effects = Effects()
        self._operation: Operation | None = None
        self._used: dict[str, int] = {}
        self._vpn = NONE
        self._before: Entry | None = None
        self._old: Old | None = None
        self._stopped: tuple[str, int] | None = None
        self.minor_faults = 0

    def start(self, operation: Operation) -> None:
        """Begin to take down an operation."""
        self._effects = Effects()
        self._operation = operation
        self._stopped = None
        self.minor_faults = 0

    def finish(self, copied: dict[str, int]) -> Effects:
        """Return what was taken down since `start`."""
        self._effects.copied = copied
        return self._effects

    def interrupt(self) -> Effects:
        """Begin to take down something else; return what was taken down so far."""
        outer, self._effects = self._effects, Effects()
        return outer

    def resume(self, outer: Effects) -> Effects:
        """Go on with what was interrupted; return what was taken down in between."""
        inner, self._effects = self._effects, outer
        return inner

    # -- the machine's side ---------------------------------------------------------------------

    def before(self, process: ScriptedProcess) -> None:
        """Look at the page that the step is about."""
        m = self._scripted.machine.arrays
        t = m.tasks[process.row]
        self._used = self._counters()
        self._vpn = _page_of(m.operations[process.row])
        self._before = self._old = None
        if t.space != NONE:
            self._before = entry_at(m, int(t.space), self._vpn)
        if self._before is not None:
            f = m.frames[self._before.pfn]
            self._old = Old(
                int(f.refs),
                int(f.maps),
                frame_use(m, self._before.pfn),
                is_exclusive(m, self._before.pfn),
            )

    def after(self, process: ScriptedProcess) -> None:
        """Take down what the step did."""
        m = self._scripted.machine.arrays
        clock = m.clock[0]
        lines: Counter[int] = Counter()
        for line, units in m.receipt[: int(clock.lines)].tolist():
            lines[line] += units
        self._effects.lines += lines
        for purpose, now in self._counters().items():
            change = now - self._used[purpose]
            if change > 0:
                self._effects.taken[purpose] += change
            elif change < 0:
                self._effects.returned[purpose] -= change
        kind = int(clock.kind)
        if kind == BEGUN:  # told of where it is served
            return
        if kind != NO_FAULT or int(m.operations[process.row].op) == OP_ACCESS:
            self.minor_faults += kind not in (NO_FAULT, MAJOR_FAULT)
            self._effects.touches.append(self._touch(process, kind, lines))

    def invalid(self, process: ScriptedProcess) -> None:
        """Take down the access, just refused, that ends a process."""
        self._effects.touches.append(self._touch(process, SEGFAULT, Counter()))

    def _touch(self, process: ScriptedProcess, kind: int, lines: Counter[int]) -> Touch:
        m = self._scripted.machine.arrays
        t = m.tasks[process.row]
        space = int(t.space)
        after = entry_at(m, space, self._vpn)
        row = find_area(m, space, self._vpn)
        inside = row != NONE and bool(m.areas[row].start <= self._vpn)
        before = self._before
        moved = before is not None and after is not None and before.pfn != after.pfn
        return Touch(
            self._name(process),
            self._vpn,
            _writes(m, m.operations[process.row], row),
            kind,
            area_facts(m, row) if inside else None,
            before,
            self._old,
            after,
            int(m.frames[after.pfn].refs) if after is not None else 0,
            self._mappers(after),
            self._mappers(before) if moved else (),
            int(m.frames[before.pfn].refs) if moved and before is not None else 0,
            lines[FILE_MAP_AROUND],
            lines[TABLE_ALLOC],
            HUGE_SPLIT in lines,
            lines[FORK_TABLE] > 0,
            free_frames(m),
        )

    def _mappers(self, entry: Entry | None) -> tuple[str, ...]:
        """Return the processes whose entry for the page has the frame of `entry`."""
        if entry is None or entry.zero:
            return ()
        m = self._scripted.machine.arrays
        found = []
        for name, process in self._scripted.processes.items():
            other = entry_at(m, self._scripted.space(process), self._vpn)
            if other is not None and other.pfn == entry.pfn:
                found.append(name)
        return tuple(found)

    def _name(self, process: ScriptedProcess) -> str:
        return next((n for n, p in self._scripted.processes.items() if p is process), "")

    def _counters(self) -> dict[str, int]:
        in_use = self._scripted.machine.arrays.charged[ROOT]
        return {
            purpose: sum(int(in_use[kind]) for kind in kinds) for purpose, kinds in PURPOSES.items()
        }


def _page_of(operation: Any) -> int:
    """Return the page that an operation's next step is about, if it is about one."""
    if operation.op == OP_EXEC:  # arguments and environment go to the top of the new stack
        return STACK_TOP_VPN - 1 - int(operation.at)
    if operation.op == OP_MPROTECT:
        return int(operation.unshare_page)
    return int(operation.start + operation.at)


def _writes(m: Arrays, operation: Any, area: int) -> bool:
    """Whether an operation writes to its page; one that populates does where that may be."""
    if operation.op in WRITES:
        return bool(operation[WRITES[int(operation.op)]])
    return area != NONE and m.areas[area].vm_flags & (A_WRITE | A_SHARED) == A_WRITE


def fork_copies(scripted: Scripted, operation: Operation) -> dict[str, int]:
    """Return which regions of a process a fork would copy, see `Effects`; {} for other verbs."""
    if operation.verb is not Verb.FORK:
        return {}
    m = scripted.machine.arrays
    process = scripted.processes[operation.process]
    found = {}
    for letter, region in sorted(process.regions.items()):
        row = find_area(m, scripted.space(process), region.start)
        if row != NONE and m.areas[row].start < region.start + region.pages:
            passed_over = m.areas[row].vm_flags & A_DONTFORK
            found[letter] = -1 if passed_over else int(needs_copy(m, row))
    return found
