"""How long a fork, and a vfork, take by the prices, without waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.machine import work
from sim.scenario.forms.figures import OTHER_PAGES
from sim.stats.theory import TABLE_ENTRIES, page_table_pages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.scenario.forms.setting import Setting

FORK_AREAS: Final = 3
"""Areas of a parent: its program, its data and its stack."""

LEAST_TABLES: Final = 4
"""Tables of a parent of next to no data: a leaf of its stack, and those above."""


def vfork_ns(setting: Setting) -> float:
    """Return how long a vfork holds its caller at least, on average, in ns.

    That is if the child calls exec at once, and finds its program in the page cache.
    """
    return setting.ns(work.VFORK_BASE) + setting.ns(work.EXEC_BASE)


def edge_ns(setting: Setting) -> float:
    """Return how much longer than `fork_ns` a fork may take, in ns.

    All entries of the last large folio are present, which may reach beyond the data.  Where pages
    are copied, those of the stack are as well.
    """
    beyond = max(setting.folio_sizes, default=1) - 1
    if setting.fork == "eager":
        return (beyond + OTHER_PAGES) * (
            setting.ns(work.FORK_PTE) + setting.ns(work.FORK_EAGER_COPY)
        )
    return beyond * setting.ns(work.FORK_PTE) if setting.fork == "cow" else 0.0


def fork_ns(setting: Setting, pages: int, regions: Sequence[int] = ()) -> float:
    """Return how long a fork takes on average, in ns.

    The parent has `pages` pages of data in one area, filled in order, and `FORK_AREAS` areas; the
    one with data was mapped at once, or in `regions` of so many pages each.
    """
    ns = setting.ns
    regions = regions or (pages,)
    huge = setting.huge_entries(regions)
    small = pages - huge * TABLE_ENTRIES
    leaves = -(-small // TABLE_ENTRIES)
    tables = max(LEAST_TABLES, page_table_pages(pages))
    areas = FORK_AREAS if pages else FORK_AREAS - 1
    fixed = ns(work.FORK_BASE) + areas * ns(work.FORK_AREA) + ns(work.FORK_FLUSH)
    if setting.fork == "eager":
        split = huge * ns(work.HUGE_SPLIT)
        copied = pages * (ns(work.FORK_PTE) + ns(work.FORK_EAGER_COPY))
        return fixed + split + tables * ns(work.FORK_TABLE) + copied
    if setting.fork in ("on_demand", "async"):
        lent = leaves * ns(work.FORK_PTE)
        if setting.fork == "on_demand":
            lent += leaves * ns(work.FORK_FOLIO)
        above = page_table_pages(pages) - -(-pages // TABLE_ENTRIES) - 1  # the first is fork's own
        above = max(LEAST_TABLES - 2, above)
        return fixed + (above + huge) * ns(work.FORK_TABLE) + lent + huge * ns(work.FORK_HUGE)
    folios = small
    if setting.counts_folios:
        folios = setting.folios(regions)
    copied = small * ns(work.FORK_PTE) + folios * ns(work.FORK_FOLIO) + huge * ns(work.FORK_HUGE)
    return fixed + tables * ns(work.FORK_TABLE) + copied
