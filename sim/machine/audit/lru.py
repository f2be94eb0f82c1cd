"""The lists that reclaim goes by: each page is on one of them, or waits to be."""

import numpy as np
from numpy.typing import NDArray

from sim.base.jit import compiled
from sim.machine.audit.complaints import OK
from sim.machine.cached import first_page
from sim.machine.layout import (
    BATCH_ACTIVATE,
    BATCH_ADD,
    F_ANON,
    F_BATCHED,
    F_FILE,
    F_LARGE,
    F_LRU,
    KIND_FILE,
    N_BATCHES,
    N_LRU,
    NONE,
    REPLACE_LINUX,
    ROOT,
    Arrays,
)
from sim.machine.lru import folio_lru_list, next_group


@compiled
def _audit_list(m: Arrays, group: int, lru: int, seen: NDArray[np.int8]) -> tuple[int, int]:
    """Walk one list: its links, who is on it, and for how many pages."""
    row = m.lrus[group * N_LRU + lru]
    before = NONE
    pages = 0
    pfn = int(row.head)
    while pfn != NONE:
        frame = m.frames[pfn]
        if frame.bits & (F_FILE | F_ANON) == 0 or frame.bits & F_LRU == 0:
            return 35, pfn
        if folio_lru_list(m, pfn) != group * N_LRU + lru:
            return 35, pfn
        aged = m.config[0].replacement != REPLACE_LINUX and before != NONE
        if aged and m.ages[pfn] != 0 and m.ages[pfn] >= m.ages[before]:
            return 34, pfn
        if (
            frame.prev != before
            or seen[pfn] != 0
            or (frame.bits & F_FILE != 0 and first_page(m, pfn) != pfn)
        ):
            return 34, pfn
        seen[pfn] = 1
        pages += 1 << int(frame.order)
        before = pfn
        pfn = int(frame.next)
    return (OK, 0) if row.tail == before and row.pages == pages else (34, group)


@compiled
def _audit_batches(m: Arrays, seen: NDArray[np.int8]) -> tuple[int, int]:
    """Look at what CPUs have collected: new folios are on no list, those to activate are."""
    for cpu in range(int(m.config[0].n_cpus)):
        for which in (BATCH_ADD, BATCH_ACTIVATE):
            row = cpu * N_BATCHES + which
            for at in range(1, int(m.batches[row, 0]) + 1):
                pfn = int(m.batches[row, at])
                if pfn == NONE:
                    continue
                on_list = 1 if which == BATCH_ACTIVATE else 0
                if m.frames[pfn].bits & F_BATCHED == 0 or seen[pfn] != on_list:
                    return 35, pfn
                seen[pfn] = 1
    return OK, 0


@compiled
def audit_lru(m: Arrays, seen: NDArray[np.int8]) -> tuple[int, int]:
    """Compare the lists of all groups with the pages of files; `seen` is 0 a frame.

    Groups that are not in the walk over all of them have none.
    """
    group = next_group(m, ROOT, NONE)
    while group != NONE:
        for lru in range(N_LRU):
            bad, where = _audit_list(m, group, lru, seen)
            if bad != OK:
                return bad, where
        group = next_group(m, ROOT, group)
    bad, where = _audit_batches(m, seen)
    if bad != OK:
        return bad, where
    for pfn in range(len(seen)):
        frame = m.frames[pfn]
        wanted = 0
        if frame.bits & F_FILE != 0:
            of_file = m.files[int(frame.mapping)].kind == KIND_FILE
            listed = of_file or m.config[0].total_swap_pages != 0
            wanted = 1 if listed and first_page(m, pfn) == pfn else 0
        elif frame.bits & F_ANON != 0 and m.config[0].total_swap_pages != 0:
            wanted = 1 if frame.bits & F_LARGE == 0 else 0
        if seen[pfn] != wanted:
            return 35, pfn
    return OK, 0
