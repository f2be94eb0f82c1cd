"""Control groups: who is charged for the frames in use."""

from sim.base.jit import compiled, inlined
from sim.machine import native  # noqa: F401  (tells Numba how compiled code sees the machine)
from sim.machine.layout import ROOT, Arrays


@inlined
def charge_to(m: Arrays, cpu: int, group: int) -> None:
    """Have what is taken on `cpu` from now on charged to `group` (Linux `set_active_memcg`)."""
    m.cpus[cpu].group = group


@inlined
def act_for(m: Arrays, cpu: int, task: int) -> None:
    """Have what is taken on `cpu`, which a task gets, charged to the group of its process."""
    charge_to(m, cpu, int(m.processes[int(m.tasks[task].process)].group))


@inlined
def charge(m: Arrays, group: int, pfn: int, kind: int, pages: int) -> None:
    """Charge a group, and all it is nested in, for `pages` frames from `pfn` on, of a kind.

    They are the root's until then: as in Linux nothing limits that, so where there is no other
    group this is one addition.
    """
    m.charged[ROOT, kind] += pages
    if group != ROOT:
        hand_over(m, pfn, pages, group)
        charge_nested(m, group, kind, pages)


@inlined
def uncharge(m: Arrays, pfn: int, kind: int, pages: int) -> None:
    """Take back what `charge` has done for `pages` frames of one group, from `pfn` on."""
    m.charged[ROOT, kind] -= pages
    group = int(m.frames[pfn].group)
    if group != ROOT:
        hand_over(m, pfn, pages, ROOT)
        charge_nested(m, group, kind, -pages)


@compiled
def hand_over(m: Arrays, pfn: int, pages: int, group: int) -> None:
    """Name the group that is charged for `pages` frames from `pfn` on."""
    for at in range(pfn, pfn + pages):
        m.frames[at].group = group


@compiled
def charge_nested(m: Arrays, group: int, kind: int, pages: int) -> None:
    """Count `pages` frames more for a group and those it is in, without the root.

    Linux's `page_counter_charge`.
    """
    while group != ROOT:
        g = m.groups[group]
        m.charged[group, kind] += pages
        g.usage += pages
        g.peak = max(g.peak, g.usage)
        group = int(g.parent)
