"""read() and write() on files, and what brings their dirty pages to the disk: fsync, msync.

A page that is written back is clean afterwards, and so is every entry of a shared mapping that maps
it: clean and read-only, so that the file system hears of the next write.  Read in Linux 6.12
`mm/filemap.c`, `mm/msync.c`, `mm/page-writeback.c` (`folio_clear_dirty_for_io`), `mm/rmap.c`
(`folio_mkclean`).  The device is asked for what is absent, and what is read ahead with it
(`sim.kernel.files.readahead`), and writes what is dirty: fsync and msync wait for that.
"""

from sim.base.jit import compiled, rare
from sim.kernel.calls.ranges import area_ahead, begin_range
from sim.kernel.files.cache import cache_folio, dirty_folio
from sim.kernel.files.dirty import begin_writeback, must_wait_for_writes
from sim.kernel.files.evict import FILL_PAGES
from sim.kernel.files.readahead import read_ahead, read_further
from sim.kernel.files.reads import read_range
from sim.kernel.files.requests import request_room, submit, window_room
from sim.kernel.rmap import page_mkclean
from sim.kernel.work import DONE, EINVAL, GROW, MORE, SHORT, THROTTLED, UNDER_WAY, note
from sim.machine.cached import find_page, first_page, has_page
from sim.machine.layout import (
    A_SHARED,
    F_AHEAD,
    F_BUFFERS,
    F_DIRTY,
    F_LOCKED,
    KIND_FILE,
    NONE,
    ROOT,
    Arrays,
)
from sim.machine.lru import folio_mark_accessed
from sim.machine.pool import secure
from sim.machine.slab import BUFFER_SLAB_BYTES, object_pages
from sim.machine.tree import tree_bytes, tree_pages
from sim.machine.work import CACHE_FILL, MADVISE_CALL, PROTECT_PTE


@compiled
def file_call_is_sound(m: Arrays, task: int) -> bool:
    """Whether the range of the call lies in its file, which does not grow; else EINVAL is noted."""
    o = m.operations[task]
    sound = o.file_page >= 0 and o.pages > 0 and o.file_page + o.pages <= m.files[int(o.file)].pages
    if not sound:
        o.errno = EINVAL
    return bool(sound)


@rare
def file_read_step(m: Arrays, cpu: int, task: int) -> int:
    """Read the next of `pages` pages of `file`, from its page `file_page` on.

    A step copies up to 32 pages, or has the device asked: for what is absent, and for more behind
    a marker (`filemap_get_pages`).  That uses each folio once, but not the one in which the last
    read ended (`filemap_read`).
    """
    o = m.operations[task]
    if not file_call_is_sound(m, task):
        return DONE
    file = int(o.file)
    f = m.files[file]
    first = int(o.file_page + o.at)
    last = int(o.file_page + o.pages)
    pfn = find_page(m, file, first)
    if pfn != NONE and m.frames[pfn].bits & F_LOCKED != 0:
        o.wait_file = file
        o.wait_index = first
        return UNDER_WAY
    if pfn == NONE:
        if not window_room(m, file):
            return GROW
        if not secure(m, cpu, task, 1 + tree_pages(m, cpu, file, first, 0)):
            return SHORT
        read_ahead(m, cpu, task, file, first, last - first)
        if not has_page(m, file, first):
            read_range(m, cpu, task, file, first, 1, 0)
        return MORE
    if m.frames[pfn].bits & F_AHEAD != 0:
        if not window_room(m, file):
            return GROW
        index = first & ~((1 << int(m.frames[pfn].order)) - 1)
        read_further(m, cpu, task, file, index, last - index)
        return MORE
    end = first
    before = first - 1 if o.at > 0 else int(f.ra_prev) - 1
    while end < min(first + FILL_PAGES, last):
        pfn = find_page(m, file, end)
        if pfn == NONE or m.frames[pfn].bits & (F_LOCKED | F_AHEAD) != 0:
            break
        order = int(m.frames[pfn].order)
        if before < 0 or end >> order != before >> order:
            folio_mark_accessed(m, cpu, first_page(m, pfn))
        before = end
        end += 1
    note(m, CACHE_FILL, end - first)
    o.at += end - first
    if o.at < o.pages:
        return MORE
    f.ra_prev = end
    return DONE


@rare
def file_write_step(m: Arrays, cpu: int, task: int) -> int:
    """Write the next of `pages` pages of `file`, from its page `file_page` on: they are dirty then.

    Pages are written whole, so that absent ones need not be read; those under way are waited for.
    """
    o = m.operations[task]
    if not file_call_is_sound(m, task):
        return DONE
    file = int(o.file)
    first = int(o.file_page + o.at)
    end = min(first + FILL_PAGES, int(o.file_page + o.pages))
    absent = 0
    for index in range(first, end):
        pfn = find_page(m, file, index)
        if pfn == NONE:
            absent += 1
        elif m.frames[pfn].bits & F_LOCKED != 0:
            if index == first:
                o.wait_file = o.file
                o.wait_index = index
                return UNDER_WAY
            end = index
            break
    if must_wait_for_writes(m, int(m.cpus[cpu].group)):
        return THROTTLED
    if m.cpus[cpu].group != ROOT:
        objects = tree_bytes(m, file, first, end, 0)
        for index in range(first, end):
            pfn = find_page(m, file, index)
            if pfn == NONE or m.frames[pfn].bits & F_BUFFERS == 0:
                objects += BUFFER_SLAB_BYTES
        absent += object_pages(m, cpu, objects)
    if not secure(m, cpu, task, absent):
        return SHORT
    for index in range(first, end):
        if not has_page(m, file, index):
            cache_folio(m, cpu, file, index, 0, 0, True)
        dirty_folio(m, find_page(m, file, index))
    note(m, CACHE_FILL, end - first)
    o.at += end - first
    return MORE if o.at < o.pages else DONE


@rare
def fsync_step(m: Arrays, cpu: int, task: int) -> int:
    """Have the next dirty pages of `file` written back; in the end, wait for the device."""
    o = m.operations[task]
    file = int(o.file)
    if o.stage == 1:
        return wait_for_writes(m, task, file)
    if not request_room(m, FILL_PAGES):
        return GROW
    if o.at == 0:
        note(m, MADVISE_CALL, 1)
    first = int(o.at)
    end = min(first + FILL_PAGES, int(m.files[file].pages))
    write_back(m, file, first, end)
    o.at = end
    if end < m.files[file].pages:
        return MORE
    o.stage = 1
    return MORE if m.files[file].writing > 0 else DONE


@compiled
def wait_for_writes(m: Arrays, task: int, file: int) -> int:
    """Return UNDER_WAY while the device writes pages of `file`, else DONE."""
    o = m.operations[task]
    o.wait_file = file
    o.wait_index = NONE
    return UNDER_WAY if m.files[file].writing > 0 else DONE


@rare
def msync_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of msync(MS_SYNC) of `pages` pages from `start` on.

    Only shared mappings of files have something to write back; the device is waited for area by
    area.  Holes are passed over, with ENOMEM in the end.
    """
    o = m.operations[task]
    end = int(o.start + o.pages)
    if o.stage == 0:
        begin_range(m, task)
    if o.stage == 2:
        if wait_for_writes(m, task, int(o.file)) == UNDER_WAY:
            return UNDER_WAY
        o.stage = 1
        if o.at >= end:
            return DONE
    area = area_ahead(m, task, end)
    if area == NONE:
        return DONE
    a = m.areas[area]
    upto = min(int(a.end), end)
    if a.vm_flags & A_SHARED != 0 and a.kind == KIND_FILE:
        if not request_room(m, FILL_PAGES):
            return GROW
        upto = min(upto, int(o.at) + FILL_PAGES)
        behind = int(a.offset - a.start)
        last = min(upto + behind, int(m.files[int(a.file)].pages))
        write_back(m, int(a.file), int(o.at) + behind, last)
        if upto == min(int(a.end), end) and m.files[int(a.file)].writing > 0:
            o.file = a.file
            o.stage = 2
            o.at = upto
            return MORE
    o.at = upto
    return MORE if upto < end else DONE


@compiled
def write_back(m: Arrays, file: int, first: int, end: int) -> None:
    """Have the dirty pages of [first, end) of a file written.

    They are clean then, and so are the entries that map them shared.
    """
    cleaned = 0
    start = NONE
    for index in range(first, end):
        pfn = find_page(m, file, index)
        if pfn != NONE and m.frames[pfn].bits & F_DIRTY != 0:
            cleaned += page_mkclean(m, pfn)
            begin_writeback(m, pfn)
            if start == NONE:
                start = index
        elif start != NONE:
            submit(m, file, start, index, 1)
            start = NONE
    if start != NONE:
        submit(m, file, start, end, 1)
    note(m, PROTECT_PTE, cleaned)
