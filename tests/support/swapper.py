"""A task in a group of its own that writes anonymous memory, with swap to reclaim it to."""

from typing import Any

from sim.kernel.reclaim.vmscan import DEF_PRIORITY
from sim.machine.layout import (
    F_ACTIVE,
    F_REFERENCED,
    LRU_ACTIVE_ANON,
    LRU_INACTIVE_ANON,
    PTE_ACCESSED,
    SWAP_CLUSTER_MAX,
    SWAP_IN_MEMORY,
    TABLE_MASK,
)
from sim.machine.lru import lruvec_add_folio, lruvec_del_folio
from sim.machine.tables import find_table
from support.kernel import NONE
from support.readers import Reader

BASE = 512 * 1000


class Swapper(Reader):
    """Has written `written` pages from `BASE` on, the first one first; nobody has used them since.

    All are on the inactive list.  Its swappiness is 200: anonymous memory alone is looked at.
    """

    def __init__(
        self,
        written: int,
        *,
        kind: int = SWAP_IN_MEMORY,
        swap_pages: int = 4096,
        swappiness: int = 200,
        **host: Any,
    ) -> None:
        super().__init__(swap_kind=kind, swap_pages=swap_pages, swappiness=swappiness, **host)
        self.written = written
        self.mmap(self.row, max(written, 512), start=BASE)
        self.write(self.row, BASE, written)
        self.drain()
        self.forget()

    def page(self, number: int) -> Any:
        """Return the frame of a page that is mapped."""
        return self.arrays.frames[self.pfn(self.row, BASE + number)]

    def mapped(self) -> list[int]:
        """Return the pages that are mapped."""
        return [n for n in range(self.written) if self.pfn(self.row, BASE + n) != NONE]

    def forget(self) -> None:
        """Let nobody have used what is mapped, as if reclaim had looked at it before."""
        leaf = int(find_table(self.arrays, int(self.task(self.row).space), BASE, 0))
        for n in self.mapped():
            self.arrays.tables[leaf, BASE + n & TABLE_MASK] &= ~PTE_ACCESSED
            self.page(n)["bits"] &= ~F_REFERENCED

    def activate(self, numbers: range) -> None:
        """Move pages to the active list, in their order."""
        for n in numbers:
            pfn = self.pfn(self.row, BASE + n)
            lruvec_del_folio(self.arrays, pfn)
            self.arrays.frames[pfn]["bits"] |= F_ACTIVE
            lruvec_add_folio(self.arrays, pfn)

    def lengths(self) -> tuple[int, int]:
        """Return how many pages are on the inactive list, and on the active one."""
        return len(self.on(LRU_INACTIVE_ANON)), len(self.on(LRU_ACTIVE_ANON))


def looked_at(inactive: int, active: int) -> tuple[int, int]:
    """Return how many pages Linux frees and deactivates of lists that nobody uses.

    By hand: at each priority each list gives its size >> priority, 32 at a time, the inactive one
    first; what is deactivated lengthens that; it ends once 32 are freed.
    """
    freed = deactivated = 0
    for priority in range(DEF_PRIORITY, -1, -1):
        left, left_active = inactive >> priority, active >> priority
        while left > 0 and freed < SWAP_CLUSTER_MAX:
            portion, other = min(left, SWAP_CLUSTER_MAX), min(left_active, SWAP_CLUSTER_MAX)
            inactive += other - portion
            active -= other
            freed += portion
            deactivated += other
            left -= portion
            left_active -= other
        if freed >= SWAP_CLUSTER_MAX:
            break
    return freed, deactivated
