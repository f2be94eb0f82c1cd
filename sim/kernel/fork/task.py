"""What a task has besides its address space: a kernel stack."""

from sim.base.jit import compiled
from sim.machine.layout import F_STACK, KIND_STACK, NONE, Arrays
from sim.machine.pool import give_back, take
from sim.machine.slab import PROCESS_SLAB_BYTES, TASK_SLAB_BYTES, count_slab


@compiled
def take_stack(m: Arrays, cpu: int, task: int) -> None:
    """Give a task its kernel stack; the frames must be secured."""
    head = NONE
    for _ in range(int(m.config[0].stack_frames)):
        pfn = take(m, cpu, KIND_STACK)
        frame = m.frames[pfn]
        frame.bits = F_STACK
        frame.next = head
        head = pfn
    m.tasks[task].stack = head
    p = m.processes[int(m.tasks[task].process)]
    p.stacks += 1
    of_process = PROCESS_SLAB_BYTES if p.stacks == 1 else 0
    count_slab(m, int(m.cpus[cpu].group), TASK_SLAB_BYTES + of_process)


@compiled
def drop_stack(m: Arrays, cpu: int, task: int) -> int:
    """Free the kernel stack of a task that has ended, if it came to have one; return its frames."""
    pfn = int(m.tasks[task].stack)
    if pfn == NONE:
        return 0
    freed = 0
    while pfn != NONE:
        after = int(m.frames[pfn].next)
        give_back(m, cpu, pfn, KIND_STACK)
        pfn = after
        freed += 1
    m.tasks[task].stack = NONE
    p = m.processes[int(m.tasks[task].process)]
    p.stacks -= 1
    of_process = PROCESS_SLAB_BYTES if p.stacks == 0 else 0
    count_slab(m, int(m.cpus[cpu].group), -TASK_SLAB_BYTES - of_process)
    return freed


@compiled
def inherit(m: Arrays, task: int, child: int) -> None:
    """Give a new task the weight of the one that makes it, and its process its attributes.

    A thread is of the same process (Linux `copy_process`, `copy_signal`).
    """
    old = m.processes[int(m.tasks[task].process)]
    new = m.processes[int(m.tasks[child].process)]
    new.group = old.group
    new.nice = old.nice
    new.oom_score_adj = old.oom_score_adj
    new.cap_sys_admin = old.cap_sys_admin
    new.stack_limit = old.stack_limit
    m.entities[child].weight = m.entities[task].weight
