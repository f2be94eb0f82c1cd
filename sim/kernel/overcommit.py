"""What the kernel promises: `Committed_AS`, and when a promise is refused."""

from sim.base.jit import compiled
from sim.kernel.work import BY_PROMISE, ENOMEM
from sim.machine.layout import KIND_FILE, ROOT, Arrays
from sim.machine.rules.limits import R_GUESS_TOTAL
from sim.machine.swap import get_nr_swap_pages, total_swap_pages

OVERCOMMIT_GUESS = 0
OVERCOMMIT_ALWAYS = 1
OVERCOMMIT_NEVER = 2


@compiled
def may_commit(m: Arrays, task: int, space: int, pages: int) -> bool:
    """Whether the kernel promises `pages` more to a process (Linux 6.12 `__vm_enough_memory`).

    ====  ================================================================================
    mode  so Linux refuses
    ====  ================================================================================
    0     a single request larger than memory (without the kernel's share) and swap together;
          before 5.2, one that is not less than `free_guess`, less a reserve for root
    1     nothing
    2     what would take `Committed_AS` to `CommitLimit`, less a reserve for root and the
          smaller of another reserve and 1/32 of what this process has mapped already
    ====  ================================================================================

    From a process with CAP_SYS_ADMIN nothing is kept back for root.
    """
    pool = m.pool[0]
    config = m.config[0]
    if config.overcommit == OVERCOMMIT_ALWAYS:
        return True
    reserve = 0
    if m.processes[int(m.tasks[task].process)].cap_sys_admin == 0:
        reserve = int(config.admin_reserve)
    if config.overcommit == OVERCOMMIT_GUESS:
        if config.rules & R_GUESS_TOTAL == 0:
            return bool(pages < free_guess(m) - reserve)
        return bool(pages <= config.ram + total_swap_pages(m))
    allowed = commit_limit(m) - reserve
    allowed -= min(m.spaces[space].pages // 32, config.user_reserve)
    return bool(pool.committed + pages < allowed)


@compiled
def commit_limit(m: Arrays) -> int:
    """Return how many pages mode 2 promises; what a swap device that is off had is no part of it.

    Linux's `vm_commit_limit`.
    """
    return int(m.config[0].commit_limit - m.config[0].total_swap_pages + total_swap_pages(m))


@compiled
def promised(m: Arrays, task: int, space: int, pages: int) -> bool:
    """As `may_commit`; where the kernel refuses, the task keeps what it was refused, and when."""
    if may_commit(m, task, space, pages):
        return True
    o = m.operations[task]
    o.refused_by = BY_PROMISE
    o.refused_pages = pages
    o.refused_with = m.pool[0].committed
    return False


@compiled
def refuse(m: Arrays, task: int, by: int, pages: int) -> None:
    """Refuse the call of a task that asked for `pages`, for lack of memory or addresses: ENOMEM."""
    o = m.operations[task]
    o.errno = ENOMEM
    o.refused_by = by
    o.refused_pages = pages
    o.refused_with = m.pool[0].committed


@compiled
def free_guess(m: Arrays) -> int:
    """Return what Linux before 5.2 takes for available in mode 0, in pages.

    Free pages, free slots of the swap device and the page cache without shared memory, less what
    all zones keep back (`totalreserve_pages`).  Reclaimable slab would count too.
    """
    available = m.pool[0].free + m.charged[ROOT, KIND_FILE] + get_nr_swap_pages(m)
    return int(available - m.config[0].total_reserve)


@compiled
def commit(m: Arrays, space: int, pages: int) -> None:
    """Book a promise of `pages` (negative: take it back)."""
    m.spaces[space].committed += pages
    m.pool[0].committed += pages
