"""Frames in and out: nothing else takes one, gives one back, or counts what is in use.

As in Linux's page allocator, each zone has a list of single frames for each CPU, which is refilled
in batches from its buddy lists; watermarks are tested at the refill.  A task takes from the lists
of its CPU, zone after zone.  All of them are drained before memory is declared short.  A frame is
charged to the control group for which its CPU acts, as memory of some kind, until it is given back,
whoever else uses it.
"""

from typing import Any

from sim.base.jit import compiled, inlined, rare
from sim.machine.buddy import buddy_alloc, buddy_free
from sim.machine.groups import charge, charge_block, secure_charge, uncharge
from sim.machine.layout import F_PERCPU, N_ORDERS, NONE, PENDING_KSWAPD, PENDING_QUEUE, ROOT, Arrays

KSWAPD_GIVES_UP = 16
"""Rounds without a page after which kswapd is not woken any more (`MAX_RECLAIM_RETRIES`)."""

# -- zones ---------------------------------------------------------------------------------------


@inlined
def zone_choice(m: Arrays, choice: int) -> int:
    """Return the zone to try as number `choice` (Linux's zonelist): from Normal down to DMA."""
    return int(m.config[0].n_zones) - 1 - choice


@inlined
def zone_spare(m: Arrays, zone: int, atomic: bool) -> int:
    """Return how many free frames a zone may give: those above min, or all to `atomic` requests."""
    z = m.zones[zone]
    return int(max(0, z.free if atomic else z.free - z.min_pages))


@compiled
def spare_frames(m: Arrays, atomic: bool) -> int:
    """Return how many free frames all zones together may give, without the per-CPU lists."""
    spare = 0
    for zone in range(int(m.config[0].n_zones)):
        spare += zone_spare(m, zone, atomic)
    return spare


# -- per-CPU lists -------------------------------------------------------------------------------


@inlined
def pcp_row(m: Arrays, cpu: int, zone: int) -> int:
    """Return the row of the list of a CPU in a zone: the first zone to try is in the first rows."""
    return (int(m.config[0].n_zones) - 1 - zone) * int(m.config[0].n_cpus) + cpu


@compiled
def listed(m: Arrays, cpu: int) -> int:
    """Return how many frames are on the lists of a CPU, in all zones."""
    frames = 0
    for zone in range(int(m.config[0].n_zones)):
        frames += m.percpu[pcp_row(m, cpu, zone)].count
    return frames


@compiled
def take_blocks(m: Arrays, zone: int, mine: Any, frames: int) -> None:
    """Move `frames` free frames of `zone` to a per-CPU list, in as large blocks as there are.

    Blocks, because taking one frame after the other would split and relink for each of them.
    """
    order = N_ORDERS - 1
    while frames > 0:
        while 1 << order > frames:
            order -= 1
        pfn = buddy_alloc(m, zone, order)
        if pfn == NONE:
            order -= 1
            continue
        head = int(mine.head)
        for at in range(pfn + (1 << order) - 1, pfn - 1, -1):
            frame = m.frames[at]
            frame.bits = F_PERCPU
            frame.zone = zone
            frame.next = head
            head = at
        mine.head = head
        mine.count += 1 << order
        frames -= 1 << order


@compiled
def any_zone_has(m: Arrays, high: bool) -> bool:
    """Whether any zone has as many free frames as its low watermark says, or its `high` one."""
    for zone in range(int(m.config[0].n_zones)):
        z = m.zones[zone]
        if z.free >= (z.high_pages if high else z.low_pages):
            return True
    return False


@compiled
def wake_kswapd(m: Arrays) -> None:
    """Have kswapd woken if it sleeps, and has not given up."""
    pool = m.pool[0]
    if pool.kswapd_awake == 0 and pool.kswapd_failures < KSWAPD_GIVES_UP:
        pool.kswapd_awake = 1
        pool.pending |= PENDING_KSWAPD


@compiled
def refill(m: Arrays, cpu: int, wanted: int, keep: int, atomic: bool) -> bool:
    """Bring the lists of `cpu` to at least `wanted` frames; say whether that was possible.

    A zone's list counts, and is filled, before the next zone is looked at (Linux `rmqueue`).  No
    zone is taken below its min watermark, unless the request is `atomic` (made by a task that is
    being killed); `keep` frames above the watermarks are left for somebody else.
    """
    if not any_zone_has(m, False):
        wake_kswapd(m)
    allowed = spare_frames(m, atomic) - keep
    if listed(m, cpu) + allowed < wanted:
        return False
    for choice in range(int(m.config[0].n_zones)):
        zone = zone_choice(m, choice)
        mine = m.percpu[pcp_row(m, cpu, zone)]
        missing = wanted - mine.count
        spare = min(allowed, zone_spare(m, zone, atomic))
        if missing > 0 and spare > 0:
            n = min(max(missing, m.zones[zone].batch), spare)
            allowed -= n
            take_blocks(m, zone, mine, n)
        wanted -= mine.count
        if wanted <= 0:
            return True
    return False


@rare
def drain(m: Arrays, row: int, most: int) -> None:
    """Return up to `most` frames from a per-CPU list to the buddy lists."""
    mine = m.percpu[row]
    for _ in range(min(most, mine.count)):
        pfn = int(mine.head)
        mine.head = m.frames[pfn].next
        mine.count -= 1
        buddy_free(m, pfn, 0)


@rare
def drain_all(m: Arrays) -> None:
    """Return all frames on per-CPU lists to the buddy lists."""
    for row in range(int(m.config[0].n_zones * m.config[0].n_cpus)):
        drain(m, row, int(m.percpu[row].count))


@rare
def refill_or_drain(m: Arrays, cpu: int, task: int, wanted: int) -> bool:
    """Make `wanted` frames ready on `cpu`: refill, and if need be drain every list first.

    While frames are set aside for somebody else the lists are drained at once: what lies on them
    may be among those.
    """
    keep = reserved_for_others(m, task)
    atomic = m.tasks[task].killed != 0
    if keep == 0 and refill(m, cpu, wanted, keep, atomic):
        return True
    drain_all(m)
    if refill(m, cpu, wanted, keep, atomic):
        return True
    fall_short(m, task, wanted)
    return False


# -- single frames -------------------------------------------------------------------------------


@compiled
def refuse_newcomer(m: Arrays, task: int, wanted: int) -> bool:
    """Refuse a task that has to wait behind those who queue for memory; say whether it has."""
    if m.pool[0].head == task or m.tasks[task].reserved != 0:
        return False
    fall_short(m, task, wanted)
    return True


@compiled
def fall_short(m: Arrays, task: int, wanted: int) -> None:
    """Take note that the machine has no `wanted` frames for a task."""
    o = m.operations[task]
    if o.over != ROOT:
        o.attempts = 0
    o.need = wanted
    o.over = ROOT


@inlined
def secure(m: Arrays, cpu: int, task: int, wanted: int) -> bool:
    """Make `wanted` frames ready on `cpu`; False if memory is short: the task needs so many.

    After True, that many calls of `take` cannot fail, and the group for which the CPU acts is
    charged for them ahead.  After False, `over` says whose limit is in the way.

    While tasks queue for memory, newcomers are refused whatever is free; only the head of the queue
    may try.
    """
    if wanted == 0:
        return True
    if m.cpus[cpu].group != ROOT and not secure_charge(m, cpu, task, wanted):
        return False
    if m.pool[0].pending & PENDING_QUEUE != 0 and refuse_newcomer(m, task, wanted):
        return False
    if m.percpu[cpu].count >= wanted and reserved_for_others(m, task) == 0:
        return True
    return refill_or_drain(m, cpu, task, wanted)


@inlined
def rmqueue_pcplist(m: Arrays, cpu: int) -> int:
    """Return a frame from the lists of `cpu`, with one reference: there is one."""
    row = cpu
    while m.percpu[row].count == 0:
        row += int(m.config[0].n_cpus)
    mine = m.percpu[row]
    pfn = int(mine.head)
    frame = m.frames[pfn]
    mine.head = frame.next
    mine.count -= 1
    frame.bits = 0
    frame.order = 0
    frame.refs = 1
    return pfn


@inlined
def take(m: Arrays, cpu: int, kind: int) -> int:
    """Return a frame from the lists of `cpu`, with one reference, for a kind of memory.

    `secure` has seen to it that there is one.
    """
    pfn = rmqueue_pcplist(m, cpu)
    charge(m, cpu, pfn, kind, 1)
    return pfn


@compiled
def take_reserve(m: Arrays, cpu: int, kind: int) -> int:
    """Return a frame for who makes room, from below the watermarks, too (`PF_MEMALLOC`); or NONE.

    It has one reference, and no group is charged.  What is promised to forks is left, above min;
    as in `refill_or_drain` all lists are drained then.
    """
    if not any_zone_has(m, False):
        wake_kswapd(m)
    promised = int(m.pool[0].reserved)
    if promised > 0:
        drain_all(m)
    pfn = NONE
    if listed(m, cpu) > 0:
        pfn = rmqueue_pcplist(m, cpu)
    elif spare_frames(m, promised == 0) > promised:
        zone = int(m.config[0].n_zones) - 1
        while zone_spare(m, zone, promised == 0) == 0:
            zone -= 1
        pfn = buddy_alloc(m, zone, 0)
        m.frames[pfn].zone = zone
        m.frames[pfn].refs = 1
    if pfn != NONE:
        m.charged[ROOT, kind] += 1
        m.pool[0].used += 1
    return pfn


@inlined
def give_back(m: Arrays, cpu: int, pfn: int, kind: int) -> None:
    """Free a frame that was taken for `kind` of memory, to the list of `cpu` in its zone.

    A batch of that goes back to the zone when it is too long.
    """
    frame = m.frames[pfn]
    uncharge(m, cpu, pfn, kind, 1)
    frame.bits = F_PERCPU
    frame.refs = 0
    frame.mapping = NONE
    row = pcp_row(m, cpu, int(frame.zone))
    mine = m.percpu[row]
    frame.next = mine.head
    mine.head = pfn
    mine.count += 1
    m.pool[0].released += 1
    zone = m.zones[int(frame.zone)]
    if mine.count > zone.pcp_high:
        drain(m, row, int(max(zone.batch, mine.count - zone.pcp_high)))


# -- blocks --------------------------------------------------------------------------------------


@compiled
def take_block(m: Arrays, cpu: int, task: int, order: int, kind: int) -> int:
    """Return the first of 2**order free frames in a block, or NONE; watermarks and limits are kept.

    Each has one reference.
    """
    size = 1 << order
    if spare_frames(m, False) - reserved_for_others(m, task) < size:
        return NONE
    for choice in range(int(m.config[0].n_zones)):
        zone = zone_choice(m, choice)
        if zone_spare(m, zone, False) < size:
            continue
        pfn = buddy_alloc(m, zone, order)
        if pfn == NONE:
            continue
        if m.cpus[cpu].group != ROOT and not charge_block(m, cpu, task, size):
            buddy_free(m, pfn, order)
            return NONE
        for at in range(pfn, pfn + size):
            frame = m.frames[at]
            frame.zone = zone
            frame.refs = 1
        charge(m, cpu, pfn, kind, size)
        return pfn
    return NONE


@compiled
def give_block(m: Arrays, cpu: int, pfn: int, order: int, kind: int) -> None:
    """Free the 2**order frames from `pfn` on that were taken as one block, for `kind` of memory."""
    size = 1 << order
    uncharge(m, cpu, pfn, kind, size)
    for at in range(pfn, pfn + size):
        frame = m.frames[at]
        frame.bits = 0
        frame.refs = 0
        frame.mapping = NONE
    m.pool[0].released += size
    buddy_free(m, pfn, order)


@compiled
def restore_reserve(m: Arrays) -> None:
    """Have what reclaim has freed fill up what it took from below the watermarks, if it did.

    Frames on the lists of CPUs could be taken without a look at the watermarks.
    """
    for zone in range(int(m.config[0].n_zones)):
        if m.zones[zone].free < m.zones[zone].min_pages:
            drain_all(m)
            return


# -- frames set aside ----------------------------------------------------------------------------


@inlined
def reserved_for_others(m: Arrays, task: int) -> int:
    """Return how many frames are set aside for forks of other tasks."""
    return int(m.pool[0].reserved - m.tasks[task].reserved)


@compiled
def reserve(m: Arrays, task: int, frames: int) -> bool:
    """Set `frames` aside for a fork, as many as it may take; False as `secure`."""
    if m.pool[0].pending & PENDING_QUEUE != 0 and refuse_newcomer(m, task, frames):
        return False
    drain_all(m)
    if spare_frames(m, False) - m.pool[0].reserved < frames:
        fall_short(m, task, frames)
        return False
    m.tasks[task].reserved = frames
    m.pool[0].reserved += frames
    return True


@compiled
def use_reserve(m: Arrays, task: int, frames: int) -> None:
    """Take note that `frames` of those set aside for this fork are now in use."""
    used = min(frames, int(m.tasks[task].reserved))
    m.tasks[task].reserved -= used
    m.pool[0].reserved -= used


@compiled
def drop_reserve(m: Arrays, task: int) -> None:
    """Let go of the frames set aside for a fork that are left over: others may have them."""
    m.pool[0].reserved -= m.tasks[task].reserved
    m.pool[0].released += m.tasks[task].reserved
    m.tasks[task].reserved = 0
