"""Calls that change a range of areas: mprotect, and those of madvise that set flags.

Both go from area to area; the range may cut areas, and its pieces may merge with neighbours.
mprotect stops at the first hole, madvise goes on behind it; both then say ENOMEM.  Read in Linux
6.12 `mm/mprotect.c` (`mprotect_fixup`, `change_pte_range`) and `mm/madvise.c`.
"""

from sim.base.jit import compiled, rare
from sim.kernel.calls.populate import WRITE, populate_page
from sim.kernel.calls.ranges import area_ahead, area_there, begin_range, entries_ahead
from sim.kernel.fault.pmd import huge_entry, split_across, split_huge
from sim.kernel.flush import flush_pmd, flush_tlb_range
from sim.kernel.hugetlb.areas import may_split
from sim.kernel.hugetlb.pages import protect_hugetlb
from sim.kernel.overcommit import commit, promised
from sim.kernel.work import DONE, EINVAL, ENOMEM, GROW, MORE, note
from sim.machine.areas import area_room, merge_area, split_area
from sim.machine.entries import pte_mkwrite, pte_present, pte_wrprotect, set_pmd, set_pte
from sim.machine.layout import (
    A_ACCOUNT,
    A_EXEC,
    A_HUGEPAGE,
    A_LOCKED,
    A_NORESERVE,
    A_READ,
    A_SHARED,
    A_WIPEONFORK,
    A_WRITE,
    F_EXCLUSIVE,
    HUGE_PAGES,
    KIND_ANON,
    KIND_FILE,
    KIND_HUGETLB,
    NONE,
    PFN_SHIFT,
    PTE_DIRTY,
    PTE_WRITE,
    PTE_ZERO,
    TABLE_MASK,
    VPN_BITS,
    Arrays,
)
from sim.machine.rules.huge import R_PROTECT_HUGE
from sim.machine.rules.pages import R_PROTECT_WRITE
from sim.machine.tables import find_table
from sim.machine.work import MPROTECT_CALL, PROTECT_PTE

ALL_PAGES = 1 << VPN_BITS


@compiled
def change_flags(m: Arrays, area: int, start: int, end: int, bits: int) -> int:
    """Give [start, end), which lies in one area, its new flags; return the area it is in then.

    Two free slots for areas must be there.
    """
    space = int(m.areas[area].space)
    if m.areas[area].start < start:
        split_across(m, space, start)
        area = split_area(m, area, start)
    if m.areas[area].end > end:
        split_across(m, space, end)
        split_area(m, area, end)
    m.areas[area].vm_flags = bits
    m.spaces[space].generation += 1
    return merge_area(m, area)


@compiled
def protected_bits(m: Arrays, area: int, access: int) -> int:
    """Return the flags an area has after mprotect to `access`."""
    a = m.areas[area]
    bits = int(a.vm_flags) & ~(A_READ | A_WRITE | A_EXEC) | access
    if bits == a.vm_flags:
        return bits
    if a.kind == KIND_HUGETLB:
        return bits
    if access & A_WRITE != 0 and bits & (A_SHARED | A_NORESERVE) == 0:
        bits |= A_ACCOUNT
    elif a.kind == KIND_ANON and a.anon_vma == NONE:
        bits &= ~A_ACCOUNT
    return bits


@compiled
def mprotect_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of mprotect of `pages` pages from `start` on to the permissions in `set_flags`.

    Stage 1 changes the next area, stage 2 its entries, a leaf table a step.  Where private locked
    memory may be written now, stage 3 writes to each of its pages, so that none is shared.
    """
    t = m.tasks[task]
    o = m.operations[task]
    end = int(o.start + o.pages)
    if o.stage == 0:
        if o.pages <= 0 or o.start < 0 or end > ALL_PAGES:
            o.errno = EINVAL
            return DONE
        note(m, MPROTECT_CALL, 1)
        o.at = o.start
        o.stage = 1
        return MORE
    if o.stage == 1:
        return protect_area(m, task, end)
    if o.stage == 3:
        return unshare_locked(m, cpu, task, end)
    vpn, upto = entries_ahead(m, task)
    if vpn < upto:
        protect_leaf(m, int(t.space), int(o.area), vpn, upto)
    if upto < o.area_end:
        return MORE
    if o.unshares == 1:
        o.stage = 3
        return MORE
    o.stage = 1
    return MORE if upto < end else DONE


@compiled
def unshare_locked(m: Arrays, cpu: int, task: int, end: int) -> int:
    """Write to the next page of the area under way; it is `unshare_page`."""
    o = m.operations[task]
    status = populate_page(m, cpu, task, int(o.unshare_page), WRITE)
    if status != DONE:
        return status
    o.unshare_page += 1
    if o.unshare_page < o.area_end and o.errno == 0:
        return MORE
    o.errno = 0
    o.stage = 1
    return MORE if o.at < end else DONE


@rare
def protect_area(m: Arrays, task: int, end: int) -> int:
    """Give the next area of the range, or its part, new permissions."""
    t = m.tasks[task]
    o = m.operations[task]
    space = int(t.space)
    area = area_there(m, task)
    if area == NONE:
        return DONE
    a = m.areas[area]
    start = int(o.at)
    limit = min(int(a.end), end)
    bits = protected_bits(m, area, int(o.set_flags))
    if bits == a.vm_flags:
        o.at = limit
        return MORE if limit < end else DONE
    if not may_split(m, space, start) or not may_split(m, space, limit):
        o.errno = EINVAL
        return DONE
    if not area_room(m, 2):
        return GROW
    extra = limit - start
    if bits & A_ACCOUNT > a.vm_flags & A_ACCOUNT:
        if not promised(m, task, space, extra):
            o.errno = ENOMEM
            return DONE
        commit(m, space, extra)
    elif bits & A_ACCOUNT < a.vm_flags & A_ACCOUNT:
        commit(m, space, -extra)
    private_locked = a.vm_flags & (A_WRITE | A_SHARED | A_LOCKED) == A_LOCKED
    o.unshares = 1 if private_locked and bits & A_WRITE != 0 else 0
    o.unshare_page = start
    o.area = change_flags(m, area, start, limit, bits)
    o.area_end = limit
    o.stage = 2
    return MORE


@rare
def protect_leaf(m: Arrays, space: int, area: int, start: int, end: int) -> None:
    """Bring the entries of [start, end), within one leaf table, in line with the area's flags."""
    a = m.areas[area]
    allowed = a.vm_flags & A_WRITE != 0
    leaf = find_table(m, space, start, 0)
    if leaf == NONE:
        if a.kind == KIND_HUGETLB:
            protect_hugetlb(m, area, start)
            return
        if end - start == HUGE_PAGES:
            protect_huge(m, space, start, allowed)
            return
        leaf = split_huge(m, space, start)
    private = a.vm_flags & A_SHARED == 0
    gives = allowed and m.config[0].rules & R_PROTECT_WRITE != 0
    is_file = a.kind == KIND_FILE
    changed = 0
    for vpn in range(start, end):
        at = vpn & TABLE_MASK
        entry = int(m.tables[leaf, at])
        if not pte_present(entry):
            continue
        changed += 1
        writable = allowed
        if private:
            frame = m.frames[entry >> PFN_SHIFT]
            writable = gives and entry & PTE_ZERO == 0 and frame.bits & F_EXCLUSIVE != 0
        elif is_file:
            writable = allowed and entry & PTE_DIRTY != 0
        set_pte(m, leaf, at, pte_mkwrite(entry) if writable else pte_wrprotect(entry))
        if entry & PTE_WRITE != 0 and not writable:
            flush_tlb_range(m, space, vpn, vpn + 1)
    note(m, PROTECT_PTE, changed)


@compiled
def protect_huge(m: Arrays, space: int, vpn: int, allowed: bool) -> None:
    """Do as `protect_leaf` for a whole huge entry."""
    entry = huge_entry(m, space, vpn)
    frame = m.frames[entry >> PFN_SHIFT]
    middle = find_table(m, space, vpn, 1)
    gives = allowed and m.config[0].rules & R_PROTECT_HUGE != 0
    if gives and entry & PTE_ZERO == 0 and frame.bits & F_EXCLUSIVE != 0:
        set_pmd(m, middle, vpn, pte_mkwrite(entry))
    else:
        set_pmd(m, middle, vpn, pte_wrprotect(entry))
        flush_pmd(m, space, vpn)
    note(m, PROTECT_PTE, 1)


@rare
def advise_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of a madvise that sets `set_flags` and clears `clear_flags`."""
    o = m.operations[task]
    end = int(o.start + o.pages)
    if o.stage == 0:
        begin_range(m, task)
        return MORE
    if o.at >= end:
        return DONE
    area = area_ahead(m, task, end)
    if area == NONE:
        return DONE
    a = m.areas[area]
    if o.set_flags & A_WIPEONFORK != 0 and (a.kind != KIND_ANON or a.vm_flags & A_SHARED != 0):
        o.errno = EINVAL
        return DONE
    if a.kind == KIND_HUGETLB and o.set_flags & A_HUGEPAGE != 0:
        o.errno = EINVAL
        return DONE
    return set_flags(m, task, area, end)


@compiled
def set_flags(m: Arrays, task: int, area: int, end: int) -> int:
    """Set and clear flags of an area as the call says, as far as it lies in the range."""
    o = m.operations[task]
    a = m.areas[area]
    limit = min(int(a.end), end)
    bits = int(a.vm_flags | o.set_flags) & ~int(o.clear_flags)
    if a.kind == KIND_HUGETLB:
        bits &= ~A_LOCKED  # nobody takes its pages away
    if bits != a.vm_flags:
        space = int(a.space)
        if not may_split(m, space, int(o.at)) or not may_split(m, space, limit):
            o.errno = EINVAL
            return DONE
        if not area_room(m, 2):
            return GROW
        change_flags(m, area, int(o.at), limit, bits)
    o.at = limit
    return MORE if limit < end else DONE
