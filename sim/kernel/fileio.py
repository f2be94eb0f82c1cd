"""read() and write() on files, and what brings their dirty pages to the disk: fsync, msync.

A page that is written back is clean afterwards, and so is every entry of a shared mapping that maps
it: clean and read-only, so that the file system hears of the next write.  Read in Linux 6.12
`mm/filemap.c`, `mm/msync.c`, `mm/page-writeback.c` (`folio_clear_dirty_for_io`), `mm/rmap.c`
(`folio_mkclean`).  What the device takes is not counted.
"""

from sim.jit import compiled
from sim.kernel.filemap import FILL_PAGES, cache_page
from sim.kernel.ranges import area_ahead
from sim.kernel.work import (
    CACHE_FILL,
    DONE,
    EINVAL,
    MADVISE_CALL,
    MORE,
    PROTECT_PTE,
    SHORT,
    note,
)
from sim.machine.frames import secure
from sim.machine.layout import (
    A_SHARED,
    F_DIRTY,
    KIND_FILE,
    NONE,
    PFN_SHIFT,
    PTE_DIRTY,
    PTE_PRESENT,
    PTE_WRITE,
    TABLE_MASK,
    Arrays,
)
from sim.machine.tables import find_table


@compiled
def file_io_step(m: Arrays, cpu: int, task: int, write: int) -> int:
    """Read or write the next of `pages` pages of `file`, from its page `index` on.

    Pages that are not in the page cache are brought in; written ones are dirty.  A file does not
    grow: EINVAL behind its end.
    """
    t = m.tasks[task]
    f = m.files[int(t.file)]
    if t.index < 0 or t.pages <= 0 or t.index + t.pages > f.pages:
        t.errno = EINVAL
        return DONE
    first = int(t.index + t.at)
    end = min(first + FILL_PAGES, int(t.index + t.pages))
    absent = 0
    for index in range(first, end):
        if m.cached[int(f.first) + index] == 0:
            absent += 1
    if not secure(m, cpu, task, absent):
        t.need = absent
        return SHORT
    for index in range(first, end):
        if m.cached[int(f.first) + index] == 0:
            cache_page(m, cpu, int(t.file), index)
        if write == 1:
            m.frames[int(m.cached[int(f.first) + index])].bits |= F_DIRTY
    note(m, CACHE_FILL, end - first)
    t.at += end - first
    return MORE if t.at < t.pages else DONE


@compiled
def fsync_step(m: Arrays, cpu: int, task: int) -> int:
    """Write the next dirty pages of `file` back."""
    t = m.tasks[task]
    if t.at == 0:
        note(m, MADVISE_CALL, 1)
    first = int(t.at)
    end = min(first + FILL_PAGES, int(m.files[int(t.file)].pages))
    write_back(m, int(t.file), first, end)
    t.at = end
    return MORE if end < m.files[int(t.file)].pages else DONE


@compiled
def msync_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of msync(MS_SYNC) of `pages` pages from `start` on.

    Only shared mappings of files have something to write back.  Holes are passed over, with ENOMEM
    in the end.
    """
    t = m.tasks[task]
    end = int(t.start + t.pages)
    if t.stage == 0:
        note(m, MADVISE_CALL, 1)
        t.at = t.start
        t.stage = 1
    area = area_ahead(m, task, end)
    if area == NONE:
        return DONE
    a = m.areas[area]
    upto = min(int(a.end), end)
    if a.bits & A_SHARED != 0 and a.kind == KIND_FILE:
        upto = min(upto, int(t.at) + FILL_PAGES)
        behind = int(a.offset - a.start)
        last = min(upto + behind, int(m.files[int(a.file)].pages))
        write_back(m, int(a.file), int(t.at) + behind, last)
    t.at = upto
    return MORE if upto < end else DONE


@compiled
def write_back(m: Arrays, file: int, first: int, end: int) -> None:
    """Make the pages [first, end) of a file clean, and the entries that map them shared."""
    f = m.files[file]
    dirty = 0
    for index in range(first, end):
        pfn = int(m.cached[int(f.first) + index])
        if pfn != 0 and m.frames[pfn].bits & F_DIRTY != 0:
            dirty += 1
    if dirty == 0:
        return
    changed = 0
    for area in range(1, int(m.pool[0].room_areas)):
        a = m.areas[area]
        if a.space != NONE and a.end > a.start and a.file == file and a.bits & A_SHARED != 0:
            changed += protect_clean(m, area, first, end)
    for index in range(first, end):
        pfn = int(m.cached[int(f.first) + index])
        if pfn != 0:
            m.frames[pfn].bits &= ~F_DIRTY
    note(m, PROTECT_PTE, changed)


@compiled
def protect_clean(m: Arrays, area: int, first: int, end: int) -> int:
    """Write-protect and clean the entries of an area that map dirty pages in [first, end).

    These are pages of its file.  Returns how many there were.
    """
    a = m.areas[area]
    ahead = int(a.start - a.offset)
    changed = 0
    for vpn in range(max(first + ahead, int(a.start)), min(end + ahead, int(a.end))):
        leaf = find_table(m, int(a.space), vpn, 0)
        if leaf == NONE:
            continue
        entry = int(m.tables[leaf, vpn & TABLE_MASK])
        if entry & PTE_PRESENT != 0 and m.frames[entry >> PFN_SHIFT].bits & F_DIRTY != 0:
            m.tables[leaf, vpn & TABLE_MASK] = entry & ~(PTE_WRITE | PTE_DIRTY)
            changed += 1
    return changed
