"""Page-table entries: three kinds, and one file that writes them."""

import ast
from pathlib import Path
from typing import Any

import pytest

import sim
from sim.machine import entries
from sim.machine.layout import PTE_DIRTY, PTE_WRITE, PTE_ZERO

PACKAGE = Path(sim.__file__).parent
WRITER = PACKAGE / "machine" / "entries.py"


def plain(function: Any) -> Any:
    """Return the Python of what is compiled into its callers only."""
    return getattr(function, "py_func", function)


is_swap_pte, maps_frame, maps_memory = map(
    plain, (entries.is_swap_pte, entries.maps_frame, entries.maps_memory)
)
mk_pte, pte_none, pte_present = map(plain, (entries.mk_pte, entries.pte_none, entries.pte_present))
swp_entry_to_pte, swp_offset = map(plain, (entries.swp_entry_to_pte, entries.swp_offset))


def writes_of_entries(source: str) -> list[int]:
    """Return the lines of a module that store into a part of an attribute called `tables`."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Store | ast.Del)
        and _is_table(node)
    ]


def _is_table(node: ast.expr) -> bool:
    while isinstance(node, ast.Subscript):
        node = node.value
    return isinstance(node, ast.Attribute) and node.attr == "tables"


def test_only_one_module_writes_entries() -> None:
    found = {path: writes_of_entries(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
    assert found.pop(WRITER)
    # elsewhere, `tables` are those of a malloc's threads: blocks by name
    del found[PACKAGE / "script" / "malloc" / "predict.py"]
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "text",
    [
        "m.tables[slot, at] = 0",
        "m.tables[slot, at] |= PTE_DIRTY",
        "m.tables[slot][at] = entry",
        "arrays.tables[:] = 0",
        "before, m.tables[slot, at] = m.tables[slot, at], 0",
    ],
)
def test_a_write_elsewhere_is_found(text: str) -> None:
    """Negative control."""
    assert writes_of_entries(text) == [1]


@pytest.mark.parametrize("text", ["entry = m.tables[slot, at]", "rows[m.tables[slot, at]] = 1"])
def test_a_read_is_no_write(text: str) -> None:
    assert writes_of_entries(text) == []


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (0, "none"),
        (mk_pte(7, 0), "present"),
        (mk_pte(0, PTE_ZERO), "present"),
        (mk_pte(7, PTE_WRITE | PTE_DIRTY), "present"),
        (swp_entry_to_pte(7, 0), "swapped"),
        (swp_entry_to_pte(1 << 40, 0), "swapped"),
    ],
)
def test_an_entry_is_of_one_kind(entry: int, kind: str) -> None:
    kinds = {"none": pte_none(entry), "present": pte_present(entry), "swapped": is_swap_pte(entry)}
    assert [name for name, is_it in kinds.items() if is_it] == [kind]


def test_a_slot_is_no_frame() -> None:
    swapped = swp_entry_to_pte(7, 0)
    assert swp_offset(swapped) == 7
    assert not maps_frame(swapped, 7)
    assert maps_frame(mk_pte(7, PTE_WRITE), 7)
    assert not maps_frame(mk_pte(7, 0), 8)


def test_the_zero_page_is_no_memory() -> None:
    assert maps_memory(mk_pte(7, 0))
    assert not maps_memory(mk_pte(0, PTE_ZERO))
    assert not maps_memory(0)
    assert not maps_memory(swp_entry_to_pte(7, 0))
