"""Control groups: who is charged for memory, and the limit that each may not pass.

As in Linux (`mm/memcontrol.c`, read in 6.12), a task's frames are charged out of a stock of its
CPU, which is filled 64 pages at a time, or with just what is needed where a limit is near.  So a
group's usage is that of its frames and of its stocks, of which a CPU has several since 6.16.  Page
tables and kernel stacks that are freed go back into the stock, other frames off the account.

Kernel objects (`sim.machine.slab`) take no frames of the pool, but are charged for in whole pages.
"""

from sim.base.jit import compiled, inlined, rare
from sim.machine import native  # noqa: F401  (tells Numba how compiled code sees the machine)
from sim.machine.layout import (
    FOREVER,
    KIND_STACK,
    KIND_TABLE,
    N_STOCKS,
    NONE,
    ROOT,
    STOCK_PAGES,
    Arrays,
)
from sim.machine.page_counter import page_counter_charge, page_counter_try_charge
from sim.machine.rules.cgroup import V1_FAILCNT
from sim.machine.slab import (
    PROCESS_SLAB_BYTES,
    TASK_SLAB_BYTES,
    count_slab,
    objects_bytes,
    slab_missing,
)


@inlined
def charge_to(m: Arrays, cpu: int, group: int) -> None:
    """Have what is taken on `cpu` from now on charged to `group` (Linux `set_active_memcg`)."""
    m.cpus[cpu].group = group


@inlined
def act_for(m: Arrays, cpu: int, task: int) -> None:
    """Have what is taken on `cpu`, which a task gets, charged to the group of its process."""
    charge_to(m, cpu, int(m.processes[int(m.tasks[task].process)].group))


# -- groups, each with those it is nested in -----------------------------------------------------


@compiled
def margin(m: Arrays, group: int) -> int:
    """Return how many pages a group may still be charged for, by its limits and those above."""
    least = FOREVER
    while group != ROOT:
        g = m.groups[group]
        least = min(least, int(g.limit - g.usage), int(g.memsw_limit - g.usage - g.swap))
        group = int(g.parent)
    return least


@compiled
def headroom(m: Arrays, group: int) -> int:
    """Return how many pages a group may come to hold before a limit, or `memory.high`, is felt."""
    least = FOREVER
    while group != ROOT:
        g = m.groups[group]
        least = min(least, max(0, int(min(g.limit, g.high) - g.usage)))
        group = int(g.parent)
    return least


@compiled
def note_over_high(m: Arrays, task: int, group: int, pages: int) -> None:
    """Have a task pay for a charge of `pages` to a group if it, or one it is in, is above its high.

    See `sim.kernel.reclaim.high`; threads of the kernel pay nothing.
    """
    if task == NONE or m.tasks[task].space == NONE:
        return
    while group != ROOT:
        g = m.groups[group]
        if g.usage > g.high:
            m.tasks[task].over_high += pages
            m.tasks[task].high_batch = pages
            return
        group = int(g.parent)


@compiled
def count_event(m: Arrays, group: int, event: int, times: int) -> None:
    """Count an event of a group, and in version 2 of those it is nested in (`memory.events`)."""
    while group != NONE:
        m.events[group, event] += times
        group = NONE if m.config[0].cgroup & V1_FAILCNT != 0 else int(m.groups[group].parent)


@compiled
def is_within(m: Arrays, group: int, outer: int) -> bool:
    """Whether a group is `outer`, or nested in it."""
    while group != outer and group != NONE:
        group = int(m.groups[group].parent)
    return group == outer


# -- stocks --------------------------------------------------------------------------------------


@compiled
def stock_of(m: Arrays, cpu: int, group: int) -> int:
    """Return the row of the stock that `cpu` has of a group, or NONE."""
    first = cpu * N_STOCKS
    for at in range(first, first + int(m.config[0].stocks)):
        if m.stocks[at].group == group:
            return at
    return NONE


@compiled
def drain_stock(m: Arrays, at: int) -> None:
    """Take what is left of a stock off its group's account."""
    stock = m.stocks[at]
    page_counter_charge(m, int(stock.group), -int(stock.pages))
    stock.pages = 0
    stock.secured = 0
    stock.group = ROOT


@compiled
def open_stock(m: Arrays, cpu: int, group: int) -> int:
    """Return the row of the stock of a group, or NONE if there is no room for it.

    If need be the first of others makes way (Linux takes any one of them), but not that of the
    group for which `cpu` acts: it may have been filled for the step under way.
    """
    at = stock_of(m, cpu, group)
    if at == NONE:
        at = stock_of(m, cpu, ROOT)
    if at == NONE:
        at = cpu * N_STOCKS
        if m.stocks[at].group == m.cpus[cpu].group:
            at += 1
        if at == cpu * N_STOCKS + m.config[0].stocks:
            return NONE
        drain_stock(m, at)
    m.stocks[at].group = group
    return at


@compiled
def refill_stock(m: Arrays, cpu: int, group: int, pages: int) -> None:
    """Keep `pages` that a group is charged for and does not use; a stock too large is drained.

    What the step under way has yet to take stays: Linux would charge for it only then.
    """
    at = open_stock(m, cpu, group) if pages <= STOCK_PAGES else NONE
    if at == NONE:
        page_counter_charge(m, group, -pages)
        return
    stock = m.stocks[at]
    stock.pages += pages
    spare = int(stock.pages - stock.secured)
    if spare > STOCK_PAGES:
        page_counter_charge(m, group, -spare)
        stock.pages -= spare
        stock.group = group if stock.pages > 0 else ROOT


@compiled
def drain_all_stock(m: Arrays, group: int) -> None:
    """Drain the stocks of a group, and of those in it, on all CPUs."""
    for at in range(int(m.config[0].n_cpus) * N_STOCKS):
        held = int(m.stocks[at].group)
        if held != ROOT and is_within(m, held, group):
            drain_stock(m, at)


@rare
def secure_charge(m: Arrays, cpu: int, task: int, wanted: int) -> bool:
    """Have `wanted` pages charged ahead, in the stock of `cpu`; False if a limit is in the way.

    Linux charges page by page, a batch where the stock is empty, single pages where there is no
    room for one: the same comes out.  Pages that kernel objects lacked come first.  Who is being
    killed passes the limit.
    """
    group = int(m.cpus[cpu].group)
    owed = max(0, slab_missing(m, group))
    wanted += owed
    at = open_stock(m, cpu, group)
    stock = m.stocks[at]
    stock.secured = 0
    o = m.operations[task]
    batch = o.attempts == 0 or o.over == ROOT  # who tries again asks for what it needs alone
    while stock.pages < wanted:
        if batch and page_counter_try_charge(m, group, STOCK_PAGES) == NONE:
            stock.pages += STOCK_PAGES
            note_over_high(m, task, group, STOCK_PAGES)
            continue
        batch = True
        over = page_counter_try_charge(m, group, 1)
        if over != NONE:
            if m.tasks[task].killed == 0:
                if o.over != over:
                    o.attempts = 0
                o.over = over
                o.over_memsw = m.pool[0].over_memsw
                o.need = wanted
                return False
            page_counter_charge(m, group, 1)
        else:
            note_over_high(m, task, group, 1)
        stock.pages += 1
    stock.secured = wanted - owed
    if owed > 0:
        settle_slab(m, cpu, group)
    return True


@rare
def charge_block(m: Arrays, cpu: int, task: int, pages: int) -> bool:
    """Have a block of `pages` charged ahead; False if a limit is in the way: do without it."""
    group = int(m.cpus[cpu].group)
    if slab_missing(m, group) > 0:
        return False
    at = open_stock(m, cpu, group)
    stock = m.stocks[at]
    if stock.pages - stock.secured < pages:
        batch = max(STOCK_PAGES, pages)
        if page_counter_try_charge(m, group, batch) != NONE:
            batch = pages
            if page_counter_try_charge(m, group, batch) != NONE:
                return False
        stock.pages += batch
        note_over_high(m, task, group, batch)
    stock.secured += pages
    return True


# -- frames --------------------------------------------------------------------------------------


@inlined
def charge(m: Arrays, cpu: int, pfn: int, kind: int, pages: int) -> None:
    """Charge the group for which `cpu` acts, and all it is in, for `pages` frames of a kind.

    `secure_charge` or `charge_block` has seen to it that they are in its stock.  The frames, from
    `pfn` on, are the root's until then: as in Linux nothing limits that, so where there is no other
    group this is one addition.
    """
    m.charged[ROOT, kind] += pages
    m.pool[0].used += pages
    if m.cpus[cpu].group != ROOT:
        charge_group(m, cpu, pfn, kind, pages)


@rare
def charge_group(m: Arrays, cpu: int, pfn: int, kind: int, pages: int) -> None:
    """Hand `pages` frames over to the group for which `cpu` acts, out of its stock."""
    group = int(m.cpus[cpu].group)
    stock = m.stocks[stock_of(m, cpu, group)]
    stock.pages -= pages
    stock.secured -= pages
    hand_over(m, pfn, pages, group)
    count_frames(m, group, kind, pages)


@inlined
def uncharge(m: Arrays, cpu: int, pfn: int, kind: int, pages: int) -> None:
    """Take back what `charge` has done for `pages` frames of one group, from `pfn` on."""
    m.charged[ROOT, kind] -= pages
    m.pool[0].used -= pages
    if m.frames[pfn].group != ROOT:
        uncharge_group(m, cpu, pfn, kind, pages)


@rare
def uncharge_group(m: Arrays, cpu: int, pfn: int, kind: int, pages: int) -> None:
    """Take `pages` frames back from their group; kernel memory goes into the stock of `cpu`."""
    group = int(m.frames[pfn].group)
    hand_over(m, pfn, pages, ROOT)
    count_frames(m, group, kind, -pages)
    if kind in (KIND_TABLE, KIND_STACK):
        refill_stock(m, cpu, group, pages)
    else:
        page_counter_charge(m, group, -pages)


@compiled
def change_kind(m: Arrays, pfn: int, old: int, new: int) -> None:
    """Count a frame as memory of another kind, for its group and those that is in."""
    m.charged[ROOT, old] -= 1
    m.charged[ROOT, new] += 1
    group = int(m.frames[pfn].group)
    count_frames(m, group, old, -1)
    count_frames(m, group, new, 1)


@compiled
def hand_over(m: Arrays, pfn: int, pages: int, group: int) -> None:
    """Name the group that is charged for `pages` frames from `pfn` on."""
    for at in range(pfn, pfn + pages):
        m.frames[at].group = group


@compiled
def count_frames(m: Arrays, group: int, kind: int, pages: int) -> None:
    """Count `pages` frames more of a kind for a group and those it is in, without the root."""
    while group != ROOT:
        m.charged[group, kind] += pages
        group = int(m.groups[group].parent)


# -- kernel objects ------------------------------------------------------------------------------


@rare
def settle_slab(m: Arrays, cpu: int, group: int) -> None:
    """Charge a group for the whole pages that its kernel objects take, out of the stock.

    Linux refuses an object that a limit has no room for.  Here it is made, and what is missing is
    charged before the next page that the group takes: that one is refused (`secure_charge`).
    """
    more = slab_missing(m, group)
    if more < 0:
        m.groups[group].slab_pages += more
        refill_stock(m, cpu, group, -more)
    if more <= 0:
        return
    at = open_stock(m, cpu, group)
    if at == NONE:
        stocked = min(more, max(0, margin(m, group)))
        page_counter_charge(m, group, stocked)
        m.groups[group].slab_pages += stocked
        return
    stock = m.stocks[at]
    while stock.pages - stock.secured < more and margin(m, group) > 0:
        pages = STOCK_PAGES
        if page_counter_try_charge(m, group, pages) != NONE:
            pages = 1
            page_counter_charge(m, group, pages)
        stock.pages += pages
        note_over_high(m, int(m.cpus[cpu].task), group, pages)
    stocked = min(more, int(stock.pages - stock.secured))
    stock.pages -= stocked
    m.groups[group].slab_pages += stocked


@inlined
def settle_objects(m: Arrays, cpu: int) -> None:
    """Charge the group for which `cpu` acts for what a step has made, and end that step.

    What it has secured and not taken is in stock like any other page from now on.
    """
    if m.cpus[cpu].group != ROOT:
        end_step(m, cpu, int(m.cpus[cpu].group))


@rare
def end_step(m: Arrays, cpu: int, group: int) -> None:
    """Do as `settle_objects`, for a group that is not the root."""
    at = stock_of(m, cpu, group)
    if at != NONE:
        m.stocks[at].secured = 0
    settle_slab(m, cpu, group)


@compiled
def free_objects(m: Arrays, cpu: int, group: int, size_bytes: int) -> None:
    """Free kernel objects that a group is charged for, which need not be the one that acts."""
    count_slab(m, group, -size_bytes)
    if group != ROOT:
        settle_slab(m, cpu, group)


def move_process(m: Arrays, task: int, group: int, stays_bytes: int = 0) -> None:
    """Charge to `group` what a process and its children take from now on; the rest stays.

    But its kernel objects go with it, all but `stays_bytes` of them.  An address space that it
    shares may be in another group already.
    """
    t = m.tasks[task]
    p = m.processes[int(t.process)]
    old = int(p.group)
    p.group = group
    if t.space != NONE:
        s = m.spaces[int(t.space)]
        of_process = TASK_SLAB_BYTES + PROCESS_SLAB_BYTES
        of_space = objects_bytes(m, int(t.space)) - of_process - stays_bytes
        m.groups[old].slab -= of_process
        m.groups[int(s.group)].slab -= of_space
        m.groups[group].slab += of_process + of_space
        for row in sorted({old, int(s.group), group} - {ROOT}):
            settle_slab(m, 0, row)
        s.group = group
    for cpu in m.cpus:
        if cpu.task != NONE and m.tasks[int(cpu.task)].process == t.process:
            cpu.group = group
