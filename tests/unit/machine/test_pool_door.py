"""One door to the frames: who else writes free lists, counts of free frames, or charges."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sim

PACKAGE = Path(sim.__file__).parent
DOOR = {"machine/pool.py", "machine/buddy.py", "machine/groups.py"}
BUILT = "machine/machine.py"
"""It sets up empty lists and groups, before anybody can take a frame."""

RECORDS = {"percpu", "buddy", "zones", "groups", "charged"}
"""Arrays that are the door's alone."""
COLUMNS = {
    "frames": {"zone", "group", "prev"},
    "pool": {"free", "reserved"},
    "tasks": {"reserved"},
}
"""Columns that are, of arrays that others write as well."""
FREE_BITS = {"F_BUDDY", "F_PERCPU"}


def array_of(node: ast.expr, names: dict[str, str]) -> str | None:
    """Return the array that an expression is a row of, or is, given what local names are."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        return names.get(node.id)
    return node.attr if isinstance(node, ast.Attribute) else None


def assigned(node: ast.stmt) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    """Yield the targets of a statement, each with what is assigned to it as a whole."""
    if isinstance(node, ast.AugAssign):
        yield node.target, None
    if isinstance(node, ast.Assign):
        for target in node.targets:
            several = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
            pairs = zip(target.elts, node.value.elts, strict=True) if several else ()
            yield from pairs if several else ((target, node.value),)


def what_it_writes(function: ast.FunctionDef) -> Iterator[str]:
    """Yield what a function writes that only the door may write."""
    names: dict[str, str] = {}
    for node in ast.walk(function):
        for target, value in assigned(node):
            if isinstance(target, ast.Name) and isinstance(value, ast.Subscript):
                names[target.id] = array_of(value, {}) or ""
    for node in ast.walk(function):
        for target, value in assigned(node):
            if isinstance(target, ast.Subscript) and array_of(target, names) in RECORDS:
                yield ast.unparse(target)
            if not isinstance(target, ast.Attribute):
                continue
            array = array_of(target.value, names) or ""
            of_the_door = array in RECORDS or target.attr in COLUMNS.get(array, ())
            counts_anew = array == "frames" and target.attr == "refs" and value is not None
            used = {n.id for n in ast.walk(value or target) if isinstance(n, ast.Name)}
            if of_the_door or counts_anew or used & FREE_BITS:
                yield ast.unparse(target)


def writes(source: str) -> set[str]:
    """Return what the functions of a module write that only the door may write."""
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)]
    return {f"{f.name}: {what}" for f in functions for what in what_it_writes(f)}


def test_nothing_but_the_pool_writes_what_is_free() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): wrong
        for path in sorted(PACKAGE.rglob("*.py"))
        if (wrong := writes(path.read_text()))
    }
    assert set(found) - DOOR - {BUILT} == set(), found
    assert set(found) == DOOR | {BUILT}


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
    ],
)
def test_a_second_door_is_found(line: str) -> None:
    assert writes(f"def steal(m, cpu, zone, pfn, frame):\n    {line}\n")


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
    assert not writes(f"def use(m, cpu, pfn):\n    {line}\n")
