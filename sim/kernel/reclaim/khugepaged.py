"""khugepaged: the kernel's thread that looks through memory for 2 MiB to collapse.

It goes through address spaces, in each through areas that want huge pages, a leaf table a step, and
goes on next time where it stopped.  It collapses what `sim.kernel.calls.collapse` could, if

- at most `MAX_PTES_NONE` entries are absent or the zero page, and any other was used,
- at most `MAX_PTES_SHARED` pages are shared,
- no page is swapped out (Linux would read some back),
- before Linux 6.18, an entry is writable.

It passes over an address space whose mmap lock is taken, and holds that lock while it collapses.
Read in Linux 6.1 `mm/khugepaged.c` (`khugepaged_scan_mm_slot`, `hpage_collapse_scan_pmd`).
"""

from typing import Final

from sim.base.jit import compiled, rare
from sim.kernel.calls.collapse import any_swapped, any_writable, collapse_leaf
from sim.kernel.fault.folio import maybe_shared
from sim.kernel.fault.huge import may_be_huge
from sim.kernel.fork.shared_tables import is_shared_table
from sim.kernel.lock import lock_space, may_lock, unlock_space
from sim.kernel.work import DONE, MORE, note
from sim.machine.entries import maps_memory
from sim.machine.groups import charge_to
from sim.machine.layout import (
    F_LARGE,
    HUGE_ORDER,
    HUGE_PAGES,
    KIND_ANON,
    NONE,
    PFN_SHIFT,
    PTE_ACCESSED,
    SLOTS_SPACES,
    TABLE_MASK,
    TABLE_SHIFT,
    Arrays,
)
from sim.machine.pool import take_block
from sim.machine.rules.huge import R_COLLAPSE_READONLY
from sim.machine.tables import find_table
from sim.machine.work import ACCESS

MAX_PTES_NONE: Final = 511
MAX_PTES_SHARED: Final = 256

REST: Final = 0
"""It has looked at as much as it may, or at everything."""
GOES_ON: Final = 1
"""It has collapsed something, and may look at more."""
NO_BLOCK: Final = 2
"""There was something to collapse, but no block of frames for it."""


@compiled
def worth_it(m: Arrays, space: int, base: int, leaf: int) -> bool:
    """Whether khugepaged would collapse what a leaf table maps."""
    absent = 0
    shared = 0
    used = 0
    for at in range(HUGE_PAGES):
        entry = int(m.tables[leaf, at])
        if not maps_memory(entry):
            absent += 1
            continue
        pfn = entry >> PFN_SHIFT
        frame = m.frames[pfn]
        if frame.bits & F_LARGE != 0:
            shared += 1 if maybe_shared(m, space, base + at, pfn) else 0
        elif frame.maps > 1:
            shared += 1
        used += 1 if entry & PTE_ACCESSED != 0 else 0
    if any_swapped(m, leaf):
        return False
    if m.config[0].rules & R_COLLAPSE_READONLY == 0 and not any_writable(m, leaf):
        return False
    return absent <= MAX_PTES_NONE and shared <= MAX_PTES_SHARED and used > 0


@compiled
def area_to_look_at(m: Arrays, space: int, vpn: int) -> int:
    """Return the first area that wants huge pages and has whole 2 MiB from `vpn` on, or NONE."""
    area = int(m.spaces[space].head)
    while area != NONE:
        a = m.areas[area]
        base = ((max(int(a.start), vpn) + TABLE_MASK) >> TABLE_SHIFT) << TABLE_SHIFT
        if base + HUGE_PAGES <= a.end and a.anon_root != NONE and may_be_huge(m, area, base):
            return area
        area = int(a.next)
    return NONE


@compiled
def next_space(m: Arrays, space: int) -> int:
    """Return the next address space in use, or NONE."""
    for other in range(space + 1, int(m.slots[SLOTS_SPACES].room)):
        if m.spaces[other].users > 0 and m.spaces[other].leaving == 0:
            return other
    return NONE


@rare
def khugepaged_step(m: Arrays, cpu: int, task: int) -> int:
    """Look at the next 2 MiB, and collapse them if it is worth it; or go to another address space.

    Where it has come to is in the task's `scan_space` and `scan_start`; `scan_left` is how many
    pages it may still look at; `result` says why it is done.
    """
    t = m.tasks[task]
    o = m.operations[task]
    space = int(t.scan_space)
    if o.stage == 1:  # the lock is given back when the collapse has taken its time
        unlock_space(m, task, space)
        o.result = GOES_ON
        return DONE
    o.result = REST
    if t.scan_left <= 0:
        return DONE
    area = NONE
    if space != NONE:
        s = m.spaces[space]
        if s.users > 0 and s.leaving == 0 and may_lock(m, space):
            area = area_to_look_at(m, space, int(t.scan_start))
    if area == NONE:
        t.scan_space = next_space(m, max(space, 0))
        t.scan_start = 0
        t.scan_left -= 1
        return DONE if t.scan_space == NONE else MORE
    first = max(int(m.areas[area].start), int(t.scan_start))
    base = ((first + TABLE_MASK) >> TABLE_SHIFT) << TABLE_SHIFT
    t.scan_start = base + HUGE_PAGES
    t.scan_left -= HUGE_PAGES
    leaf = find_table(m, space, base, 0)
    if leaf == NONE or (m.spaces[space].shared_tables > 0 and is_shared_table(m, space, base)):
        return MORE
    note(m, ACCESS, HUGE_PAGES)
    if not worth_it(m, space, base, leaf):
        return MORE
    charge_to(m, cpu, int(m.spaces[space].group))  # whose memory it is
    block = take_block(m, cpu, task, HUGE_ORDER, KIND_ANON)
    if block == NONE:
        o.result = NO_BLOCK
        return DONE
    lock_space(m, task, space, base, base + HUGE_PAGES)
    collapse_leaf(m, cpu, space, area, base, block)
    o.stage = 1
    return MORE
