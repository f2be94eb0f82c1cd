"""Which regions of a script share areas: those that touch may be one to the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sim.machine.layout import NONE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.machine.layout import Arrays


class Placed(Protocol):
    """A region that lies somewhere."""

    start: int
    pages: int


def joined_regions(m: Arrays, space: int, regions: Mapping[str, Placed]) -> dict[str, str]:
    """Return, for each region that shares areas with others, the names of all of them, in order.

    Sharing is passed on: if one area holds parts of A and B and another of B and C, all are joined.
    """
    groups = {name: {name} for name in regions}
    area = int(m.spaces[space].head)
    while area != NONE:
        a = m.areas[area]
        inside = [n for n, r in regions.items() if a.start < r.start + r.pages and a.end > r.start]
        together = set().union(*(groups[name] for name in inside))
        groups |= dict.fromkeys(together, together)
        area = int(a.next)
    return {name: "".join(sorted(group)) for name, group in groups.items() if len(group) > 1}
