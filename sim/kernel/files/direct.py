"""read() and write() that pass the page cache by (O_DIRECT).

What is dirty of the range is written back first.  A read leaves the page cache as it is; a write
takes the folios of the range out of it, from whoever maps them, before and after.  Then the device
is asked for all of the range, and the call waits for that.  Read in Linux 6.12 `mm/filemap.c`
(`kiocb_write_and_wait`, `kiocb_invalidate_pages`), `mm/truncate.c`
(`invalidate_inode_pages2_range`) and `fs/iomap/direct-io.c`, as ext4 does it.
"""

from typing import Final

from sim.base.jit import compiled, rare
from sim.kernel.files.cache import uncache_page
from sim.kernel.files.evict import FILL_PAGES
from sim.kernel.files.fileio import file_call_is_sound, wait_for_writes, write_back
from sim.kernel.files.requests import direct_wait, request_room, submit_direct
from sim.kernel.rmap import try_to_unmap
from sim.kernel.work import DONE, GROW, MORE, UNDER_WAY, note_freed
from sim.machine.cached import find_page, forget_shadows
from sim.machine.layout import F_DIRTY, F_LOCKED, F_WRITEBACK, NONE, Arrays
from sim.machine.work import FRAME_FREE

FLUSH: Final = 0
AWAIT: Final = 1
INVALIDATE: Final = 2
TRANSFER: Final = 3
AFTERWARDS: Final = 4
"""Stages of a call: dirty pages of the range are written, and waited for; its folios leave the page
cache; the device transfers; what has come into the cache meanwhile leaves it."""


@rare
def direct_read_step(m: Arrays, cpu: int, task: int) -> int:
    """Read `pages` pages of `file`, from its page `file_page` on, past the page cache."""
    if not file_call_is_sound(m, task):
        return DONE
    o = m.operations[task]
    if o.stage <= AWAIT:
        return write_first(m, task, TRANSFER)
    return transfer(m, task, 0) if o.stage == TRANSFER else DONE


@rare
def direct_write_step(m: Arrays, cpu: int, task: int) -> int:
    """Write `pages` pages of `file`, from its page `file_page` on, past the page cache."""
    if not file_call_is_sound(m, task):
        return DONE
    o = m.operations[task]
    if o.stage <= AWAIT:
        return write_first(m, task, INVALIDATE)
    if o.stage == TRANSFER:
        return transfer(m, task, 1)
    went = invalidate_range(m, cpu, task)
    if went == DONE and o.stage == INVALIDATE:
        o.stage = TRANSFER
        return MORE
    return went


@compiled
def write_first(m: Arrays, task: int, then: int) -> int:
    """Have what is dirty of the range written, and wait for that; the stage is `then` after it."""
    o = m.operations[task]
    if o.stage == FLUSH:
        return flush_range(m, task)
    if wait_for_writes(m, task, int(o.file)) == UNDER_WAY:
        return UNDER_WAY
    o.stage = then
    o.at = 0
    return MORE


@compiled
def flush_range(m: Arrays, task: int) -> int:
    """Have the next dirty pages of the range written."""
    o = m.operations[task]
    if not request_room(m, FILL_PAGES):
        return GROW
    file = int(o.file)
    first = int(o.file_page + o.at)
    end = min(first + FILL_PAGES, int(o.file_page + o.pages))
    o.at += end - first
    if o.at == o.pages:
        o.stage = AWAIT
    write_back(m, file, folio_of(m, file, first)[0], folio_of(m, file, end - 1)[1])
    return MORE


@compiled
def folio_of(m: Arrays, file: int, index: int) -> tuple[int, int]:
    """Return the pages of the folio of page `index`, or that page where none is cached."""
    pfn = find_page(m, file, index)
    order = int(m.frames[pfn].order) if pfn != NONE else 0
    start = index >> order << order
    return start, start + (1 << order)


@compiled
def invalidate_range(m: Arrays, cpu: int, task: int) -> int:
    """Take the next folios of the range out of the page cache, those that are mapped too.

    One that is being read is waited for; one that is dirty again is written again first.
    """
    o = m.operations[task]
    file = int(o.file)
    first = int(o.file_page + o.at)
    end = min(first + FILL_PAGES, int(o.file_page + o.pages))
    freed = 0
    for index in range(first, end):
        pfn = find_page(m, file, index)
        if pfn == NONE:
            continue
        bits = int(m.frames[pfn].bits)
        if bits & F_LOCKED != 0:
            o.at = index - o.file_page
            o.wait_file = file
            o.wait_index = index
            note_freed(m, FRAME_FREE, freed)
            return UNDER_WAY
        if bits & (F_DIRTY | F_WRITEBACK) != 0:
            if o.stage == AFTERWARDS:  # somebody else's later write: it stays
                continue
            o.stage = FLUSH
            o.at = 0
            note_freed(m, FRAME_FREE, freed)
            return MORE
        freed += drop_from_cache(m, cpu, file, index)
    forget_shadows(m, cpu, file, first, end)
    note_freed(m, FRAME_FREE, freed)
    o.at = end - o.file_page
    return DONE if o.at == o.pages else MORE


@compiled
def drop_from_cache(m: Arrays, cpu: int, file: int, index: int) -> int:
    """Unmap and free the folio of page `index`; return how many pages it had."""
    start, end = folio_of(m, file, index)
    for page in range(start, end):
        pfn = find_page(m, file, page)
        if m.frames[pfn].maps > 0:
            try_to_unmap(m, pfn)
    for page in range(start, end):
        uncache_page(m, cpu, file, page, 0)
    return end - start


@compiled
def transfer(m: Arrays, task: int, write: int) -> int:
    """Ask the device for all of the range, and wait."""
    o = m.operations[task]
    if not request_room(m, 1):
        return GROW
    number = submit_direct(m, int(o.file), int(o.file_page), int(o.file_page + o.pages), write)
    o.stage = AFTERWARDS
    o.at = 0
    o.wait_file = o.file
    o.wait_index = direct_wait(number)
    return UNDER_WAY
