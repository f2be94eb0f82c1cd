"""exec: a new address space with a program's segments, and the old one dropped a leaf table a step.

=================================  ===========================  ==============================
exec                               costs the process            if overcommit refuses
=================================  ===========================  ==============================
makes a stack of a page            nothing yet                  ENOMEM, the process goes on
writes arguments and environment   a zero-fill fault a page     E2BIG, the process goes on
drops the old address space        nothing                      (gives its promises back)
gives the stack room to grow       nothing                      SIGSEGV: there is no way back
maps the segments of the image     nothing: faulted in later    SIGSEGV
zeroes what lies behind the data   a write fault on the last    (promised already)
                                   page of data, where bss
                                   begins
=================================  ===========================  ==============================

Linux counts the faults that the kernel takes for a process as the process's own.  Read in Linux
6.12 `fs/exec.c` (`bprm_mm_init`, `get_arg_page`, `exec_mmap`, `setup_arg_pages`, `bprm_execve`),
`mm/mmap.c` (`insert_vm_struct`) and `fs/binfmt_elf.c` (`elf_load`, `padzero`); the faults seen in
6.18 as ``page_fault_kernel`` events.
"""

from typing import Final

from sim.base.jit import compiled
from sim.kernel.fault.fault import access
from sim.kernel.files.evict import evict_step, fill_step
from sim.kernel.fork.process import leave_space
from sim.kernel.fork.task import take_stack
from sim.kernel.overcommit import commit, may_commit, promised
from sim.kernel.work import DONE, E2BIG, ENOMEM, GROW, MORE, SEGV, SHORT, note
from sim.machine.area_tree import resized
from sim.machine.areas import (
    MMAP_TOP_VPN,
    STACK_TOP_VPN,
    TEXT_VPN,
    area_room,
    find_area,
    free_space,
    insert_area,
    map_file,
    new_space,
    space_room,
)
from sim.machine.layout import (
    A_ACCOUNT,
    A_GROWSDOWN,
    A_READ,
    A_WRITE,
    KIND_FILE,
    NONE,
    Arrays,
)
from sim.machine.pool import secure
from sim.machine.tables import table_room
from sim.machine.work import EXEC_BASE

BEGIN: Final = 0
FILES: Final = 1
STACK: Final = 2
DROP: Final = 3
MAP: Final = 4
CLEAR: Final = 5
STACK_FRAMES: Final = 5
"""The least that an image needs: a table of each level and the stack's first page."""
STACK_SPARE_PAGES: Final = 32
"""What the new stack's area reaches below its arguments: 128 KiB (`setup_arg_pages`)."""


@compiled
def exec_step(m: Arrays, cpu: int, task: int) -> int:
    """Do one step of exec.

    `image` is the program; 0 stands for `image_pages` of anonymous memory.  `stack_limit` is
    that of the stack, `stack_pages` what arguments and environment fill of it.  The image of a
    process that has none yet is simply there: its faults are nobody's (`counted` 0).
    """
    t = m.tasks[task]
    o = m.operations[task]
    if o.stage == BEGIN:
        return begin_exec(m, cpu, task)
    if o.stage == FILES:
        if find_uncached(m, task):
            return fill_step(m, cpu, task)
        o.stage = STACK
        o.at = 0
    if o.stage == STACK:
        status = kernel_write(m, cpu, task, STACK_TOP_VPN - 1 - int(o.at))
        if status != DONE:
            return status
        o.at += 1
        if o.at < o.stack_pages:
            return MORE
        o.at = 0
        o.stage = DROP if t.old_space != NONE else MAP
        return MORE
    if o.stage == DROP:
        if t.old_space == NONE:
            evict_step(m, cpu, task)
        elif leave_space(m, cpu, task, int(t.old_space)) == MORE:
            return MORE
        t.old_space = NONE
        if t.evict == NONE:
            o.stage = MAP
        return MORE
    if o.stage == MAP:
        if not area_room(m, int(m.images[int(o.image)].n_segments) + 1):
            return GROW
        if not map_image(m, task):
            o.fault_page = STACK_TOP_VPN
            return SEGV
        o.stage = CLEAR
        o.segment = 0
        return MORE if find_uncleared(m, task) else DONE
    segment = m.segments[int(m.images[int(o.image)].first + o.segment)]
    status = kernel_write(m, cpu, task, int(segment.end) - 1)
    if status != DONE:
        return status
    o.segment += 1
    return MORE if find_uncleared(m, task) else DONE


@compiled
def begin_exec(m: Arrays, cpu: int, task: int) -> int:
    """Give a task a new address space, with nothing in it yet but a stack for its arguments."""
    t = m.tasks[task]
    o = m.operations[task]
    if not space_room(m) or not table_room(m, 1) or not area_room(m, 1):
        return GROW
    wanted = STACK_FRAMES + (int(m.config[0].stack_frames) if t.stack == NONE else 0)
    if not secure(m, cpu, task, wanted):
        return SHORT
    if t.stack == NONE:
        take_stack(m, cpu, task)
    stack_pages = max(int(o.stack_pages), 1)
    space = new_space(m, cpu)
    if not promised(m, task, space, stack_pages):
        o.errno = E2BIG if may_commit(m, task, space, 1) else ENOMEM
        free_space(m, cpu, space)
        return DONE
    if t.space != NONE:
        m.spaces[space].thp_disabled = m.spaces[int(t.space)].thp_disabled
    m.processes[int(t.process)].stack_limit = o.stack_limit
    o.stack_pages = stack_pages
    start = STACK_TOP_VPN - stack_pages
    bits = A_READ | A_WRITE | A_ACCOUNT | A_GROWSDOWN
    insert_area(m, space, start, STACK_TOP_VPN, start, bits)
    commit(m, space, stack_pages)
    o.counted = 0 if t.space == NONE else 1
    t.old_space = t.space
    t.space = space
    o.at = 0
    o.segment = 0
    o.stage = FILES
    note(m, EXEC_BASE, 1)
    return MORE


@compiled
def map_image(m: Arrays, task: int) -> bool:
    """Lay out a new program: room for its stack, an empty heap, its segments.

    False if that much may not be promised; what has been laid out by then stays.
    """
    t = m.tasks[task]
    o = m.operations[task]
    space = int(t.space)
    s = m.spaces[space]
    image = m.images[int(o.image)]
    s.mmap_top = MMAP_TOP_VPN
    if not promised(m, task, space, STACK_SPARE_PAGES):
        return False
    commit(m, space, STACK_SPARE_PAGES)
    area = find_area(m, space, STACK_TOP_VPN - 1)
    stack = m.areas[area]
    stack.start -= STACK_SPARE_PAGES
    stack.offset -= STACK_SPARE_PAGES
    resized(m, area)
    s.pages += STACK_SPARE_PAGES
    s.heap_start = image.heap
    if o.image == 0:
        s.heap_start = TEXT_VPN + o.image_pages
        if o.image_pages > 0:
            if not promised(m, task, space, int(o.image_pages)):
                return False
            bits = A_READ | A_WRITE | A_ACCOUNT
            insert_area(m, space, TEXT_VPN, TEXT_VPN + int(o.image_pages), TEXT_VPN, bits)
            commit(m, space, int(o.image_pages))
    s.brk = s.heap_start
    for i in range(int(image.first), int(image.first + image.n_segments)):
        segment = m.segments[i]
        start = int(segment.start)
        end = int(segment.end)
        in_file = segment.file != NONE
        offset = int(segment.offset) if in_file else start
        if segment.vm_flags & A_ACCOUNT != 0:
            if not promised(m, task, space, end - start):
                return False
            commit(m, space, end - start)
        area = insert_area(m, space, start, end, offset, int(segment.vm_flags))
        if in_file:
            map_file(m, area, KIND_FILE, int(segment.file))
    return True


@compiled
def kernel_write(m: Arrays, cpu: int, task: int, vpn: int) -> int:
    """Write a page of the new program as the kernel does: a fault, but no access of the program."""
    status = access(m, cpu, task, vpn, 1)
    if status == DONE:
        clock = m.clock[0]
        clock.lines -= 1
        if m.operations[task].counted == 0:
            clock.lines = 0
            clock.kind = NONE
    return status


@compiled
def find_uncached(m: Arrays, task: int) -> bool:
    """Whether a file of the image has pages to be brought into the page cache; note which."""
    o = m.operations[task]
    image = m.images[int(o.image)]
    while o.segment < image.n_segments:
        file = int(m.segments[int(image.first + o.segment)].file)
        if file != NONE and m.files[file].fills == 1:
            o.file = file
            return True
        o.at = 0
        o.segment += 1
    return False


@compiled
def find_uncleared(m: Arrays, task: int) -> bool:
    """Whether the rest of a page of data is to be zeroed still; note whose."""
    o = m.operations[task]
    image = m.images[int(o.image)]
    while o.segment < image.n_segments:
        if m.segments[int(image.first + o.segment)].clears != 0:
            return True
        o.segment += 1
    return False


@compiled
def start_step(m: Arrays, cpu: int, task: int) -> int:
    """Touch the next of the pages that a program touches when it starts; there must be some."""
    o = m.operations[task]
    image = m.images[int(o.image)]
    touch = int(m.touches[int(image.first_touch + o.at)])
    status = access(m, cpu, task, touch // 2, touch % 2)
    if status != DONE:
        return status
    o.at += 1
    return MORE if o.at < image.n_touches else DONE
