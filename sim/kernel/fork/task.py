"""What a task holds besides its address space: a kernel stack, and frames set aside for a fork."""

from sim.base.jit import compiled
from sim.machine.frames import give_back, take
from sim.machine.layout import F_STACK, NONE, Arrays


@compiled
def space_room(m: Arrays) -> bool:
    """Whether the array has a free slot for one more address space."""
    return bool(m.pool[0].used_spaces + 1 <= m.pool[0].room_spaces)


@compiled
def take_stack(m: Arrays, cpu: int, task: int) -> None:
    """Give a task its kernel stack; the frames must be secured."""
    pool = m.pool[0]
    config = m.config[0]
    head = NONE
    for _ in range(int(config.stack_frames)):
        pfn = take(m, cpu)
        frame = m.frames[pfn]
        frame.bits = F_STACK
        frame.refs = 1
        frame.next = head
        head = pfn
    m.tasks[task].stack = head
    pool.stack += config.stack_frames


@compiled
def drop_stack(m: Arrays, cpu: int, task: int) -> int:
    """Free the kernel stack of a task that has ended; return its frames."""
    pfn = int(m.tasks[task].stack)
    freed = 0
    while pfn != NONE:
        after = int(m.frames[pfn].next)
        m.frames[pfn].refs = 0
        give_back(m, cpu, pfn)
        pfn = after
        freed += 1
    m.tasks[task].stack = NONE
    m.pool[0].stack -= freed
    return freed


@compiled
def spare_frames(m: Arrays) -> int:
    """Return the frames on buddy lists above the min watermarks of their zones."""
    spare = 0
    for zone in range(int(m.config[0].n_zones)):
        spare += max(0, m.zones[zone].free - m.zones[zone].min_pages)
    return spare


@compiled
def use_reserve(m: Arrays, task: int, frames: int) -> None:
    """Take note that `frames` of those set aside for this fork are now in use."""
    used = min(frames, int(m.tasks[task].reserved))
    m.tasks[task].reserved -= used
    m.pool[0].reserved -= used


@compiled
def drop_reserve(m: Arrays, task: int) -> None:
    """Let go of the frames set aside for a fork that are left over."""
    m.pool[0].reserved -= m.tasks[task].reserved
    m.tasks[task].reserved = 0
