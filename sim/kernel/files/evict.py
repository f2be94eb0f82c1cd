"""Files that come into the page cache whole, and go with their last area."""

from typing import Final

from sim.base.jit import compiled, rare
from sim.kernel.files.cache import (
    cache_folio,
    uncache_page,
)
from sim.kernel.files.reads import absent_pages
from sim.kernel.files.shmem import shmem_free_swap
from sim.kernel.hugetlb.areas import close_area
from sim.kernel.hugetlb.pages import evict_hugetlb
from sim.kernel.work import (
    MORE,
    SHORT,
    note,
    note_freed,
)
from sim.machine.areas import drop_area
from sim.machine.cached import find_slot, forget_shadows, has_page
from sim.machine.layout import (
    F_REFERENCED,
    KIND_HUGETLB,
    KIND_SHMEM,
    NONE,
    ROOT,
    SLOTS_FILES,
    Arrays,
)
from sim.machine.pool import secure
from sim.machine.slab import object_pages
from sim.machine.slots import give_row
from sim.machine.tree import tree_bytes
from sim.machine.work import (
    CACHE_FILL,
    FRAME_FREE,
)

FILL_PAGES: Final = 32
"""Pages that one step puts into the page cache."""
EVICT_PAGES: Final = 512
"""Pages that one step takes out of it."""


@rare
def fill_step(m: Arrays, cpu: int, task: int) -> int:
    """Put the next pages of a file that is being mapped into the page cache, clean."""
    o = m.operations[task]
    file = int(o.file)
    f = m.files[file]
    end = min(int(o.at) + FILL_PAGES, int(f.pages))
    absent = absent_pages(m, file, int(o.at), end)
    nodes = 0
    if m.cpus[cpu].group != ROOT:
        nodes = object_pages(m, cpu, tree_bytes(m, file, int(o.at), end, 0))
    if not secure(m, cpu, task, absent + nodes):
        return SHORT
    for index in range(int(o.at), end):
        if not has_page(m, file, index):
            cache_folio(m, cpu, file, index, 0, F_REFERENCED, False)
    note(m, CACHE_FILL, absent)
    o.at = end
    if end == f.pages:
        f.fills = 0
    return MORE


@compiled
def remove_vma(m: Arrays, task: int, area: int) -> None:
    """Drop an area; the last one of a file leaves its pages to be evicted."""
    file = int(m.areas[area].file)
    close_area(m, area)
    drop_area(m, area)
    if file == NONE:
        return
    f = m.files[file]
    if f.users == 0 and f.known == 0:
        f.at = 0
        f.next = m.tasks[task].evict
        m.tasks[task].evict = file


@rare
def evict_step(m: Arrays, cpu: int, task: int) -> None:
    """Free some pages of the first file that the task is to evict; at last, the file."""
    t = m.tasks[task]
    file = int(t.evict)
    f = m.files[file]
    end = min(int(f.at) + EVICT_PAGES, int(f.pages))
    freed = 0
    if f.kind == KIND_HUGETLB:
        freed = evict_hugetlb(m, file, int(f.at), end)
    else:
        for index in range(int(f.at), end):
            if has_page(m, file, index):
                uncache_page(m, cpu, file, index, 0)
                freed += 1
            elif f.kind == KIND_SHMEM and find_slot(m, file, index) != 0:
                shmem_free_swap(m, cpu, file, index)
        forget_shadows(m, cpu, file, int(f.at), end)
    f.at = end
    note_freed(m, FRAME_FREE, freed)
    if end == f.pages:
        m.pool[0].committed -= f.committed
        t.evict = f.next
        f.kind = 0
        give_row(m.slots[SLOTS_FILES], m.files, file)
