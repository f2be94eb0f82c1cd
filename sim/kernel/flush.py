"""What processors must forget: collected while a step runs, flushed once when it ends.

A processor may go on using a translation that it has seen.  So whoever takes something away from an
entry that is present (the page, the right to write, the mark that it was written) says which pages
that concerns; who only adds something need not.  One flush at the end of the step serves all of
them in an address space, as Linux's `mmu_gather` does.

=============  =================================================================================
a flush        so far
=============  =================================================================================
leaves behind  its range and `tlb_gen`, one more, in the address space (Linux `mm_context_t`):
               a processor that has seen fewer flushes may hold what is no longer so
costs          what the price of the step includes; but fork's, one for the whole address space
               when all of it is copied, has a price of its own
=============  =================================================================================

Read in Linux 6.12 `include/asm-generic/tlb.h`, `arch/x86/mm/tlb.c`, `kernel/fork.c` (`dup_mmap`).
"""

from sim.base.jit import compiled, inlined
from sim.kernel.work import note
from sim.machine.layout import HUGE_PAGES, TABLE_MASK, VPN_BITS, Arrays
from sim.machine.work import FORK_FLUSH


@inlined
def flush_tlb_range(m: Arrays, space: int, start: int, end: int) -> None:
    """Have processors forget what they know of pages [start, end), when the step ends."""
    s = m.spaces[space]
    if s.flush_due == 0:
        s.flush_due = 1
        s.flush_start = start
        s.flush_end = end
        s.flush_next = m.clock[0].flush_space
        m.clock[0].flush_space = space
    else:
        s.flush_start = min(s.flush_start, start)
        s.flush_end = max(s.flush_end, end)


@compiled
def flush_pmd(m: Arrays, space: int, vpn: int) -> None:
    """Have processors forget the 2 MiB around `vpn`, when the step ends."""
    base = vpn - (vpn & TABLE_MASK)
    flush_tlb_range(m, space, base, base + HUGE_PAGES)


@compiled
def flush_tlb_mm(m: Arrays, space: int) -> None:
    """Have processors forget a whole address space, as fork does when it has copied it."""
    flush_tlb_range(m, space, 0, 1 << VPN_BITS)
    note(m, FORK_FLUSH, 1)


@compiled
def tlb_finish_mmu(m: Arrays) -> None:
    """Flush what is due in each address space, at the end of a step."""
    clock = m.clock[0]
    while clock.flush_space != 0:
        s = m.spaces[int(clock.flush_space)]
        s.flush_due = 0
        s.tlb_gen += 1
        clock.flush_space = s.flush_next
