"""Control groups: who is charged for the frames in use."""

from sim.base.jit import compiled, inlined
from sim.machine import native  # noqa: F401  (tells Numba how compiled code sees the machine)
from sim.machine.layout import ROOT, Arrays


@inlined
def charge(m: Arrays, group: int, kind: int, pages: int) -> None:
    """Count `pages` more frames of a kind for a group and all it is nested in; fewer if negative.

    As in Linux nothing limits the root, so where there is no other group this is one addition.
    """
    m.charged[ROOT, kind] += pages
    if group != ROOT:
        charge_nested(m, group, kind, pages)


@compiled
def charge_nested(m: Arrays, group: int, kind: int, pages: int) -> None:
    """Do as `charge` below the root (Linux `page_counter_charge`)."""
    while group != ROOT:
        g = m.groups[group]
        m.charged[group, kind] += pages
        g.usage += pages
        g.peak = max(g.peak, g.usage)
        group = int(g.parent)
