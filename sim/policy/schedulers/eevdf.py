"""Earliest eligible virtual deadline first: Linux's scheduler of ordinary tasks from 6.6 on.

Linux: `kernel/sched/fair.c`; Stoica and Abdel-Wahab 1995.  A task's virtual time grows by CPU time
x 1024 / weight; the queue's is the mean of its tasks', by weight, that of the running one included.
A task whose virtual time is not beyond it is eligible: it has had no more than its share (its lag
is not negative).  Of those the one with the earliest deadline runs, a deadline being one slice (the
quantum: Linux's base slice) of virtual time after the request began.

===========================  ===========================================================
a task                       so
===========================  ===========================================================
is new                       starts at the virtual time, half a slice before its deadline
wakes                        starts so that it has the lag it left with (`PLACE_LAG`)
has reached its deadline     begins a new request
blocks                       leaves at once; its lag is kept, two slices of it at most
has another nice value       has its new weight from when it is next preempted, or waits
wakes while one runs         preempts it if that is eligible no more, and it is the one to pick
moves to an idle CPU         keeps its lag
===========================  ===========================================================

Left out: `DELAY_DEQUEUE`, slices of a task's own, groups.  Only an idle CPU balances: it
takes over who has waited longest in the longest queue.

Those that wait are in a tree by deadline, equals as they came, in which each knows the least
virtual time of its subtree, as in Linux (`__pick_eevdf`): to choose is logarithmic in how many wait
in a queue.  To balance is linear in CPUs.
"""

from typing import Final

from sim.base.jit import compiled
from sim.machine.layout import NICE_0_WEIGHT, NONE, Arrays
from sim.machine.treap import link_leaf, unlink_row

QUEUE_PER_CPU: Final = True


@compiled
def virtual_ns(m: Arrays, task: int, ns: int) -> int:
    """Return by how much a task's virtual time grows in `ns` (`calc_delta_fair`)."""
    return ns * NICE_0_WEIGHT // int(m.entities[task].load)


@compiled
def avg_vruntime(m: Arrays, queue: int) -> int:
    """Return the virtual time of a queue; what is summed up is kept relative to it."""
    q = m.queues[queue]
    if q.load > 0:
        ahead = int(q.weighted) // int(q.load)
        q.vruntime += ahead
        q.weighted -= ahead * q.load
    return int(q.vruntime)


@compiled
def is_eligible(m: Arrays, queue: int, task: int) -> bool:
    """Whether a task has had no more than its share (`entity_eligible`)."""
    return bool(m.entities[task].vruntime <= avg_vruntime(m, queue))


@compiled
def update_curr(m: Arrays, queue: int, task: int) -> None:
    """Account for what a task of a queue has used since; begin a new request after a deadline."""
    e = m.entities[task]
    used_ns = int(m.tasks[task].cpu_ns)
    grown = virtual_ns(m, task, used_ns - int(e.used_ns))
    e.used_ns = used_ns
    e.vruntime += grown
    m.queues[queue].weighted += grown * e.load
    if e.vruntime >= e.deadline:
        e.deadline = e.vruntime + virtual_ns(m, task, int(m.sched[0].quantum_ns))


@compiled
def update_running(m: Arrays, queue: int) -> None:
    """Account for the task that has the CPU of a queue."""
    running = int(m.cpus[queue - 1].task)
    if running != NONE and m.entities[running].load > 0:
        update_curr(m, queue, running)


@compiled
def renew_least(m: Arrays, task: int) -> None:
    """Have a task that waits know the least virtual time of its subtree (`min_vruntime_update`)."""
    e = m.entities[task]
    e.min_vruntime = e.vruntime
    if e.left != NONE:
        e.min_vruntime = min(e.min_vruntime, m.entities[int(e.left)].min_vruntime)
    if e.right != NONE:
        e.min_vruntime = min(e.min_vruntime, m.entities[int(e.right)].min_vruntime)


@compiled
def begin_to_wait(m: Arrays, queue: int, task: int) -> None:
    """Put a task into the tree, behind those whose deadline is not later (`__enqueue_entity`)."""
    e = m.entities[task]
    q = m.queues[queue]
    above = NONE
    left = False
    below = int(q.root)
    while below != NONE:
        above = below
        left = bool(e.deadline < m.entities[above].deadline)
        below = int(m.entities[above].left) if left else int(m.entities[above].right)
    link_leaf(m, m.entities, q, task, above, left, renew_least)


@compiled
def end_to_wait(m: Arrays, queue: int, task: int) -> None:
    """Take a task out of the tree (`__dequeue_entity`)."""
    unlink_row(m, m.entities, m.queues[queue], task, renew_least)


@compiled
def enqueue_task(m: Arrays, queue: int, task: int, why: int) -> int:
    """Account for a task that ran here, or place one that comes (`place_entity`)."""
    e = m.entities[task]
    if e.load == 0:
        place_entity(m, queue, task)
    else:
        update_curr(m, queue, task)
        if e.load != e.weight:
            reweight_entity(m, queue, task)
    begin_to_wait(m, queue, task)
    return 0


@compiled
def place_entity(m: Arrays, queue: int, task: int) -> None:
    """Give a task that comes its virtual time and its deadline, and add it to the sums."""
    update_running(m, queue)
    e = m.entities[task]
    q = m.queues[queue]
    e.load = e.weight
    e.used_ns = m.tasks[task].cpu_ns
    lag = int(e.lag) * (int(q.load) + int(e.load)) // int(q.load) if q.load > 0 else 0
    e.vruntime = avg_vruntime(m, queue) - lag
    request = virtual_ns(m, task, int(m.sched[0].quantum_ns))
    e.deadline = e.vruntime + (request // 2 if e.used_ns == 0 else request)
    q.load += e.load
    q.weighted += (e.vruntime - q.vruntime) * e.load


@compiled
def dequeue_task(m: Arrays, queue: int, task: int) -> int:
    """Take a task out of the sums, and out of the tree if it is in it (`update_entity_lag`)."""
    if m.entities[task].queue == queue:
        end_to_wait(m, queue, task)
    update_running(m, queue)
    update_curr(m, queue, task)
    leave_sums(m, queue, task)
    return 0


@compiled
def leave_sums(m: Arrays, queue: int, task: int) -> None:
    """Take a task that was accounted for out of the sums, and keep its lag."""
    e = m.entities[task]
    q = m.queues[queue]
    longest_ns = max(2 * int(m.sched[0].quantum_ns), int(m.clock[0].tick_ns))
    most = virtual_ns(m, task, longest_ns)
    e.lag = max(-most, min(most, avg_vruntime(m, queue) - int(e.vruntime)))
    q.weighted -= (e.vruntime - q.vruntime) * e.load
    q.load -= e.load
    e.load = 0


@compiled
def reweight_entity(m: Arrays, queue: int, task: int) -> None:
    """Give a task that has run its new weight: in CPU time, its lag and its request stay.

    Linux does so at once (`set_user_nice`), here the rest of a slice is accounted for as before.
    """
    e = m.entities[task]
    before = int(e.load)
    request = (int(e.deadline) - int(e.vruntime)) * before // int(e.weight)
    leave_sums(m, queue, task)
    e.lag = int(e.lag) * before // int(e.weight)
    place_entity(m, queue, task)
    e.deadline = e.vruntime + request


@compiled
def earliest(m: Arrays, queue: int) -> int:
    """Return who has the earliest deadline of those that wait and are eligible, or NONE."""
    now = avg_vruntime(m, queue)
    task = int(m.queues[queue].root)
    while task != NONE:
        e = m.entities[task]
        if e.left != NONE and m.entities[int(e.left)].min_vruntime <= now:
            task = int(e.left)
        elif e.vruntime <= now:
            break
        else:
            task = int(e.right)
    return task


@compiled
def pick(m: Arrays, queue: int) -> int:
    """Return who runs next (`pick_eevdf`): of those in a queue somebody is always eligible."""
    best = earliest(m, queue)
    end_to_wait(m, queue, best)
    m.entities[best].request = m.entities[best].deadline
    return best


@compiled
def slice_ns(m: Arrays, task: int) -> int:
    """Return the CPU time to a task's deadline."""
    e = m.entities[task]
    return -(-int(e.deadline - e.vruntime) * int(e.load) // NICE_0_WEIGHT)


@compiled
def wakeup_preempt(m: Arrays, queue: int, waking: int, running: int) -> int:
    """Return 1 if the task that woke is the one to pick (`check_preempt_wakeup_fair`).

    One that runs, for which `enqueue_task` has accounted, goes on to the end of its request while
    it is eligible (`RUN_TO_PARITY`).
    """
    r = m.entities[running]
    eligible = is_eligible(m, queue, running)
    if (eligible and r.request == r.deadline) or earliest(m, queue) != waking:
        return 0
    return int(not eligible or m.entities[waking].deadline < r.deadline)


@compiled
def first_unbound(m: Arrays, queue: int) -> int:
    """Return who has waited longest in a queue of those that may run anywhere, or NONE."""
    task = int(m.queues[queue].head)
    while task != NONE and m.tasks[task].pin != NONE:
        task = int(m.entities[task].next)
    return task


@compiled
def steal(m: Arrays, cpu: int) -> int:
    """Return who is taken over from the longest queue that has one (`sched_balance_newidle`)."""
    found = NONE
    longest = 0
    for queue in range(1, int(m.config[0].n_cpus) + 1):
        if m.queues[queue].length > longest:
            task = first_unbound(m, queue)
            if task != NONE:
                found = task
                longest = int(m.queues[queue].length)
    return found
