"""Run queues and CPUs inside the burst: who waits, who runs, what is counted of both.

Linux: `kernel/sched/core.c`.  In which order tasks run is the policy's to say; the queues here are
in order of arrival, so that the longest wait in each is known.
"""

from sim.base.jit import compiled, inlined
from sim.cost.draw import settle
from sim.engine.queues import SUM_BITS, SUM_MASK, add_to_area, link, sample_due, unlink
from sim.engine.timers import arrival_ns, drop_timer, set_timer
from sim.kernel.work import note
from sim.machine.groups import act_for
from sim.machine.layout import (
    FOREVER,
    NONE,
    PSI_MEMSTALL,
    PSI_NONE,
    PSI_ONCPU,
    PSI_RUNNABLE,
    Arrays,
)
from sim.machine.turns import FREE, LOOK, STEPS, first_cpu, key_of, set_key
from sim.machine.work import CONTEXT_SWITCH
from sim.observe.histogram import RUNQUEUE, observe
from sim.observe.pressure import change_state
from sim.policy.schedulers import PLUGIN, PREEMPTED, WOKE, YIELDED
from sim.policy.schedulers.shipped import (
    dequeue_task,
    enqueue_task,
    pick,
    slice_ns,
    steal,
    wakeup_preempt,
)

# --- queues -----------------------------------------------------------------------------------


@compiled
def enqueue(m: Arrays, task: int, why: int, now_ns: int) -> None:
    """Put a task that became runnable, or has lost its CPU, into its run queue."""
    sample_due(m, now_ns)
    e = m.entities[task]
    cpu = int(m.tasks[task].pin)
    if cpu == NONE:
        if m.sched[0].queue_per_cpu == 1:
            select_cpu(m, task, why, now_ns)
        cpu = int(e.home)
    last = int(e.psi_cpu)
    # Linux takes the CPU when the slice ends, not at the end of the step: in the middle of reclaim.
    makes_room = why != WOKE and turn_ends_ns(m, last) < m.cpus[last].reclaims_until_ns
    state = PSI_MEMSTALL if makes_room else PSI_RUNNABLE
    change_state(m, task, state, cpu if cpu != NONE else last, now_ns)
    link(m, task, cpu + 1 if cpu != NONE else 0, now_ns)
    enqueue_task(m, cpu + 1, task, why)
    e.since_ns = now_ns
    m.clock[0].runnable += 1
    m.sched[0].enqueued += 1
    add_to_area(m, -now_ns)
    if cpu != NONE:
        set_key(m, LOOK, cpu, 0)
        if why == WOKE:
            check_preempt(m, task, cpu, now_ns)


@compiled
def check_preempt(m: Arrays, task: int, cpu: int, now_ns: int) -> None:
    """Have the task of a CPU lose it after its step if one that woke goes first."""
    c = m.cpus[cpu]
    running = int(c.task)
    if running == NONE or c.need_resched == 1 or m.entities[running].busy == 0:
        return
    if wakeup_preempt(m, cpu + 1, task, running) == 1:
        c.need_resched = 1
        c.slice_end_ns = now_ns


@compiled
def idle_cpu(m: Arrays, now_ns: int) -> int:
    """Return the lowest CPU without a task, or whose task waits there for an arrival; or NONE."""
    cpu = first_cpu(m, FREE)
    while cpu != NONE and m.cpus[cpu].task != NONE and not idles(m, cpu, now_ns):
        set_key(m, FREE, cpu, FOREVER)
        cpu = first_cpu(m, FREE)
    return cpu


@compiled
def select_cpu(m: Arrays, task: int, why: int, now_ns: int) -> None:
    """Choose in whose queue a task waits (Linux `select_task_rq`): `home`.

    That is the CPU it ran on if idle, else the lowest idle one, else where it was; a new task goes
    where fewest are.  One that loses its CPU moves to an idle one too.
    """
    e = m.entities[task]
    home = int(e.home)
    cpu = home
    if home == NONE or key_of(m, FREE, home) != 0 or m.cpus[home].task != NONE:
        cpu = idle_cpu(m, now_ns)
    if cpu == NONE:
        cpu = home
        least = FOREVER
        if home == NONE:
            for other in range(int(m.config[0].n_cpus)):
                load = 2 * int(m.queues[other + 1].length) + (m.cpus[other].task != NONE)
                if load < least:
                    cpu, least = other, load
    else:
        set_key(m, FREE, cpu, FOREVER)  # it is for this task
    if why != WOKE and cpu != home:
        dequeue_task(m, home + 1, task)
    e.home = cpu


@compiled
def dequeue(m: Arrays, task: int, now_ns: int) -> int:
    """Take a task off its run queue; return how long it waited, in ns."""
    sample_due(m, now_ns)
    sched = m.sched[0]
    e = m.entities[task]
    unlink(m, task)
    change_state(m, task, PSI_NONE, NONE, now_ns)
    m.clock[0].runnable -= 1
    add_to_area(m, now_ns)
    low = int(sched.waited_low) + now_ns - max(int(e.since_ns), int(sched.counted_from_ns))
    sched.waited_high += low >> SUM_BITS
    sched.waited_low = low & SUM_MASK
    return now_ns - int(e.since_ns)


@compiled
def migrate(m: Arrays, task: int, cpu: int, now_ns: int) -> None:
    """Have a task that waits in one CPU's queue go on waiting in that of another."""
    unlink(m, task)
    m.entities[task].home = cpu
    change_state(m, task, int(m.entities[task].psi_state), cpu, now_ns)
    link(m, task, cpu + 1, now_ns)


@inlined
def is_wanted(m: Arrays, cpu: int) -> bool:
    """Whether any task that `cpu` may run is waiting."""
    return bool(m.queues[0].length > 0 or m.queues[cpu + 1].length > 0)


@inlined
def turn_ends_ns(m: Arrays, cpu: int) -> int:
    """Return when the slice of the task on a CPU that is wanted ends.

    One that had ended before there was contention ends at the first tick since.
    """
    own = m.queues[cpu + 1]
    since = int(own.contended_ns) if own.length > 0 else int(m.queues[0].contended_ns)
    end = int(m.cpus[cpu].slice_end_ns)
    if end < since:
        tick = int(m.clock[0].tick_ns)
        end = (since + tick - 1) // tick * tick
    return end


@compiled
def queue_for(m: Arrays, cpu: int) -> int:
    """Return the queue that a CPU serves, of those it may: where somebody has waited longest."""
    own = cpu + 1
    if m.queues[own].length == 0:
        return 0
    if m.queues[0].length == 0:
        return own
    first = m.entities[int(m.queues[0].head)].since_ns
    return 0 if first <= m.entities[int(m.queues[own].head)].since_ns else own


# --- CPUs ---------------------------------------------------------------------------------------


@inlined
def take_from(m: Arrays, cpu: int, now_ns: int) -> None:
    """Take a CPU from its task, without a word to the tournaments or the policy."""
    c = m.cpus[cpu]
    change_state(m, int(c.task), PSI_NONE, NONE, now_ns)
    m.tasks[int(c.task)].cpu = NONE
    c.task = NONE
    m.sched[0].running -= 1


@compiled
def vacate(m: Arrays, cpu: int, now_ns: int) -> None:
    """Take a CPU from its task, if it has one."""
    c = m.cpus[cpu]
    if c.task == NONE:
        return
    if m.sched[0].policy == PLUGIN:
        told = m.sched[0].left
        m.left[told, 0] = c.task
        m.left[told, 1] = m.tasks[int(c.task)].cpu_ns
        m.sched[0].left = told + 1
    else:
        dequeue_task(m, cpu + 1, int(c.task))
    take_from(m, cpu, now_ns)
    set_key(m, STEPS, cpu, FOREVER)
    set_key(m, FREE, cpu, 0)
    if m.queues[cpu + 1].length > 0:
        set_key(m, LOOK, cpu, 0)


@compiled
def leave(m: Arrays, task: int, now_ns: int) -> None:
    """Take a task that has ended off its CPU, where policies keep sums over runnable tasks."""
    change_state(m, task, PSI_NONE, NONE, now_ns)
    cpu = int(m.tasks[task].cpu)
    if m.sched[0].queue_per_cpu == 1 and cpu != NONE and m.cpus[cpu].task == task:
        vacate(m, cpu, now_ns)
        set_key(m, LOOK, cpu, 0)


@compiled
def preempt(m: Arrays, cpu: int, now_ns: int) -> None:
    """Take a CPU from its task, which goes on waiting for one."""
    task = int(m.cpus[cpu].task)
    take_from(m, cpu, now_ns)
    set_key(m, STEPS, cpu, FOREVER)
    set_key(m, FREE, cpu, FOREVER)  # it goes to another CPU if one is idle, and this to the next
    enqueue(m, task, PREEMPTED if m.cpus[cpu].need_resched == 1 else YIELDED, now_ns)
    set_key(m, FREE, cpu, 0)
    if m.queues[cpu + 1].length > 0:
        set_key(m, LOOK, cpu, 0)


@compiled
def switch_to(m: Arrays, cpu: int, task: int, now_ns: int, slice_ns: int) -> None:
    """Give a CPU without a task to one that waits, from `now_ns` on.

    A switch from another task costs; the slice ends at the first tick at or after its length.
    """
    waited_ns = dequeue(m, task, now_ns)
    c = m.cpus[cpu]
    clock = m.clock[0]
    clock.lines = 0
    ns = 0
    if c.last != NONE and c.last != task:
        note(m, CONTEXT_SWITCH, 1)
        ns = (settle(m, task) + 500) // 1000
    observe(m, RUNQUEUE, waited_ns)
    change_state(m, task, PSI_ONCPU, cpu, now_ns)
    c.task = task
    c.last = task
    c.need_resched = 0
    act_for(m, cpu, task)
    c.idle_from_ns = NONE
    c.next_ns = now_ns + ns
    c.busy_ns += ns
    tick = int(clock.tick_ns)
    c.slice_end_ns = FOREVER
    if slice_ns < FOREVER:
        c.slice_end_ns = (now_ns + slice_ns + tick - 1) // tick * tick
    m.tasks[task].cpu = cpu
    m.tasks[task].cpu_ns += ns
    m.sched[0].running += 1
    set_key(m, STEPS, cpu, int(c.next_ns))
    if key_of(m, FREE, cpu) != FOREVER:
        set_key(m, FREE, cpu, FOREVER)


@inlined
def idles(m: Arrays, cpu: int, now_ns: int) -> bool:
    """Whether the task on `cpu` waits there for its next arrival."""
    c = m.cpus[cpu]
    return bool(c.idle_from_ns != NONE and c.next_ns > now_ns)


@inlined
def begin_to_idle(m: Arrays, cpu: int, until_ns: int) -> None:
    """Let a CPU stand still until an arrival."""
    c = m.cpus[cpu]
    c.idle_from_ns = c.next_ns
    c.next_ns = until_ns
    if key_of(m, FREE, cpu) != 0:
        set_key(m, FREE, cpu, 0)


@compiled
def stop_idling(m: Arrays, cpu: int, now_ns: int) -> None:
    """Let the CPU go on now if it stands still until an arrival."""
    c = m.cpus[cpu]
    if idles(m, cpu, now_ns):
        c.next_ns = now_ns
        set_key(m, STEPS, cpu, now_ns)
    c.idle_from_ns = NONE


@compiled
def give_way(m: Arrays, cpu: int, now_ns: int) -> None:
    """Block a paced task until its next arrival, since another could use its CPU."""
    task = int(m.cpus[cpu].task)
    stop_idling(m, cpu, now_ns)
    vacate(m, cpu, now_ns)
    set_timer(m, task, arrival_ns(m, task))


@compiled
def wake(m: Arrays, task: int, now_ns: int) -> None:
    """Let a task go on whose arrival has come."""
    drop_timer(m, task)
    enqueue(m, task, WOKE, now_ns)


@compiled
def look_at(m: Arrays, cpu: int) -> None:
    """See to it that a CPU is looked at before the next step."""
    set_key(m, LOOK, cpu, 0)


@inlined
def to_look_at(m: Arrays) -> int:
    """Return the lowest CPU that may be free and is wanted, or whose task may be done; or NONE."""
    cpu = first_cpu(m, LOOK)
    if m.queues[0].length > 0:
        free = first_cpu(m, FREE)
        if free != NONE and (cpu == NONE or free < cpu):
            return free
    return cpu


@compiled
def give_to_next(m: Arrays, cpu: int, now_ns: int) -> None:
    """Give a CPU without a task to the next in line that still has something to do."""
    while m.cpus[cpu].task == NONE and is_wanted(m, cpu):
        task = pick(m, queue_for(m, cpu))
        if m.entities[task].busy == 1:
            switch_to(m, cpu, task, now_ns, slice_ns(m, task))
        else:  # its call was cancelled while it queued, and it waits for others
            dequeue(m, task, now_ns)
            dequeue_task(m, cpu + 1, task)


@compiled
def pull(m: Arrays, cpu: int, now_ns: int) -> None:
    """Have a CPU for which nobody waits take over the task of another's queue that `steal` says."""
    task = steal(m, cpu)
    if task != NONE:
        dequeue_task(m, int(m.entities[task].queue), task)
        migrate(m, task, cpu, now_ns)
        enqueue_task(m, cpu + 1, task, YIELDED)


@compiled
def rotate(m: Arrays, cpu: int, now_ns: int) -> None:
    """Preempt the task of a CPU and give it to the next in line, a policy that ships choosing."""
    if first_cpu(m, FREE) != NONE or m.tasks[int(m.cpus[cpu].task)].pin != NONE:
        preempt(m, cpu, now_ns)  # other CPUs may have a say
        return
    task = int(m.cpus[cpu].task)
    take_from(m, cpu, now_ns)
    enqueue(m, task, PREEMPTED if m.cpus[cpu].need_resched == 1 else YIELDED, now_ns)
    give_to_next(m, cpu, now_ns)


@compiled
def hand_out(m: Arrays, now_ns: int) -> int:
    """Take CPUs from tasks that have nothing to do, and give them to those that wait.

    Returns a CPU for which a plug-in's policy has to pick a task first, or NONE.
    """
    cpu = to_look_at(m)
    while cpu != NONE:
        c = m.cpus[cpu]
        set_key(m, LOOK, cpu, FOREVER)
        if c.task != NONE and m.entities[int(c.task)].busy == 0:
            vacate(m, cpu, now_ns)
            set_key(m, LOOK, cpu, FOREVER)
        wanted = is_wanted(m, cpu)
        if c.task != NONE:
            if wanted and idles(m, cpu, now_ns):
                give_way(m, cpu, now_ns)
                set_key(m, LOOK, cpu, FOREVER)
            elif not idles(m, cpu, now_ns):
                set_key(m, FREE, cpu, FOREVER)
        if c.task == NONE and m.sched[0].policy == PLUGIN:
            if wanted or (m.sched[0].steals == 1 and m.clock[0].runnable > 0):
                return cpu
        elif c.task == NONE:
            if not wanted and m.sched[0].steals == 1 and m.clock[0].runnable > 0:
                pull(m, cpu, now_ns)
            give_to_next(m, cpu, now_ns)
        cpu = to_look_at(m)
    return NONE


@compiled
def rotate_plugin(m: Arrays, cpu: int, now_ns: int) -> int:
    """Preempt the task of a CPU; return a CPU for which the plug-in's policy has to pick, or NONE.

    The policy must be told of the task that was preempted first.
    """
    preempt(m, cpu, now_ns)
    return hand_out(m, now_ns)
