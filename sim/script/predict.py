"""Predictions: conformance scripts on a simulated machine, large and otherwise idle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sim.base.errors import ScenarioError
from sim.cost.catalogue import price_array
from sim.machine.layout import FORK_COW, HUGE_PAGES, THP_MADVISE
from sim.machine.releases import NEWEST, release_name
from sim.machine.spec import HostSpec
from sim.script.grammar import HUGETLB_VERBS, SIZING_VERBS
from sim.script.run import Scripted, births

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.script.grammar import Operation
    from sim.script.record import OpRecord

SPARE_PAGES: Final = 4096


def predict(
    script: Sequence[Operation],
    *,
    prices: Mapping[str, Any] | None = None,
    audit: bool = False,
    kernel: str = release_name(NEWEST),
    read_ahead_pages: int | None = None,
    folios: Mapping[int, str] | None = None,
    thp: int = THP_MADVISE,
    hugetlb_pages: int | None = None,
) -> list[OpRecord]:
    """Return what each operation of a valid script does.

    `prices` are those of a resolved host (``host.prices``); without them `ns` is ``None``.  `audit`
    checks the machine's books after each operation.  `kernel` is the release whose rules hold;
    `read_ahead_pages` are read ahead of a file at most, by default Linux's 128 KiB; `folios` are
    sizes of folios in pages and who gets them, `thp` is who gets huge pages; `hugetlb_pages` huge
    pages are in the pool, by default as many as can be wanted.
    """
    host = roomy_host(script, kernel=kernel)
    if read_ahead_pages is not None:
        host = replace(host, read_ahead_pages=read_ahead_pages)
    if hugetlb_pages is not None:
        host = with_pool(host, hugetlb_pages)
    host = replace(host, thp=thp, thp_sizes=tuple((folios or {}).items()))
    scripted = Scripted(host, None if prices is None else price_array(prices))
    records = []
    for operation in script:
        records.append(scripted.perform(operation, timed=prices is not None))
        if audit:
            scripted.machine.audit()
    return records


def with_pool(host: HostSpec, hugetlb_pages: int) -> HostSpec:
    """Return a host with so many huge pages in the pool, and as much memory besides as before."""
    more = (hugetlb_pages - host.nr_huge_pages) * HUGE_PAGES
    return replace(host, memory_pages=host.memory_pages + more, nr_huge_pages=hugetlb_pages)


def possible(script: Sequence[Operation], *, hugetlb_pages: int) -> list[Operation]:
    """Return a script without what cannot be: a mapping was refused, or SIGBUS ended somebody."""
    scripted = Scripted(with_pool(roomy_host(script), hugetlb_pages))
    found = []
    for operation in script:
        try:
            scripted.perform(operation)
        except ScenarioError:
            continue
        found.append(operation)
    return found


def roomy_host(
    script: Sequence[Operation],
    *,
    fork_kind: int = FORK_COW,
    eager_zero: bool = False,
    kernel: str = release_name(NEWEST),
) -> HostSpec:
    """Return a host with memory that the script cannot run out of, and a CPU for each process."""
    processes = births(script)
    mapped = sum(-(-op.end // HUGE_PAGES) + 1 for op in script if op.verb in SIZING_VERBS)
    mapped *= HUGE_PAGES
    hugetlb = sum(op.end for op in script if op.verb in HUGETLB_VERBS) // HUGE_PAGES
    hugetlb *= processes
    return HostSpec(
        memory_pages=mapped * (processes + 1) * 5 // 4
        + (processes + 1) * 64
        + SPARE_PAGES
        + hugetlb * HUGE_PAGES,
        nr_huge_pages=hugetlb,
        cpus=processes,
        overcommit=1,
        fork_kind=fork_kind,
        eager_zero=eager_zero,
        thp=THP_MADVISE,
        kernel=kernel,
    )
