"""The flusher: writes dirty pages of files in the background.

Woken because there are more than the background threshold it writes until there are no more than
that; woken by reclaim, all; and by itself, every five seconds, files that have been dirty for 30
(`dirty_writeback_centisecs`, `dirty_expire_centisecs`).  Read in Linux 6.12 `fs/fs-writeback.c`.
Files are dirty since the first of those wakings that found them so.
"""

from typing import Final

from sim.base.jit import compiled, rare
from sim.kernel.files.dirty import over_threshold
from sim.kernel.files.evict import FILL_PAGES
from sim.kernel.files.fileio import write_back
from sim.kernel.files.requests import request_room
from sim.kernel.work import DONE, GROW, MORE
from sim.machine.layout import KIND_FILE, NONE, SLOTS_FILES, Arrays
from sim.machine.rules.cgroup import V1_WRITEBACK_WAITS

EXPIRE_NS: Final = 30_000_000_000
PERIODIC: Final = 0
"""What it is woken for: files that have been dirty for long."""
BY_NEED: Final = 1
"""Because too much is dirty, or because reclaim finds nothing clean."""


@rare
def flush_step(m: Arrays, cpu: int, task: int) -> int:
    """Write the next dirty pages back; `result` says what for, `file` and `at` how far it is."""
    o = m.operations[task]
    pool = m.pool[0]
    now = int(m.cpus[cpu].next_ns)
    if not request_room(m, FILL_PAGES):
        return GROW
    if o.file == NONE or m.files[int(o.file)].dirty == 0:
        o.file = next_dirty(m, int(o.file) + 1, now, int(o.flush_why))
        o.at = 0
        if o.file == NONE:
            pool.flusher_woken = 0
            return DONE
        if o.flush_why == BY_NEED and pool.flusher_woken == 0:
            o.at = m.files[int(o.file)].writeback_index  # `range_cyclic`
    if o.flush_why == BY_NEED and pool.flusher_woken == 0:
        percent = int(m.config[0].dirty_background_ratio)
        groups = 1 if m.config[0].cgroup & V1_WRITEBACK_WAITS != 0 else int(pool.n_groups)
        group = 0
        while group < groups and not over_threshold(m, group, percent):
            group += 1
        if group == groups:
            return DONE
    file = int(o.file)
    end = min(int(o.at) + FILL_PAGES, int(m.files[file].pages))
    write_back(m, file, int(o.at), end)
    f = m.files[file]
    o.at = f.writeback_index = end if end < f.pages else 0
    if o.at == 0 and (f.dirty == 0 or o.flush_why != BY_NEED or pool.flusher_woken != 0):
        f.dirty_since_ns = NONE
        o.file = next_dirty(m, file + 1, now, int(o.flush_why))
        if o.file == NONE:
            pool.flusher_woken = 0
            return DONE
    return MORE


@compiled
def next_dirty(m: Arrays, file: int, now_ns: int, why: int) -> int:
    """Return the next file, from `file` on, whose dirty pages are to be written; or NONE."""
    while file < m.slots[SLOTS_FILES].room:
        f = m.files[file]
        if f.kind == KIND_FILE and f.dirty > 0:
            if why == BY_NEED:
                return file
            if f.dirty_since_ns == NONE:
                f.dirty_since_ns = now_ns
            elif now_ns - f.dirty_since_ns >= EXPIRE_NS:
                return file
        file += 1
    return NONE
