"""The nodes of files' trees in the page cache, and who is charged for them.

In Linux the page cache of a file is a tree of nodes with 64 slots (`lib/xarray.c`), and whoever has
one made is charged for it.  A folio of 64 pages or more has slots of the nodes above the lowest.
Nodes that hold nothing but shadows are reclaimed (`mm/workingset.c`, `workingset_update_node`):
each group has a list of its own.

A tree is as high as its last page needs, and grows when one further on comes; it loses nodes at the
top while these have nothing but their first slot in use.  Page 0 alone has no node.  `entries` are
counted in rows for all levels that the file may come to need; those that are `made` are nodes.
"""

from typing import Final

from sim.base.jit import compiled, inlined, rare
from sim.machine import native  # noqa: F401  (tells Numba how compiled code sees the machine)
from sim.machine.groups import free_objects
from sim.machine.layout import NONE, ROOT, Arrays
from sim.machine.slab import count_slab, object_pages

NODE_MASK: Final = 63
NODE_SHIFT: Final = 6
"""A node has 64 slots; a folio of 64 pages or more has slots one level up."""
NODE_BYTES: Final = 592
"""What a group is charged for a node: `struct xa_node` and what the allocator adds, measured."""
ORDER_MASK: Final = 15
"""The last bits of -1 - shadow: the order of the folio that left it."""


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


@compiled
def tree_pages(m: Arrays, cpu: int, file: int, index: int, order: int) -> int:
    """Return how many pages of nodes the group for which `cpu` acts is charged with a folio.

    The root is never refused anything: 0.
    """
    if m.cpus[cpu].group == ROOT:
        return 0
    return object_pages(m, cpu, tree_bytes(m, file, index, index + 1, order))


@compiled
def tree_bytes(m: Arrays, file: int, first: int, end: int, order: int) -> int:
    """Return the bytes of the nodes that are made when all pages of [first, end) are there."""
    f = m.files[file]
    if f.pages < 2:
        return 0
    row = int(f.nodes)
    size = int(f.pages)
    high = is_high(m, file, order)
    height = int(f.height)
    made = 0
    last = end - 1
    for level in range(1, max(height, height_for(last, high)) + 1):
        first >>= NODE_SHIFT
        last >>= NODE_SHIFT
        size = (size + NODE_MASK) >> NODE_SHIFT
        if level > height and m.nodes[row].entries > 0 and (first > 0 or (high and level == 1)):
            made += 1  # on the way to what the tree has by now
        if level > 1 or not high:
            for at in range(row + first, row + last + 1):
                made += 1 - int(m.nodes[at].made)
        row += size
    return made * NODE_BYTES


@inlined
def height_for(index: int, high: bool) -> int:
    """Return how high a tree with a page is (`xas_max`, `xas_expand`).

    >>> [height_for(index, False) for index in (0, 1, 63, 64, 4096)], height_for(0, True)
    ([0, 1, 1, 2, 3], 2)
    """
    last = max(index | NODE_MASK, NODE_MASK + 1) if high else index
    height = 0
    while last > 0:
        last >>= NODE_SHIFT
        height += 1
    return height


@compiled
def first_of_level(m: Arrays, file: int, level: int) -> int:
    """Return the row of the first node of a level, from 1 on at the bottom."""
    row = int(m.files[file].nodes)
    size = int(m.files[file].pages)
    for _ in range(1, level):
        size = (size + NODE_MASK) >> NODE_SHIFT
        row += size
    return row


@compiled
def make_node(m: Arrays, cpu: int, file: int, row: int) -> None:
    """Make a node; the group for which `cpu` acts is charged for it."""
    node = m.nodes[row]
    node.made = 1
    node.file = file
    node.group = m.cpus[cpu].group
    count_slab(m, int(node.group), NODE_BYTES)


@compiled
def free_node(m: Arrays, cpu: int, row: int) -> None:
    """Free a node."""
    m.nodes[row].made = 0
    update_node(m, row)
    free_objects(m, cpu, int(m.nodes[row].group), NODE_BYTES)


@compiled
def expand(m: Arrays, cpu: int, file: int, height: int) -> None:
    """Make a tree as high as `height`; what there is goes below the new nodes (`xas_expand`)."""
    f = m.files[file]
    for level in range(int(f.height) + 1, height + 1):
        row = first_of_level(m, file, level)
        if m.nodes[row].entries > 0:
            make_node(m, cpu, file, row)
            update_node(m, row)
    f.height = max(int(f.height), height)


@compiled
def shrink_height(m: Arrays, cpu: int, file: int, gone: int) -> None:
    """Free nodes at the top that lead to what is in their first slot alone (`xas_shrink`).

    Page `gone` is about to go.  A large folio in that slot keeps its node.
    """
    f = m.files[file]
    while f.height > 0:
        root = first_of_level(m, file, int(f.height))
        if m.nodes[root].entries > 0:
            below = m.cached[int(f.first)] != 0 and gone != 0
            if f.height > 1:
                below = m.nodes[first_of_level(m, file, int(f.height) - 1)].entries > 0
            if m.nodes[root].entries > 1 or not below:
                return
            free_node(m, cpu, root)
        f.height -= 1


@inlined
def shadow_order(shadow: int) -> int:
    """Return the order of the folio that left a shadow."""
    return (-1 - shadow) & ORDER_MASK


@inlined
def is_high(m: Arrays, file: int, order: int) -> bool:
    """Whether a folio has its slots above the lowest nodes: one for each 64 of its pages."""
    return bool(order >= NODE_SHIFT and m.files[file].pages > 1 << NODE_SHIFT)


@inlined
def node_row(m: Arrays, file: int, index: int, high: bool) -> int:
    """Return the row of the lowest node above a page, or of the one above that."""
    f = m.files[file]
    if high:
        leaves = (int(f.pages) + NODE_MASK) >> NODE_SHIFT
        return int(f.nodes) + leaves + (index >> 2 * NODE_SHIFT)
    return int(f.nodes) + (index >> NODE_SHIFT)


@compiled
def node_pages(m: Arrays, row: int) -> tuple[int, int, int]:
    """Return the file of a node of the two lowest levels, and the range of its pages below it."""
    file = int(m.nodes[row].file)
    f = m.files[file]
    shift = NODE_SHIFT
    nth = row - int(f.nodes)
    leaves = (int(f.pages) + NODE_MASK) >> NODE_SHIFT
    if nth >= leaves:
        nth -= leaves
        shift = 2 * NODE_SHIFT
    return file, nth << shift, min((nth + 1) << shift, int(f.pages))


@compiled
def make_entry(m: Arrays, cpu: int, file: int, index: int, old: int, order: int) -> None:
    """Make room in the tree for a page of a folio, where `old` is: nothing, or a shadow.

    Shadows of small folios go where a large one comes; one of a large folio is split where a small
    one comes.
    """
    high = is_high(m, file, order)
    first = index & ~NODE_MASK
    if high and index != first:
        return
    if high or index >> NODE_SHIFT * m.files[file].height != 0:
        expand(m, cpu, file, height_for(index, high))
    was_high = old < 0 and is_high(m, file, shadow_order(old))
    leaf = m.nodes[node_row(m, file, index, False)]
    if high and leaf.entries > 0:
        leaf.entries = 0
        leaf.shadows = 0
        free_node(m, cpu, node_row(m, file, index, False))
        return
    if was_high and not high:
        split_shadow(m, file, first)
        leaf.entries = NODE_MASK + 1
        leaf.shadows = NODE_MASK + 1
        make_node(m, cpu, file, node_row(m, file, index, False))
        count_shadow(m, node_row(m, file, index, True), -1)
    if old == 0:
        count_entry(m, cpu, file, index, 1 if high else 0, 1)
    else:
        count_shadow(m, node_row(m, file, index, high), -1)


@compiled
def split_shadow(m: Arrays, file: int, first: int) -> None:
    """Make the shadow of 64 pages of a large folio one a page (`xas_split`)."""
    for at in range(int(m.files[file].first) + first, int(m.files[file].first) + first + 64):
        m.cached[at] = -1 - ((-1 - int(m.cached[at])) & ~ORDER_MASK)


@rare
def drop_entry(
    m: Arrays, cpu: int, file: int, index: int, order: int, was_shadow: bool, is_shadow: bool
) -> None:
    """Take a page, or a shadow, of a folio of 2**order out of the tree, or leave a shadow there."""
    high = is_high(m, file, order)
    if high and index & NODE_MASK != 0:
        return
    row = node_row(m, file, index, high)
    change = (1 if is_shadow else 0) - (1 if was_shadow else 0)
    m.nodes[row].shadows += change
    if is_shadow:
        update_node(m, row)
    else:
        count_entry(m, cpu, file, index, 1 if high else 0, -1)


@compiled
def count_shadow(m: Arrays, row: int, change: int) -> None:
    """Count a shadow more, or less, in a node."""
    m.nodes[row].shadows += change
    update_node(m, row)


@compiled
def update_node(m: Arrays, row: int) -> None:
    """Put a node on the list of those that hold nothing but shadows, or take it off."""
    node = m.nodes[row]
    wanted = 1 if node.made == 1 and node.entries > 0 and node.entries == node.shadows else 0
    if node.listed == wanted:
        return
    node.listed = wanted
    v = m.lruvecs[int(node.group)]
    if wanted == 1:
        node.prev = v.shadow_tail
        node.next = NONE
        if v.shadow_tail == NONE:
            v.shadow_head = row
        else:
            m.nodes[int(v.shadow_tail)].next = row
        v.shadow_tail = row
        v.shadow_nodes += 1
        return
    before, after = int(node.prev), int(node.next)
    if before == NONE:
        v.shadow_head = after
    else:
        m.nodes[before].next = after
    if after == NONE:
        v.shadow_tail = before
    else:
        m.nodes[after].prev = before
    v.shadow_nodes -= 1


@compiled
def count_entry(m: Arrays, cpu: int, file: int, index: int, level: int, change: int) -> None:
    """Count an entry more in a node of `level`, or less, and so on upwards.

    A node that has its first entry is made, and charged for; one that has none is freed.
    """
    at = 0
    page = index
    first = int(m.files[file].nodes)
    size = int(m.files[file].pages)
    while size > 1:
        index >>= NODE_SHIFT
        first += size if at > 0 else 0
        size = (size + NODE_MASK) >> NODE_SHIFT
        at += 1
        if at <= level:
            continue
        node = m.nodes[first + index]
        before = int(node.entries)
        node.entries = before + change
        if before == 0 and at <= m.files[file].height:
            make_node(m, cpu, file, first + index)
        update_node(m, first + index)
        if before != 0 and before + change != 0:
            break
        if change < 0 and node.made == 1:
            free_node(m, cpu, first + index)
    if change < 0 and at >= m.files[file].height:
        shrink_height(m, cpu, file, page)
