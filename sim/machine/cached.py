"""What the page cache knows of each page of a file: the only code that looks into `cached`.

======  ========================================================================================
0       it was never in the page cache, or nothing is remembered of that
a > 0   it is in the page cache, in frame `a`: present, or under way from the device
a < 0   it was reclaimed, and `a` says when: a shadow (`sim.kernel.reclaim.workingset`)
======  ========================================================================================

A page with a shadow is absent.  The pages of a large folio are frames of their own, wherever they
lie; the one of its first page stands for it.

In Linux this is a tree (`lib/xarray.c`), and whoever adds to it is charged for its nodes.  They are
counted here as if the tree of a file was as high from the start as all of its pages need.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.base.jit import compiled, inlined
from sim.machine.groups import count_slab
from sim.machine.layout import NONE, Arrays

NODE_SHIFT: Final = 6
"""A node has 64 slots; a folio of 64 pages or more has slots one level up."""
NODE_BYTES: Final = 592
"""What a group is charged for a node: `struct xa_node` and what the allocator adds, measured."""
ORDER_MASK: Final = 15
"""The last bits of -1 - shadow: the order of the folio that left it."""


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
def store_page(m: Arrays, cpu: int, file: int, index: int, pfn: int, order: int) -> None:
    """Put a frame into the page cache, of a folio of 2**order, in place of nothing or of a shadow.

    The pages of a folio come in order.
    """
    at = int(m.files[file].first) + index
    old = int(m.cached[at])
    if old == 0 or order >= NODE_SHIFT or shadow_order(old) >= NODE_SHIFT:
        make_entry(m, cpu, file, index, old, order)
    m.cached[at] = pfn


@inlined
def erase_page(m: Arrays, cpu: int, file: int, index: int, shadow: int) -> None:
    """Take a page, or a shadow, out of the page cache; leave `shadow` in its place, or 0."""
    at = int(m.files[file].first) + index
    if shadow == 0:
        old = int(m.cached[at])
        order = int(m.frames[old].order) if old > 0 else shadow_order(old)
        drop_entry(m, cpu, file, index, order)
    m.cached[at] = shadow


@compiled
def first_page(m: Arrays, pfn: int) -> int:
    """Return the frame of the first page of the folio that a frame of the page cache is in."""
    frame = m.frames[pfn]
    if frame.order == 0:
        return pfn
    return find_page(m, int(frame.mapping), int(frame.index) & ~((1 << int(frame.order)) - 1))


def tree_nodes(pages: int) -> int:
    """Return how many nodes the tree of a file of `pages` has at most.

    >>> tree_nodes(1), tree_nodes(64), tree_nodes(4097)
    (0, 1, 68)
    """
    nodes = 0
    while pages > 1:
        pages = -(-pages >> NODE_SHIFT)
        nodes += pages
    return nodes


@inlined
def shadow_order(shadow: int) -> int:
    """Return the order of the folio that left a shadow."""
    return (-1 - shadow) & ORDER_MASK


@inlined
def is_high(m: Arrays, file: int, order: int) -> bool:
    """Whether a folio has its slots above the lowest nodes: one for each 64 of its pages."""
    return bool(order >= NODE_SHIFT and m.files[file].pages > 1 << NODE_SHIFT)


@compiled
def make_entry(m: Arrays, cpu: int, file: int, index: int, old: int, order: int) -> None:
    """Make room in the tree for a page of a folio, where `old` is: nothing, or a shadow.

    Shadows of small folios go where a large one comes; one of a large folio is split where a small
    one comes.
    """
    f = m.files[file]
    leaf = m.nodes[int(f.nodes) + (index >> NODE_SHIFT)] if f.pages > 1 else m.nodes[0]
    first = index & ~((1 << NODE_SHIFT) - 1)
    if is_high(m, file, order):
        if index != first:
            return
        if leaf.entries > 0:
            leaf.entries = 0
            count_slab(m, int(leaf.group), -NODE_BYTES)
        elif old == 0:
            count_entry(m, cpu, file, index, 1, 1)
    elif old < 0 and is_high(m, file, shadow_order(old)):
        at = int(f.first) + first
        for page in range(at, at + (1 << NODE_SHIFT)):
            m.cached[page] = -1 - ((-1 - int(m.cached[page])) & ~ORDER_MASK)
        leaf.entries = 1 << NODE_SHIFT
        leaf.group = m.cpus[cpu].group
        count_slab(m, int(leaf.group), NODE_BYTES)
    elif old == 0 and f.pages > 1:
        count_entry(m, cpu, file, index, 0, 1)


@compiled
def drop_entry(m: Arrays, cpu: int, file: int, index: int, order: int) -> None:
    """Take a page, or a shadow, of a folio of 2**order out of the tree."""
    if is_high(m, file, order):
        if index & ((1 << NODE_SHIFT) - 1) == 0:
            count_entry(m, cpu, file, index, 1, -1)
    elif m.files[file].pages > 1:
        count_entry(m, cpu, file, index, 0, -1)


@compiled
def count_entry(m: Arrays, cpu: int, file: int, index: int, level: int, change: int) -> None:
    """Count an entry more in a node of `level`, or less, and so on upwards.

    A node that has its first entry is made, and charged for; one that has none is freed.
    """
    first = int(m.files[file].nodes)
    size = int(m.files[file].pages)
    at = 0
    while True:
        index >>= NODE_SHIFT
        first += size if at > 0 else 0
        size = (size + (1 << NODE_SHIFT) - 1) >> NODE_SHIFT
        at += 1
        if at <= level:
            continue
        node = m.nodes[first + index]
        before = int(node.entries)
        node.entries = before + change
        if before != 0 and before + change != 0:
            return
        if change > 0:
            node.group = m.cpus[cpu].group
        count_slab(m, int(node.group), change * NODE_BYTES)
        if size == 1:
            return
