"""posix_fadvise: what a program says about a file, not about its own mappings of it.

Read in Linux 6.12 `mm/fadvise.c` and `mm/truncate.c` (`mapping_try_invalidate`).
"""

from typing import Final

from sim.base.jit import compiled, rare
from sim.kernel.files.cache import uncache_page
from sim.kernel.files.fileio import file_call_is_sound
from sim.kernel.files.readahead import force_read
from sim.kernel.files.requests import window_room
from sim.kernel.work import DONE, GROW, MORE, note, note_freed
from sim.machine.cached import find_page, forget_shadows
from sim.machine.layout import F_DIRTY, F_LOCKED, NONE, Arrays
from sim.machine.work import FRAME_FREE, MADVISE_CALL

NORMAL: Final = 0
RANDOM: Final = 1
SEQUENTIAL: Final = 2
WILLNEED: Final = 3
DONTNEED: Final = 4
"""The advice of a call, in its field `advice`; the numbers are Linux's."""
DROP_PAGES: Final = 512
"""Pages that one step looks at."""


@rare
def fadvise_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of posix_fadvise on `pages` pages of `file` from `file_page` on."""
    o = m.operations[task]
    if not file_call_is_sound(m, task):
        return DONE
    f = m.files[int(o.file)]
    if o.advice == WILLNEED:
        if not window_room(m, int(o.file)):
            return GROW
        note(m, MADVISE_CALL, 1)
        force_read(m, cpu, task, int(o.file), int(o.file_page), int(o.pages))
        return DONE
    if o.at == 0:
        note(m, MADVISE_CALL, 1)
    if o.advice == DONTNEED:
        return drop_step(m, cpu, task)
    f.random = 1 if o.advice == RANDOM else 0
    f.ra_pages = m.config[0].read_ahead * (2 if o.advice == SEQUENTIAL else 1)
    return DONE


@compiled
def in_use(m: Arrays, file: int, index: int, low: int, high: int) -> bool:
    """Whether the folio of page `index` may not be dropped.

    It reaches out of [low, high), or a page of it is mapped, dirty or under way.
    """
    pages = 1 << int(m.frames[find_page(m, file, index)].order)
    first = index & ~(pages - 1)
    if first < low or first + pages > high:
        return True
    for page in range(first, min(first + pages, int(m.files[file].pages))):
        pfn = find_page(m, file, page)
        if pfn != NONE:
            frame = m.frames[pfn]
            if frame.maps > 0 or frame.bits & (F_DIRTY | F_LOCKED) != 0:
                return True
    return False


@compiled
def drop_step(m: Arrays, cpu: int, task: int) -> int:
    """Take the next clean pages that nobody maps out of the page cache."""
    o = m.operations[task]
    file = int(o.file)
    f = m.files[file]
    f.fills = 0
    first = int(o.file_page + o.at)
    last = int(o.file_page + o.pages)
    end = min((first // DROP_PAGES + 1) * DROP_PAGES, last)
    freed = 0
    keep_until = 0
    for index in range(first, end):
        pfn = find_page(m, file, index)
        if pfn == NONE:
            continue
        if index < keep_until:
            continue
        if in_use(m, file, index, int(o.file_page), last):
            f.kept = 1
            order = int(m.frames[pfn].order)
            keep_until = ((index >> order) + 1) << order
            continue
        uncache_page(m, cpu, file, index, 0)
        freed += 1
    forget_shadows(m, cpu, file, first, end)
    note_freed(m, FRAME_FREE, freed)
    o.at += end - first
    return MORE if end < last else DONE
