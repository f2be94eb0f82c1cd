"""Pages faulted in by a call rather than by an access of the program.

MAP_POPULATE, MADV_POPULATE_READ and _WRITE, mlock, and mprotect of locked memory.  Read in Linux
6.12 `mm/gup.c` (`__mm_populate`, `populate_vma_page_range`, `faultin_page_range`).
"""

from typing import Final

from sim.base.jit import compiled, rare
from sim.kernel.fault.fault import access
from sim.kernel.fault.pmd import huge_entry
from sim.kernel.files.dirty import set_page_dirty
from sim.kernel.fork.shared_tables import is_shared_table
from sim.kernel.work import DONE, EFAULT, EINVAL, ENOMEM, MORE, SEGV, note
from sim.machine.areas import find_area
from sim.machine.entries import (
    is_swap_pte,
    maps_memory,
    pte_mkclean,
    pte_none,
    pte_present,
    set_pte,
)
from sim.machine.layout import (
    A_READ,
    A_SHARED,
    A_WRITE,
    F_DIRTY,
    F_FILE,
    F_LARGE,
    F_WRITTEN,
    KIND_ANON,
    KIND_HUGETLB,
    NONE,
    PFN_SHIFT,
    PTE_BLANK,
    PTE_DIRTY,
    PTE_WRITE,
    TABLE_MASK,
    Arrays,
)
from sim.machine.rules.areas import R_POPULATE_STOPS
from sim.machine.tables import find_table
from sim.machine.work import MADVISE_CALL

READ: Final = 0
WRITE: Final = 1
AS_ALLOWED: Final = 2


@rare
def populate_page(m: Arrays, cpu: int, task: int, vpn: int, mode: int) -> int:
    """Fault in one page; DONE, with `errno` set if it cannot be, or SHORT or GROW.

    `mode` is READ, WRITE, or AS_ALLOWED: write private memory that may be written, read the rest.
    """
    t = m.tasks[task]
    o = m.operations[task]
    space = int(t.space)
    area = find_area(m, space, vpn)
    if area == NONE or m.areas[area].start > vpn:
        o.errno = ENOMEM
        return DONE
    bits = int(m.areas[area].vm_flags)
    write = mode
    if mode == AS_ALLOWED:
        write = WRITE if bits & A_WRITE != 0 and bits & A_SHARED == 0 else READ
    if bits & (A_WRITE if write == WRITE else A_READ) == 0:
        o.errno = ENOMEM if mode == AS_ALLOWED else EINVAL
        return DONE
    leaf = find_table(m, space, vpn, 0)
    before = 0 if leaf == NONE else int(m.tables[leaf, vpn & TABLE_MASK])
    known = m.areas[area].kind != KIND_ANON or holds_data(m, space, vpn, before)
    shared = leaf != NONE and m.spaces[space].shared_tables > 0 and is_shared_table(m, space, vpn)
    if write == WRITE and not shared and make_dirty(m, before):
        return DONE
    status = access(m, cpu, task, vpn, write)
    if status == SEGV and m.areas[area].kind == KIND_HUGETLB:
        o.errno = EFAULT
        return DONE
    if status == DONE:
        m.clock[0].lines -= 1  # the program itself touches nothing: no ACCESS
        if write == WRITE and not known:
            keep_blank(m, space, vpn)
    return status


@compiled
def populate_step(m: Arrays, cpu: int, task: int, mode: int) -> int:
    """Fault in the next page of the range `start`, `pages`; see `populate_page`.

    Holes and pages that may not be accessed end it with an error; before Linux 6.6 madvise went on
    behind a hole.
    """
    t = m.tasks[task]
    o = m.operations[task]
    if o.at >= o.pages:
        return DONE
    if mode != AS_ALLOWED and m.config[0].rules & R_POPULATE_STOPS == 0:
        area = find_area(m, int(t.space), int(o.start + o.at))
        if area == NONE or m.areas[area].start >= o.start + o.pages:
            o.errno = ENOMEM
            return DONE
        if m.areas[area].start > o.start + o.at:
            o.holes = 1  # a hole was passed
            o.at = m.areas[area].start - o.start
    status = populate_page(m, cpu, task, int(o.start + o.at), mode)
    if status != DONE or o.errno != 0:
        return status
    o.at += 1
    if o.at < o.pages:
        return MORE
    if mode != AS_ALLOWED and o.holes != 0:
        o.errno = ENOMEM
    return DONE


@rare
def madvise_populate_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of MADV_POPULATE_READ or _WRITE, as `populate_mode` says."""
    o = m.operations[task]
    if o.at == 0 and o.waits == 0:
        note(m, MADVISE_CALL, 1)
    return populate_step(m, cpu, task, int(o.populate_mode))


@compiled
def make_dirty(m: Arrays, entry: int) -> bool:
    """Make a page dirty whose entry is writable and clean: only a program makes entries dirty.

    False if it is no such entry.
    """
    if not pte_present(entry) or entry & PTE_WRITE == 0 or entry & PTE_DIRTY != 0:
        return False
    if entry & PTE_BLANK == 0:
        dirty_page(m, entry >> PFN_SHIFT)
    return True


@compiled
def dirty_page(m: Arrays, pfn: int) -> None:
    """Make a page dirty, and with it all of its folio."""
    if m.frames[pfn].bits & F_FILE != 0:
        set_page_dirty(m, pfn)
        return
    if m.frames[pfn].bits & F_LARGE == 0:
        m.frames[pfn].bits |= F_DIRTY
        return
    order = int(m.frames[pfn].order)
    head = pfn - (pfn & ((1 << order) - 1))
    for at in range(head, head + (1 << order)):
        if m.frames[at].bits & F_LARGE != 0 and m.frames[at].order == order:
            m.frames[at].bits |= F_DIRTY


@compiled
def holds_data(m: Arrays, space: int, vpn: int, entry: int) -> bool:
    """Whether a page, of this small entry or a huge one, may hold anything but zeros."""
    pfn = entry >> PFN_SHIFT
    if pte_none(entry):
        huge = huge_entry(m, space, vpn)
        entry = huge & ~PTE_DIRTY
        pfn = (huge >> PFN_SHIFT) + (vpn & TABLE_MASK)
    if is_swap_pte(entry):
        return True
    if not maps_memory(entry):
        return False
    return bool(entry & PTE_DIRTY != 0 or m.frames[pfn].bits & F_WRITTEN != 0)


@compiled
def keep_blank(m: Arrays, space: int, vpn: int) -> None:
    """Let an entry be dirty by the kernel's doing: a dirty one means "written to by a program".

    What holds only zeros may become the zero page (`sim.kernel.calls.lazyfree.split_folio`).
    """
    leaf = find_table(m, space, vpn, 0)
    if leaf == NONE:
        return
    entry = int(m.tables[leaf, vpn & TABLE_MASK])
    frame = m.frames[entry >> PFN_SHIFT]
    if entry & PTE_DIRTY != 0 and frame.bits & F_WRITTEN == 0:
        set_pte(m, leaf, vpn & TABLE_MASK, pte_mkclean(entry) | PTE_BLANK)
