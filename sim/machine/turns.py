"""Tournaments between CPUs: the one with the smallest key is found in logarithmic time.

Each is a complete binary tree over the CPUs' keys, a node holding the smaller one of the two below
it; node 1 is the root, the children of node n are 2n and 2n + 1 (Knuth 1998, vol. 3, section
5.4.1).  At a tie the lower CPU wins.
"""

from typing import Final

from sim.base.jit import compiled, inlined
from sim.machine.layout import FOREVER, NONE, Arrays

STEPS: Final = 0
"""Keys: when the next step of the CPU's task may start; FOREVER without a task."""
FREE: Final = 1
"""Key 0: the CPU may have no task, or one that idles; who finds that it has one corrects that."""
LOOK: Final = 2
"""Key 0: before the next step, see whether the CPU's task is done, or one waits for this CPU."""
N_TOURNAMENTS: Final = 3


@inlined
def key_of(m: Arrays, tournament: int, cpu: int) -> int:
    """Return the key of a CPU."""
    leaves = int(m.sched[0].leaves)
    return int(m.turns[2 * tournament * leaves + leaves + cpu])


@compiled
def set_key(m: Arrays, tournament: int, cpu: int, key: int) -> None:
    """Give a CPU another key."""
    leaves = int(m.sched[0].leaves)
    root = 2 * tournament * leaves
    node = leaves + cpu
    m.turns[root + node] = key
    while node > 1:
        node >>= 1
        key = min(int(m.turns[root + 2 * node]), int(m.turns[root + 2 * node + 1]))
        if m.turns[root + node] == key:
            return
        m.turns[root + node] = key


@inlined
def first_cpu(m: Arrays, tournament: int) -> int:
    """Return the CPU with the smallest key, or NONE if all are FOREVER."""
    leaves = int(m.sched[0].leaves)
    root = 2 * tournament * leaves
    if m.turns[root + 1] == FOREVER:
        return NONE
    node = 1
    while node < leaves:
        node *= 2
        if m.turns[root + node] > m.turns[root + node + 1]:
            node += 1
    return node - leaves


@inlined
def others_key(m: Arrays, tournament: int, cpu: int) -> int:
    """Return the smallest key of the other CPUs, plus 1 where `cpu` goes first at a tie."""
    leaves = int(m.sched[0].leaves)
    root = 2 * tournament * leaves
    node = leaves + cpu
    key = FOREVER
    while node > 1:
        behind = 1 - (node & 1)
        key = min(key, int(m.turns[root + (node ^ 1)]) + behind)
        node >>= 1
    return key
