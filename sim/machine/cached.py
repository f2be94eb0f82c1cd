"""What the page cache knows of each page of a file: with `tree`, all that looks into `cached`.

======  ========================================================================================
0       it was never in the page cache, or nothing is remembered of that
a > 0   it is in the page cache, in frame `a`: present, or under way from the device
a < 0   it was reclaimed, and `a` says when: a shadow (`sim.kernel.reclaim.workingset`); of shared
        memory, it is in slot -a of the swap device (`sim.kernel.files.shmem`)
======  ========================================================================================

A page with a shadow is absent.  The pages of a large folio are frames of their own, wherever they
lie; the one of its first page stands for it.
"""

import numpy as np
from numpy.typing import NDArray

from sim.base.jit import compiled, inlined
from sim.machine.layout import NONE, Arrays
from sim.machine.tree import (
    NODE_SHIFT,
    drop_entry,
    is_high,
    make_entry,
    node_pages,
    shadow_order,
)


@inlined
def find_page(m: Arrays, file: int, index: int) -> int:
    """Return the frame of page `index` of a file, NONE if it is not in the page cache."""
    pfn = int(m.cached[int(m.files[file].first) + index])
    return pfn if pfn > 0 else NONE


@inlined
def has_page(m: Arrays, file: int, index: int) -> bool:
    """Whether page `index` of a file is in the page cache."""
    return bool(m.cached[int(m.files[file].first) + index] > 0)


def resident_pages(m: Arrays, file: int) -> NDArray[np.bool_]:
    """Return for each page of a file whether it is in the page cache."""
    f = m.files[file]
    resident: NDArray[np.bool_] = m.cached[int(f.first) : int(f.first + f.pages)] > 0
    return resident


@inlined
def find_shadow(m: Arrays, file: int, index: int) -> int:
    """Return the shadow that a reclaimed page has left, below 0; 0 if there is none."""
    return int(min(0, m.cached[int(m.files[file].first) + index]))


@inlined
def find_slot(m: Arrays, file: int, index: int) -> int:
    """Return the slot that page `index` of shared memory is in; 0 if it is in none."""
    return int(max(0, -m.cached[int(m.files[file].first) + index]))


@inlined
def shmem_replace_entry(m: Arrays, file: int, index: int, entry: int) -> None:
    """Put a frame in the place of a slot of shared memory, or -slot in that of a frame."""
    m.cached[int(m.files[file].first) + index] = entry


@compiled
def erase_slot(m: Arrays, cpu: int, file: int, index: int) -> None:
    """Take a slot out of shared memory that goes."""
    if m.files[file].pages > 1:
        drop_entry(m, cpu, file, index, 0, False, False)
    m.cached[int(m.files[file].first) + index] = 0


@inlined
def store_page(m: Arrays, cpu: int, file: int, index: int, pfn: int, order: int) -> None:
    """Put a frame into the page cache, of a folio of 2**order, in place of nothing or of a shadow.

    The pages of a folio come in order.
    """
    at = int(m.files[file].first) + index
    if m.files[file].pages > 1:
        make_entry(m, cpu, file, index, int(m.cached[at]), order)
    m.cached[at] = pfn


@inlined
def erase_page(m: Arrays, cpu: int, file: int, index: int, shadow: int) -> None:
    """Take a page, or a shadow, out of the page cache; leave `shadow` in its place, or 0.

    The pages of a folio go in order.
    """
    at = int(m.files[file].first) + index
    old = int(m.cached[at])
    order = int(m.frames[old].order) if old > 0 else shadow_order(old)
    if m.files[file].pages > 1:
        drop_entry(m, cpu, file, index, order, old < 0, shadow < 0)
    m.cached[at] = shadow


@compiled
def forget_shadows(m: Arrays, cpu: int, file: int, first: int, end: int) -> None:
    """Forget what is remembered of absent pages in [first, end); of large folios, as a whole."""
    for index in range(first, end):
        shadow = find_shadow(m, file, index)
        if shadow < 0:
            size = 1 << NODE_SHIFT if is_high(m, file, shadow_order(shadow)) else 1
            start = index & ~(size - 1)
            for page in range(start, start + size):
                if find_shadow(m, file, page) < 0:
                    erase_page(m, cpu, file, page, 0)


@compiled
def reclaim_node(m: Arrays, cpu: int, group: int) -> None:
    """Forget the shadows in the oldest node of a group that holds nothing else: it is freed."""
    file, first, end = node_pages(m, int(m.lruvecs[group].shadow_head))
    forget_shadows(m, cpu, file, first, end)


@compiled
def first_page(m: Arrays, pfn: int) -> int:
    """Return the frame of the first page of the folio that a frame of the page cache is in."""
    frame = m.frames[pfn]
    if frame.order == 0:
        return pfn
    return find_page(m, int(frame.mapping), int(frame.index) & ~((1 << int(frame.order)) - 1))
