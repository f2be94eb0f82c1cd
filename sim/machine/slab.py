"""Kernel objects (Linux's slab): how many bytes a group has of them, and pages they take.

They take no frames of the simulated pool, but are charged for in whole pages: so many bytes for a
process, a thread, an area, a written page of a file (`sim.machine.groups` charges,
`sim.machine.tree` has what the page cache adds).
"""

from typing import Final

from sim.base.jit import inlined
from sim.machine import native  # noqa: F401  (tells Numba how compiled code sees the machine)
from sim.machine.layout import NONE, ROOT, Arrays

# Measured on Linux 6.18 by `memory.kmem.usage_in_bytes`, without tables and stacks, a thing more or
# less: 64 children of the static program of `cowpool conform --group`, 128 threads.
AREA_SLAB_BYTES: Final = 200
"""Of an area: 24 areas more, not written, make a child 1.172 pages larger."""
ANON_VMA_SLAB_BYTES: Final = 112
"""Of the `anon_vma` of an area, once a page of it was written privately."""
ANON_LINK_SLAB_BYTES: Final = 72
"""Of each link to an `anon_vma`: its own, and those of all it came down from.

A child with 24 such areas more, each with one of its own and one of its parent, has 1.5 pages more.
"""
BUFFER_SLAB_BYTES: Final = 112
"""Of a page of a file that was written: ext4's `struct buffer_head`, gone when the page goes."""
TASK_SLAB_BYTES: Final = 6_112
"""Of a thread, besides its stack: task_struct and what hangs on it."""
PROCESS_SLAB_BYTES: Final = 3_608
"""Of a process, besides: signals and credentials; a child of vfork has no more."""
SPACE_SLAB_BYTES: Final = 2_648
"""Of an address space and what comes with it: a forked child takes 12,368 without areas."""
GROUP_SLAB_BYTES: Final = 6_688
"""Of a control group made in another, which is charged for it: 64 took 10,176 each, on 2 CPUs."""
GROUP_SLAB_CPU_BYTES: Final = 1_744
"""Of it, for each CPU: `memcg_vmstats_percpu` 1,216, `lruvec_stats_percpu` 528, by BTF of 6.18."""


@inlined
def count_slab(m: Arrays, group: int, size_bytes: int) -> None:
    """Count kernel objects made for a group, or fewer; `settle_slab` charges for them."""
    m.groups[group].slab += size_bytes


@inlined
def anon_bytes(links: int) -> int:
    """Return the kernel objects of an area with an anon_vma that came down from `links` others."""
    return ANON_VMA_SLAB_BYTES + ANON_LINK_SLAB_BYTES * (1 + links)


@inlined
def slab_missing(m: Arrays, group: int) -> int:
    """Return how many pages more the kernel objects of a group take than it is charged for.

    What is freed of a page stays at hand (`obj_stock`): when more than a page is, one goes back
    (`refill_obj_stock`), and the number is below 0.
    """
    at_hand = int(m.groups[group].slab_pages * 4096 - m.groups[group].slab)
    return -(at_hand // 4096) if at_hand < 0 else -(max(0, at_hand - 1) // 4096)


@inlined
def object_pages(m: Arrays, cpu: int, size_bytes: int) -> int:
    """Return the pages that the group for which `cpu` acts is charged with so much more of objects.

    Beside what it owes already; the root is never refused anything: 0.
    """
    group = int(m.cpus[cpu].group)
    if group == ROOT:
        return 0
    g = m.groups[group]
    had = max(int(g.slab_pages), int(-(-g.slab // 4096)))
    return max(0, int(-(-(g.slab + size_bytes) // 4096)) - had)


def group_bytes(cpus: int) -> int:
    """Return the kernel objects of a control group, on a machine of so many CPUs."""
    return GROUP_SLAB_BYTES + GROUP_SLAB_CPU_BYTES * cpus


def objects_bytes(m: Arrays, space: int) -> int:
    """Return the kernel objects of a process with one task, as its group counts them."""
    size_bytes = TASK_SLAB_BYTES + PROCESS_SLAB_BYTES + SPACE_SLAB_BYTES
    area = int(m.spaces[space].head)
    while area != NONE:
        size_bytes += AREA_SLAB_BYTES
        if m.areas[area].anon_root != NONE:
            size_bytes += anon_bytes(int(m.areas[area].inherited))
        area = int(m.areas[area].next)
    return size_bytes
