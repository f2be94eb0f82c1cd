"""The nodes of files' trees: as many entries as there are pages and shadows, and none too many."""

from sim.base.jit import compiled
from sim.machine.audit.complaints import OK
from sim.machine.cached import find_page, find_shadow
from sim.machine.layout import KIND_HUGETLB, KIND_SHMEM, NONE, ROOT, Arrays
from sim.machine.lru import next_group
from sim.machine.tree import NODE_MASK, NODE_SHIFT, first_of_level, is_high, shadow_order


@compiled
def _entry(m: Arrays, file: int, index: int) -> tuple[int, bool, bool]:
    """Return 1 if a page has an entry, whether that is a shadow, and whether it is high up."""
    pfn = find_page(m, file, index)
    if pfn != NONE:
        return 1, False, is_high(m, file, int(m.frames[pfn].order))
    shadow = find_shadow(m, file, index)
    if shadow != 0:
        if m.files[file].kind == KIND_SHMEM:  # it is in a slot
            return 1, False, False
        return 1, True, is_high(m, file, shadow_order(shadow))
    return 0, False, False


@compiled
def _leaf_is_sound(m: Arrays, file: int, leaf: int) -> bool:
    """Compare one of the lowest nodes with the pages below it."""
    entries = shadows = 0
    first = leaf << NODE_SHIFT
    for index in range(first, min(first + NODE_MASK + 1, int(m.files[file].pages))):
        there, shadow, high = _entry(m, file, index)
        if not high:
            entries += there
            shadows += 1 if shadow else 0
    node = m.nodes[int(m.files[file].nodes) + leaf]
    return bool(node.entries == entries and node.shadows == shadows)


@compiled
def _is_as_high_as_needed(m: Arrays, file: int) -> bool:
    """Whether those nodes are made that lead to something, and the one at the top to two things."""
    f = m.files[file]
    row = int(f.nodes)
    size = int(f.pages)
    level = top = 0
    while size > 1:
        size = (size + NODE_MASK) >> NODE_SHIFT
        level += 1
        for at in range(row, row + size):
            used = m.nodes[at].entries > 0
            if m.nodes[at].made != (1 if used and level <= f.height else 0):
                return False
            if used and level > f.height and at > row:
                return False
        if level == f.height:
            top = row
        row += size
    if f.height == 0:
        return True
    if f.height > level or m.nodes[top].entries == 0:
        return False
    leads = _entry(m, file, 0)[0] == 1
    if f.height > 1:
        leads = m.nodes[first_of_level(m, file, int(f.height) - 1)].entries > 0
    return bool(m.nodes[top].entries > 1 or not leads)


@compiled
def audit_trees(m: Arrays, files: int) -> tuple[int, int]:
    """Compare every node with those, or the pages, below it, and the lists of nodes of shadows."""
    for file in range(files):
        f = m.files[file]
        size = int(f.pages)
        if f.kind in (0, KIND_HUGETLB) or size < 2:
            continue
        below = int(f.nodes)
        size = (size + NODE_MASK) >> NODE_SHIFT
        for leaf in range(size):
            if not _leaf_is_sound(m, file, leaf):
                return 36, file
        if not _is_as_high_as_needed(m, file):
            return 36, file
        level = 1
        while size > 1:
            above = below + size
            for nth in range((size + NODE_MASK) >> NODE_SHIFT):
                entries = shadows = 0
                for child in range(nth << NODE_SHIFT, min((nth + 1) << NODE_SHIFT, size)):
                    entries += 1 if m.nodes[below + child].entries > 0 else 0
                    if level == 1:
                        there, shadow, high = _entry(m, file, child << NODE_SHIFT)
                        entries += there if high else 0
                        shadows += 1 if high and shadow else 0
                node = m.nodes[above + nth]
                if node.entries != entries or node.shadows != shadows:
                    return 36, file
            below = above
            size = (size + NODE_MASK) >> NODE_SHIFT
            level += 1
    return _audit_shadow_nodes(m)


@compiled
def _audit_shadow_nodes(m: Arrays) -> tuple[int, int]:
    """Walk the lists of nodes that hold nothing but shadows."""
    group = next_group(m, ROOT, NONE)
    while group != NONE:
        nodes = 0
        before = NONE
        row = int(m.lruvecs[group].shadow_head)
        while row != NONE:
            node = m.nodes[row]
            alike = node.entries > 0 and node.entries == node.shadows
            if not alike or node.prev != before or node.listed != 1 or node.group != group:
                return 36, row
            nodes += 1
            before = row
            row = int(node.next)
        if m.lruvecs[group].shadow_nodes != nodes or m.lruvecs[group].shadow_tail != before:
            return 36, group
        group = next_group(m, ROOT, group)
    return OK, 0
