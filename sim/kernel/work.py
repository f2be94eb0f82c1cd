"""What a step did, as lines of work, and how it ended.

A line is a kind of work (`sim.machine.work`) and its units.
"""

from typing import Final

from sim.base.jit import compiled, inlined
from sim.machine.layout import NONE, RECEIPT_LINES, ZERO_AT_FREE, Arrays
from sim.machine.work import MAJOR_FAULT, PAGE_STOLEN, PAGE_ZERO, RECLAIM_PAGE, SWAP_WRITE

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
"""The access is invalid: the page is in no area, against its permissions, or cannot be had (SIGBUS,
see the operation's `fault_signal`)."""
LOCKED: Final = 5
"""Nothing happened: another task holds the mmap lock."""
UNDER_WAY: Final = 6
"""Nothing happened: a page of a file is still being read from the device."""
THROTTLED: Final = 7
"""Nothing happened: too many pages of files are dirty; it waits until a device has written some."""
NO_ROOM_YET: Final = 8
"""Nothing happened: memory is short, and can be had once a device has written some pages."""
SLEEPS: Final = 9
"""Nothing happened: its group is above `memory.high`, so that it has to sleep before it goes on."""
RECLAIMED: Final = 10
"""It has looked for pages to reclaim, and nothing else: whatever it asked for it still needs."""

BEGUN: Final = -2
"""In place of a fault's kind: the step has begun a fault that a later step will serve."""

BEGUN_FAULT: Final = 4
"""What ``o.waits`` is while a fault has done what comes before its page, and waited for nothing."""

# --- error numbers of Linux -----------------------------------------------------------------
E2BIG: Final = 7
ENOMEM: Final = 12
EAGAIN: Final = 11
EFAULT: Final = 14
EINVAL: Final = 22

# --- signals, other than SIGSEGV
SIGBUS: Final = 7

# --- what refuses memory ----------------------------------------------------------------------
BY_PROMISE: Final = 1
"""Overcommit accounting (`sim.kernel.overcommit`)."""
BY_LIMIT: Final = 2
"""The address space: no addresses are free where they are wanted."""
BY_MEMORY: Final = 3
"""The pool: a call that does not wait found no frames."""
BY_HUGETLB: Final = 4
"""The pool of huge pages: not as many are left that nobody has reserved."""
BY_GROUP: Final = 5
"""A control group at its limit, in which nobody is left to be killed."""


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


@compiled
def note_freed(m: Arrays, line: int, frames: int) -> None:
    """Add frames given back, as `line`, to the receipt; with their zeroing, if that is now."""
    note(m, line, frames)
    if m.config[0].zeroing == ZERO_AT_FREE:
        note(m, PAGE_ZERO, frames)


@compiled
def fault_waits(m: Arrays, task: int, waits: int) -> None:
    """Take note that a fault is to be made again when its page has come; as a major one if 2.

    The entry is looked up anew then: a thread may have mapped the page meanwhile.
    """
    o = m.operations[task]
    if o.waits in (0, BEGUN_FAULT) or waits == 2:
        o.waits = waits
    m.tasks[task].cached_tag = NONE


@inlined
def fault_served(m: Arrays, task: int, kind: int) -> None:
    """Add a fault of `kind` to the receipt, or a major one; that may have been counted already."""
    if m.operations[task].waits == 0:
        note_fault(m, kind)
    else:
        awaited_fault_served(m, task, kind)


@compiled
def awaited_fault_served(m: Arrays, task: int, kind: int) -> None:
    """Do as `fault_served` for a fault that waited for its page."""
    o = m.operations[task]
    if o.waits == 2:
        m.clock[0].kind = MAJOR_FAULT
    else:
        note_fault(m, MAJOR_FAULT if o.waits == 3 else kind)
    o.waits = 0


@compiled
def reclaim_cost_ps(m: Arrays) -> int:
    """Return what reclaim has cost so far."""
    spent = m.spent_ps[RECLAIM_PAGE, 1] + m.spent_ps[PAGE_STOLEN, 1]
    spent += m.spent_ps[SWAP_WRITE, 1] + m.spent_ps[PAGE_ZERO, 1]
    return int(spent)


RECLAIMS: Final = 1
"""What ``clock.reclaims`` is in a step in which memory was reclaimed."""
RECLAIMS_DIRECTLY: Final = 2
"""The same where the machine itself was short of it."""


@compiled
def note_reclaim(m: Arrays, scanned: int, stolen: int) -> None:
    """Add pages that reclaim has looked at, and those that it has taken, to the receipt."""
    clock = m.clock[0]
    if clock.reclaims == 0:
        clock.reclaims = RECLAIMS
        clock.reclaim_from_ps = reclaim_cost_ps(m)
    note(m, RECLAIM_PAGE, scanned)
    note_freed(m, PAGE_STOLEN, stolen)


@inlined
def note_fault(m: Arrays, kind: int) -> None:
    """Add a page fault of `kind` to the receipt."""
    m.clock[0].kind = kind
    note(m, kind, 1)
