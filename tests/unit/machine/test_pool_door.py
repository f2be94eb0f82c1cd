"""One door to the frames: who else writes free lists, counts of free frames, or charges."""

import ast

import pytest
from support.writes import Write, all_writes, writes

DOOR = {
    *("machine/pool.py", "machine/buddy.py", "machine/groups.py", "machine/slab.py"),
    "machine/hugetlb.py",
} | {"machine/page_counter.py", "machine/swap.py"}
BUILT = "machine/machine.py"
"""It sets up empty lists and groups, before anybody can take a frame."""

RECORDS = {"percpu", "buddy", "zones", "groups", "charged"}
"""Arrays that are the door's alone."""
COLUMNS = {
    "frames": {"zone", "group"},
    "pool": {"free", "reserved"},
    "tasks": {"reserved"},
    "cpus": {"group"},
}
"""Columns that are, of arrays that others write as well."""
FREE_BITS = {"F_BUDDY", "F_PERCPU"}


def is_the_doors(write: Write) -> bool:
    """Whether only the door may write that."""
    of_the_door = write.array in RECORDS or write.column in COLUMNS.get(write.array, ())
    counts_anew = write.array == "frames" and write.column == "refs" and write.value is not None
    value = ast.walk(write.value) if write.value is not None else ()
    frees = FREE_BITS & {node.id for node in value if isinstance(node, ast.Name)}
    return of_the_door or counts_anew or bool(write.column and frees)


def test_nothing_but_the_pool_writes_what_is_free() -> None:
    found = {
        path: wrong
        for path, its in all_writes().items()
        if (wrong := [f"{w.function}: {w.text}" for w in its if is_the_doors(w)])
    }
    assert set(found) == DOOR | {BUILT}, found


@pytest.mark.parametrize(
    "line",
    [
        "m.percpu[cpu].head = pfn",
        "m.buddy[zone, 0].count -= 1",
        "m.zones[zone].free += 1",
        "m.charged[0, 1] += 1",
        "m.pool[0].free -= 1",
        "m.frames[pfn].refs = 0",
        "m.frames[pfn].group = 1",
        "frame = m.frames[pfn]; frame.refs = 0",
        "frame = m.frames[pfn]; a, frame.zone = 1, 2",
        "mine = m.percpu[cpu]; mine.count += 1",
        "frame.bits = F_BUDDY",
        "charged = m.arrays.charged[0]; charged[1] += 1",
        "z = m.zones[0]; z.free, z.batch = two()",
    ],
)
def test_a_second_door_is_found(line: str) -> None:
    found = writes(f"def steal(m, cpu, zone, pfn, frame):\n    {line}\n")
    assert any(is_the_doors(write) for write in found)


@pytest.mark.parametrize(
    "line",
    [
        "m.frames[pfn].refs -= 1",
        "m.frames[pfn].maps = 0",
        "frame = m.frames[pfn]; frame.next = 7; frame.order = 3",
        "info = m.table_info[0]; info.refs = 1",
        "m.pool[0].released += 1",
        "free = m.percpu[cpu].count",
    ],
)
def test_using_a_frame_is_no_second_door(line: str) -> None:
    found = writes(f"def use(m, cpu, pfn):\n    {line}\n")
    assert not any(is_the_doors(write) for write in found)
