"""exec: a new address space with a program's segments, and the old one dropped a leaf table a step.

=================================  ==========================================================
exec                               costs the process
=================================  ==========================================================
maps the segments of the image     nothing yet: they are faulted in
writes arguments and environment   a zero-fill fault for each page of the new stack
drops the old address space        nothing: it goes a leaf table a step
zeroes what lies behind the data   a write fault on the last page of data (its rest is bss)
=================================  ==========================================================

Linux counts the faults that the kernel takes for a process as the process's own.  Read in Linux
6.12 `fs/exec.c` (`get_arg_page`, `setup_arg_pages`, `exec_mmap`) and `fs/binfmt_elf.c` (`elf_load`,
`padzero`); seen in 6.18 as ``page_fault_kernel`` events.
"""

from typing import Final

from sim.jit import compiled
from sim.kernel.fault import access
from sim.kernel.filemap import evict_step, fill_step
from sim.kernel.overcommit import commit
from sim.kernel.process import leave_space
from sim.kernel.task import space_room, take_stack
from sim.kernel.work import DONE, EXEC_BASE, GROW, MORE, SHORT, note
from sim.machine.areas import (
    MMAP_TOP_VPN,
    STACK_TOP_VPN,
    TEXT_VPN,
    area_room,
    insert_area,
    map_file,
    new_space,
)
from sim.machine.frames import secure
from sim.machine.layout import (
    A_ACCOUNT,
    A_GROWSDOWN,
    A_READ,
    A_WRITE,
    KIND_FILE,
    NONE,
    Arrays,
)
from sim.machine.tables import table_room

BEGIN: Final = 0
FILES: Final = 1
STACK: Final = 2
DROP: Final = 3
CLEAR: Final = 4
STACK_FRAMES: Final = 5
"""The least that an image needs: a table of each level and the stack's first page."""
STACK_SPARE_PAGES: Final = 32
"""What the new stack's area reaches below its arguments: 128 KiB (`setup_arg_pages`)."""


@compiled
def exec_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of exec.

    `image` is the program; 0 stands for `pages` pages of anonymous memory.  `count` is the limit of
    the stack, `stack_pages` what arguments and environment fill of it.  The image of a process that
    has none yet is simply there: its faults are nobody's (`write` 0).
    """
    t = m.tasks[task]
    if t.stage == BEGIN:
        return begin_exec(m, cpu, task)
    if t.stage == FILES:
        if find_uncached(m, task):
            return fill_step(m, cpu, task)
        t.stage = STACK
        t.at = 0
    if t.stage == STACK:
        status = kernel_write(m, cpu, task, STACK_TOP_VPN - 1 - int(t.at))
        if status != DONE:
            return status
        t.at += 1
        if t.at < t.stack_pages:
            return MORE
        t.at = 0
        t.stage = DROP if t.old_space != NONE else CLEAR
        t.area = 0
        return MORE if t.old_space != NONE or find_uncleared(m, task) else DONE
    if t.stage == DROP:
        if t.old_space == NONE:
            evict_step(m, cpu, task)
        elif leave_space(m, cpu, task, int(t.old_space)) == MORE:
            return MORE
        t.old_space = NONE
        if t.evict != NONE:
            return MORE
        t.stage = CLEAR
        t.area = 0
        return MORE if find_uncleared(m, task) else DONE
    segment = m.segments[int(m.images[int(t.image)].first + t.area)]
    status = kernel_write(m, cpu, task, int(segment.end) - 1)
    if status != DONE:
        return status
    t.area += 1
    return MORE if find_uncleared(m, task) else DONE


@compiled
def begin_exec(m: Arrays, cpu: int, task: int) -> int:
    """Give a task a new address space, with nothing in it yet."""
    t = m.tasks[task]
    areas = int(m.images[int(t.image)].n_segments) + 2
    if not space_room(m) or not table_room(m, 1) or not area_room(m, areas):
        return GROW
    wanted = STACK_FRAMES + (int(m.pool[0].stack_frames) if t.stack == NONE else 0)
    if not secure(m, cpu, task, wanted):
        t.need = wanted
        return SHORT
    if t.stack == NONE:
        take_stack(m, cpu, task)
    space = new_space(m, cpu)
    build_image(m, task, space)
    t.write = 0 if t.space == NONE else 1
    t.old_space = t.space
    t.space = space
    t.at = 0
    t.area = 0
    t.stage = FILES
    note(m, EXEC_BASE, 1)
    return MORE


@compiled
def build_image(m: Arrays, task: int, space: int) -> None:
    """Lay out a new program: its segments, an empty heap, a stack."""
    t = m.tasks[task]
    s = m.spaces[space]
    image = m.images[int(t.image)]
    private = A_READ | A_WRITE | A_ACCOUNT
    s.stack_limit = t.count
    s.mmap_top = MMAP_TOP_VPN
    s.heap_start = image.heap
    if t.image == 0:
        s.heap_start = TEXT_VPN + t.pages
        if t.pages > 0:
            insert_area(m, space, TEXT_VPN, TEXT_VPN + int(t.pages), TEXT_VPN, private)
            commit(m, space, int(t.pages))
    s.brk = s.heap_start
    for i in range(int(image.first), int(image.first + image.n_segments)):
        segment = m.segments[i]
        start = int(segment.start)
        end = int(segment.end)
        in_file = segment.file != NONE
        offset = int(segment.offset) if in_file else start
        area = insert_area(m, space, start, end, offset, int(segment.bits))
        if in_file:
            map_file(m, area, KIND_FILE, int(segment.file))
        if segment.bits & A_ACCOUNT != 0:
            commit(m, space, end - start)
    t.stack_pages = max(int(t.stack_pages), 1)
    pages = int(t.stack_pages) + STACK_SPARE_PAGES
    start = STACK_TOP_VPN - pages
    insert_area(m, space, start, STACK_TOP_VPN, start, private | A_GROWSDOWN)
    commit(m, space, pages)


@compiled
def kernel_write(m: Arrays, cpu: int, task: int, vpn: int) -> int:
    """Write a page of the new program as the kernel does: a fault, but no access of the program."""
    status = access(m, cpu, task, vpn, 1)
    if status == DONE:
        clock = m.clock[0]
        clock.lines -= 1
        if m.tasks[task].write == 0:
            clock.lines = 0
            clock.kind = NONE
    return status


@compiled
def find_uncached(m: Arrays, task: int) -> bool:
    """Whether a file of the image has pages to be brought into the page cache; note which."""
    t = m.tasks[task]
    image = m.images[int(t.image)]
    while t.area < image.n_segments:
        file = int(m.segments[int(image.first + t.area)].file)
        if file != NONE and m.files[file].fills == 1:
            t.file = file
            return True
        t.at = 0
        t.area += 1
    return False


@compiled
def find_uncleared(m: Arrays, task: int) -> bool:
    """Whether the rest of a page of data is to be zeroed still; note whose."""
    t = m.tasks[task]
    image = m.images[int(t.image)]
    while t.area < image.n_segments:
        if m.segments[int(image.first + t.area)].clears != 0:
            return True
        t.area += 1
    return False


@compiled
def start_step(m: Arrays, cpu: int, task: int) -> int:
    """Touch the next of the pages that a program touches when it starts; there must be some."""
    t = m.tasks[task]
    image = m.images[int(t.image)]
    touch = int(m.touches[int(image.first_touch + t.at)])
    status = access(m, cpu, task, touch // 2, touch % 2)
    if status != DONE:
        return status
    t.at += 1
    return MORE if t.at < image.n_touches else DONE
