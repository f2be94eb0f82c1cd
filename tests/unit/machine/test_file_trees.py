"""The tree of a file's pages: which nodes there are, by Linux's `lib/xarray.c`."""

import pytest
from support.kernel import Kernel

from sim.base.jit import plain
from sim.kernel.reclaim import vmscan
from sim.machine.cached import erase_page, reclaim_node, store_page
from sim.machine.layout import KIND_FILE, NONE, ROOT
from sim.machine.tree import NODE_BYTES, height_for, tree_bytes

FILE_PAGES = 300_000


class Tree:
    """A file of which pages come and go, alone on its machine."""

    def __init__(self, pages: int = FILE_PAGES) -> None:
        self.machine = Kernel(memory_pages=3000).machine
        self.m = self.machine.arrays
        self.file = self.machine.new_file(KIND_FILE, pages, known=True, cold=True)
        self.before = int(self.m.groups[ROOT].slab)

    def put(self, index: int, order: int = 0) -> None:
        """Put a page there, as of a folio of so many; its frame is not looked at."""
        foreseen = tree_bytes(self.m, self.file, index, index + (1 << order), order)
        before = self.nodes()
        for page in range(index, index + (1 << order)):
            store_page(self.m, 0, self.file, page, 1, order)
        assert foreseen == (self.nodes() - before) * NODE_BYTES

    def take(self, index: int, shadow: int = 0) -> None:
        self.m.frames[1].order = 0
        erase_page(self.m, 0, self.file, index, shadow)

    def nodes(self) -> int:
        """Return how many nodes are charged for; as many are made."""
        made = int(self.m.nodes["made"].sum())
        assert (int(self.m.groups[ROOT].slab) - self.before) == made * NODE_BYTES
        return made


@pytest.mark.parametrize(
    ("pages", "nodes"),
    [
        ([], 0),
        ([0], 0),  # at the top itself
        ([1], 1),
        ([0, 1], 1),
        ([0, 63], 1),
        ([64], 2),
        ([0, 64], 3),
        ([64, 0], 3),
        ([0, 63, 64, 127], 3),
        ([0, 64, 128], 4),
        ([4095], 2),
        ([4096], 3),
        ([0, 4096], 5),
        ([0, 1, 4096, 4097], 5),
        ([64, 4096], 5),
        ([0, 262_144], 7),
        ([262_144], 4),
    ],
)
def test_a_tree_is_as_high_as_its_last_page_needs(pages: list[int], nodes: int):
    tree = Tree()
    for index in pages:
        tree.put(index)
    assert tree.nodes() == nodes
    for index in reversed(pages):
        tree.take(index)
    assert tree.nodes() == 0
    assert int(tree.m.files[tree.file].height) == 0


@pytest.mark.parametrize(
    ("there", "gone", "nodes"),
    [
        ([0, 1], 1, 0),
        ([0, 1], 0, 1),  # its first slot is not in use
        ([0, 64], 64, 0),
        ([1, 64], 64, 1),
        ([0, 64], 0, 2),
        ([0, 4096], 4096, 0),
        ([1, 4096], 4096, 1),
        ([64, 4096], 4096, 2),
        ([0, 64, 4096], 64, 5),
        ([0, 64, 4096], 4096, 3),
        ([0, 64, 4096], 0, 5),
        ([4096, 4097], 4097, 3),
    ],
)
def test_a_tree_loses_what_leads_to_its_first_slot_alone(there: list[int], gone: int, nodes: int):
    tree = Tree()
    for index in there:
        tree.put(index)
    tree.take(gone)
    assert tree.nodes() == nodes
    tree.put(gone)
    for index in there:
        tree.take(index)
    assert tree.nodes() == 0


def test_a_shadow_at_the_top_itself_is_in_no_node():
    tree = Tree()
    tree.put(0)
    tree.put(70)
    tree.take(0, shadow=-2 << 4)
    assert tree.m.lruvecs[ROOT].shadow_nodes == 1
    tree.take(70)
    assert tree.m.lruvecs[ROOT].shadow_nodes == tree.nodes() == 0
    tree.put(70)
    assert tree.m.lruvecs[ROOT].shadow_nodes == 1  # the lowest node has nothing else again
    assert tree.nodes() == 3


def test_reclaim_of_nodes_ends_when_one_has_taken_the_last_along(monkeypatch):
    """Page 64 goes, and the tree has its first slot alone: so does the node of page 0."""
    tree = Tree()
    for index in (64, 0):
        tree.put(index)
    for index in (64, 0):
        tree.take(index, shadow=-17)
    v = tree.m.lruvecs[ROOT]
    assert v.shadow_nodes == 2
    assert tree.nodes() == 3
    reclaimed = []

    def reclaim(m, cpu, group):
        reclaimed.append(int(m.lruvecs[group].shadow_head))
        assert reclaimed[-1] != NONE
        reclaim_node(m, cpu, group)

    monkeypatch.setattr(vmscan, "reclaim_node", reclaim)
    tree.m.config[0].ram = 0  # else so few nodes are left alone
    v.shadow_deferred = 10
    plain(vmscan.shrink_shadows)(tree.m, 0, ROOT)
    assert len(reclaimed) == 1
    assert v.shadow_nodes == tree.nodes() == 0
    assert v.shadow_head == v.shadow_tail == NONE


def test_a_large_folio_keeps_the_node_above_its_slot():
    tree = Tree()
    tree.put(0, order=6)
    assert tree.nodes() == 1
    assert int(tree.m.files[tree.file].height) == 2
    tree.put(64)
    assert tree.nodes() == 2
    tree.take(64)
    assert tree.nodes() == 1


def test_one_page_has_no_tree():
    tree = Tree(pages=1)
    tree.put(0)
    assert tree.nodes() == 0


@pytest.mark.parametrize(
    ("index", "high", "height"),
    [
        (0, False, 0),
        (1, False, 1),
        (63, False, 1),
        (64, False, 2),
        (4095, False, 2),
        (4096, False, 3),
        (0, True, 2),
        (64, True, 2),
        (4032, True, 2),
        (4096, True, 3),
    ],
)
def test_heights(index: int, high: bool, height: int):
    assert height_for(index, high) == height
