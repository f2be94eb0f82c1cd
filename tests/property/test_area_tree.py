"""Areas and gaps found by the tree are those that a look at every area finds."""

import random

import pytest
from support.machines import machine

from sim.machine.area_tree import MMAP_MIN_VPN, STACK_GAP_PAGES, find_area, find_gap, resized
from sim.machine.areas import drop_area, insert_area
from sim.machine.layout import A_GROWSDOWN, NONE

WORLD = 4000
"""Pages that areas lie in."""
SPACE = 1


def areas_in_order(m, space):
    area = int(m.spaces[space].head)
    while area != NONE:
        yield area
        area = int(m.areas[area].next)


def gap_by_looking(m, space, pages):
    """Return what Linux's top-down search finds: the highest gap below `mmap_top`."""
    s = m.spaces[space]
    low, best = max(int(s.brk), MMAP_MIN_VPN), NONE
    for area in areas_in_order(m, space):
        a = m.areas[area]
        stack = STACK_GAP_PAGES if a.vm_flags & A_GROWSDOWN else 0
        high = min(int(s.mmap_top), int(a.start) - stack)
        if high - low >= pages:
            best = high - pages
        low = max(low, int(a.end))
    return int(s.mmap_top) - pages if s.mmap_top - low >= pages else best


def depth(m, area):
    if area == NONE:
        return 0
    a = m.areas[area]
    return 1 + max(depth(m, int(a.left)), depth(m, int(a.right)))


@pytest.fixture
def space():
    built = machine(memory_pages=4096)
    m = built.arrays
    s = m.spaces[SPACE]
    s.head = s.tail = s.root = s.heap = NONE
    s.mmap_top = WORLD - 300
    s.brk = 40
    return built, SPACE


def change(rng, built, space, taken):
    """Add an area, drop one, or let one grow into the gap behind it."""
    m = built.arrays
    what = rng.random()
    if what < 0.5 or not taken:
        start = rng.randrange(WORLD)
        end = start + rng.randrange(1, 30)
        if all(end <= m.areas[a].start or start >= m.areas[a].end for a in taken):
            built.make_room()
            bits = A_GROWSDOWN if rng.random() < 0.1 else 0
            taken.append(insert_area(m, space, start, end, start, bits))
    elif what < 0.8:
        drop_area(m, taken.pop(rng.randrange(len(taken))))
    else:
        area = rng.choice(taken)
        after = int(m.areas[area].next)
        limit = WORLD if after == NONE else int(m.areas[after].start)
        end = rng.randrange(int(m.areas[area].start) + 1, limit + 1)
        m.spaces[space].pages += end - m.areas[area].end
        m.areas[area].end = end
        resized(m, area)


@pytest.mark.parametrize("seed", range(10))
def test_it_finds_what_looking_at_every_area_finds(space, seed):
    built, number = space
    m = built.arrays
    rng = random.Random(seed)
    taken: list[int] = []
    for _ in range(150):
        change(rng, built, number, taken)
        order = list(areas_in_order(m, number))
        assert order == sorted(taken, key=lambda a: m.areas[a].start)
        for vpn in rng.sample(range(WORLD), 5):
            behind = [a for a in order if m.areas[a].end > vpn]
            assert find_area(m, number, vpn) == (behind[0] if behind else NONE)
        for pages in (1, 3, 20, 100, 800):
            assert find_gap(m, number, pages) == gap_by_looking(m, number, pages)


@pytest.mark.parametrize("step", [1, -1])
def test_areas_that_come_in_order_make_no_deep_tree(space, step):
    built, number = space
    for at in range(2000)[::step]:
        built.make_room()
        insert_area(built.arrays, number, 2 * at, 2 * at + 1, 0, 0)
    assert depth(built.arrays, int(built.arrays.spaces[number].root)) < 40
