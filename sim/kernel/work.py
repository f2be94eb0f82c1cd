"""What a step did, as lines of work, and how it ended.

A line names a kind of work and counts its units; `sim.cost` has a price for each, in the same
order.
"""

from typing import Final

from sim.base.jit import compiled, inlined
from sim.machine.layout import RECEIPT_LINES, Arrays

# --- how a step ended ---------------------------------------------------------------------
MORE: Final = 0
"""The step was carried out; the operation goes on."""
DONE: Final = 1
"""The step was carried out, and with it the operation."""
SHORT: Final = 2
"""Nothing happened: memory is short (`task.need` frames)."""
GROW: Final = 3
"""Nothing happened: the arrays of the simulation need more room."""
SEGV: Final = 4
"""The access is invalid: the page is in no area, or against its permissions."""
LOCKED: Final = 5
"""Nothing happened: another task holds the mmap lock."""
UNDER_WAY: Final = 6
"""Nothing happened: a page of a file is still being read from the device."""

BEGUN: Final = -2
"""In place of a fault's kind: the step has begun a fault that a later step will serve."""

# --- error numbers of Linux -----------------------------------------------------------------
E2BIG: Final = 7
ENOMEM: Final = 12
EAGAIN: Final = 11
EFAULT: Final = 14
EINVAL: Final = 22

# --- what refuses memory ----------------------------------------------------------------------
BY_PROMISE: Final = 1
"""Overcommit accounting (`sim.kernel.overcommit`)."""
BY_LIMIT: Final = 2
"""The address space: no addresses are free where they are wanted."""
BY_MEMORY: Final = 3
"""The pool: a call that does not wait found no frames."""

# --- kinds of work ----------------------------------------------------------------------------
ACCESS: Final = 0
ZERO_FILL: Final = 1
ZERO_PAGE_MAP: Final = 2
COW_COPY: Final = 3
COW_REUSE: Final = 4
FILE_MAP: Final = 5
FILE_MAP_AROUND: Final = 6
MAJOR_FAULT: Final = 7
SEGFAULT: Final = 8
SPURIOUS: Final = 9
TABLE_ALLOC: Final = 10
FORK_BASE: Final = 11
FORK_AREA: Final = 12
FORK_TABLE: Final = 13
FORK_PTE: Final = 14
FORK_FOLIO: Final = 15
FORK_HUGE: Final = 16
FORK_EAGER_COPY: Final = 17
FORK_FLUSH: Final = 18
VFORK_BASE: Final = 19
EXEC_BASE: Final = 20
EXIT_BASE: Final = 21
UNMAP_AREA: Final = 22
UNMAP_PTE: Final = 23
TABLE_FREE: Final = 24
FRAME_FREE: Final = 25
MMAP_CALL: Final = 26
MUNMAP_CALL: Final = 27
BRK_CALL: Final = 28
MADVISE_CALL: Final = 29
WAIT_CALL: Final = 30
CONTEXT_SWITCH: Final = 31
OOM_KILL: Final = 32
HUGE_ZERO_FILL: Final = 33
HUGE_COPY: Final = 34
RECLAIM_PAGE: Final = 35
HUGE_SPLIT: Final = 36
MPROTECT_CALL: Final = 37
PROTECT_PTE: Final = 38
CACHE_FILL: Final = 39
FOLIO_PAGE: Final = 40
COLLAPSE: Final = 41

LINES: Final = (
    "ACCESS ZERO_FILL ZERO_PAGE_MAP COW_COPY COW_REUSE FILE_MAP FILE_MAP_AROUND MAJOR_FAULT "
    "SEGFAULT SPURIOUS TABLE_ALLOC FORK_BASE FORK_AREA FORK_TABLE FORK_PTE FORK_FOLIO FORK_HUGE "
    "FORK_EAGER_COPY FORK_FLUSH VFORK_BASE EXEC_BASE EXIT_BASE UNMAP_AREA UNMAP_PTE TABLE_FREE "
    "FRAME_FREE MMAP_CALL MUNMAP_CALL BRK_CALL MADVISE_CALL WAIT_CALL CONTEXT_SWITCH OOM_KILL "
    "HUGE_ZERO_FILL HUGE_COPY RECLAIM_PAGE HUGE_SPLIT MPROTECT_CALL PROTECT_PTE CACHE_FILL "
    "FOLIO_PAGE COLLAPSE"
).split()
"""Names of the kinds, in order."""

# --- purposes of random draws: one per price, then these --------------------------------------
DRAW_PAGE: Final = 42
DRAW_HOT: Final = 43


@compiled
def add_up(m: Arrays, line: int, units: int) -> None:
    """Add units to the row of their kind behind the first `RECEIPT_LINES` rows of the receipt."""
    clock = m.clock[0]
    at = RECEIPT_LINES
    while at < clock.lines and m.receipt[at, 0] != line:
        at += 1
    if at == clock.lines:
        m.receipt[at, 0] = line
        m.receipt[at, 1] = 0
        clock.lines = at + 1
    m.receipt[at, 1] += units


@inlined
def note(m: Arrays, line: int, units: int) -> None:
    """Add a line to the receipt of the step under way."""
    clock = m.clock[0]
    at = int(clock.lines)
    if at >= RECEIPT_LINES:
        add_up(m, line, units)
        return
    m.receipt[at, 0] = line
    m.receipt[at, 1] = units
    clock.lines = at + 1


@inlined
def note_fault(m: Arrays, kind: int) -> None:
    """Add a page fault of `kind` to the receipt."""
    m.clock[0].kind = kind
    note(m, kind, 1)
