"""Operations and kinds of work are each written once.

What else there is to say of one is said where it matters: here is seen that it is said of each.
"""

import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from support.machines import machine

from sim.base.numbered import counted_up_from, rows_of
from sim.cost.catalogue import PER
from sim.engine.metrics import METRICS
from sim.kernel import ops
from sim.kernel.ops import OPS, Op, begin
from sim.kernel.step import STEPS
from sim.machine import work
from sim.machine.layout import NONE, OPERATION, PEAK, SAMPLE
from sim.machine.layout.fields import Nothing
from sim.machine.parts import PARTS
from sim.machine.work import DRAW_HOT, DRAW_PAGE, DRAW_ROWS, KINDS, N_DRAWS, NAMES, Kind
from sim.observe.faults import FAULT_KINDS, FAULT_LINES, FAULT_METRICS
from sim.program.api import Process
from sim.program.declared import LeftOut
from sim.report.figures.bill import COLOURS, POINT_PARTS
from sim.script.grammar import Verb
from sim.study.bill import PART_NOTES

DOCS = Path(__file__).parents[2] / "docs"
FIRST_KINDS = """access zero_fill zero_page_map cow_copy cow_reuse file_map file_map_around
major_fault segfault spurious table_alloc fork_base fork_area fork_table fork_pte fork_folio
fork_huge fork_eager_copy fork_flush vfork_base exec_base exit_base unmap_area unmap_pte
table_free frame_free mmap_call munmap_call brk_call madvise_call wait_call context_switch
oom_kill huge_zero_fill huge_copy reclaim_page huge_split mprotect_call protect_pte cache_fill
folio_page collapse""".split()


def test_kinds_of_work_keep_their_numbers():
    assert list(NAMES[: len(FIRST_KINDS)]) == FIRST_KINDS


def test_kinds_of_work_keep_their_random_streams():
    history = (*range(36), DRAW_PAGE, DRAW_HOT, *range(36, len(FIRST_KINDS)))
    assert DRAW_ROWS[: len(history)] == history
    assert sorted(DRAW_ROWS) == list(range(N_DRAWS))


def test_a_number_given_twice_is_no_table():
    with pytest.raises(ValueError, match="number 1 stands where 2 belongs"):
        rows_of({"A": Kind(0, draw=0), "B": Kind(1, draw=1), "C": Kind(1, draw=2)}, Kind)


def test_a_draw_number_given_twice_is_no_table():
    with pytest.raises(ValueError, match="draw number 1 stands where 2 belongs"):
        counted_up_from("draw number", 0, [0, 1, 1])


def test_each_kind_of_work_has_a_price_that_says_per_what_it_is_paid():
    assert list(PER) == list(KINDS.values())
    assert all(PER.values())
    assert len(set(PER.values())) == len(PER)


def test_each_price_is_among_the_keys_that_are_documented():
    page = (DOCS / "keys.md").read_text(encoding="utf-8")
    assert [name for name in KINDS if f"| `{name}` |" not in page] == []


def test_each_kind_of_minor_fault_is_documented():
    page = (DOCS / "model.md").read_text(encoding="utf-8")
    assert [name for name in FAULT_METRICS.values() if f"| `{name}` |" not in page] == []


def test_each_kind_of_minor_fault_has_its_metric():
    counted = [line for lines in FAULT_KINDS.values() for line in lines]
    assert len(set(counted)) == len(counted)
    assert set(FAULT_LINES) == {*counted, work.MAJOR_FAULT, work.SEGFAULT}
    assert set(FAULT_METRICS.values()) <= set(METRICS)
    assert FAULT_METRICS == {
        "zero_fill": "zero_fills",
        "zero_page_map": "zero_page_maps",
        "cow_copy": "cow_copies",
        "cow_reuse": "cow_reuses",
        "file_map": "file_maps",
        "spurious": "spurious_faults",
        "swap_map": "swap_maps",
    }


# -- parts of memory ----------------------------------------------------------------------


def test_each_part_of_memory_is_measured_told_and_documented():
    assert PEAK.names == ("total", *PARTS)
    assert {f"memory_need_bytes.{part}" for part in PARTS} <= set(METRICS)
    assert {f"{part}_pages" for part in PARTS} - {"data_pages"} <= set(SAMPLE.names or ())
    assert PARTS.keys() == PART_NOTES.keys()
    assert set(PARTS.values()) <= COLOURS.keys()
    assert {f"{part}_bytes" for part in PARTS} >= {column for _, column, _ in POINT_PARTS if column}
    assert set(get_args(get_type_hints(LeftOut)["part"])) <= PARTS.keys()
    page = (DOCS / "model.md").read_text(encoding="utf-8")
    assert [part for part in PARTS if f"`{part}`" not in page] == []


# -- operations ---------------------------------------------------------------------------

FIRST_OPERATIONS = """none access compute mmap munmap brk dontneed fork vfork exec exit reap
mprotect madvise populate async_copy mlock mremap free msync fsync file_read file_write start
fadvise collapse khugepaged kswapd flush swapoff swapon oom_reap direct_read direct_write""".split()

VERBS = {
    "access": "read write",
    "compute": "compute",
    "mmap": "mmap",
    "munmap": "munmap",
    "brk": "sbrk",
    "dontneed": "dontneed madvise",
    "fork": "fork",
    "vfork": "vfork posix_spawn thread",
    "exec": "exec",
    "exit": "exit",
    "reap": "wait",
    "mprotect": "mprotect",
    "madvise": "madvise",
    "populate": "madvise",
    "async_copy": "fork",
    "mlock": "mlock munlock",
    "mremap": "mremap",
    "free": "madvise",
    "msync": "msync",
    "fsync": "fsync drop",
    "file_read": "pread",
    "file_write": "pwrite",
    "start": "exec",
    "fadvise": "fadvise drop",
    "collapse": "madvise",
    "swapoff": "swapoff",
    "swapon": "swapon",
    "direct_read": "pread",
    "direct_write": "pwrite",
}
"""The verbs by which programs have each operation carried out."""
THREADS = ("khugepaged", "kswapd", "flush", "oom_reap")
OF_THE_KERNEL = dict.fromkeys(THREADS, "a thread of the kernel does it")
NOT_OF_PROGRAMS = {"none": "it is no operation", **OF_THE_KERNEL}

IN_SCRIPTS = {
    "access": "read write",
    "mmap": "map shmap mapfile mapshfile stack maphugetlb mapshhugetlb",
    "munmap": "unmap",
    "brk": "brk",
    "dontneed": "dontneed",
    "fork": "fork",
    "vfork": "vfork",
    "exec": "exec",
    "exit": "exit",
    "mprotect": "protect",
    "madvise": (
        "hugepage nohugepage dontfork dofork wipeonfork keeponfork random sequential normal"
    ),
    "populate": "populateread populatewrite",
    "async_copy": "fork",
    "mlock": "lock unlock",
    "mremap": "resize move",
    "free": "free",
    "msync": "sync",
    "fsync": "fsync drop",
    "file_read": "fileread",
    "file_write": "filewrite",
    "fadvise": "drop willneed random sequential normal",
    "collapse": "collapse",
}
"""The verbs of conformance scripts."""
NOT_OF_SCRIPTS = {
    "none": "it is no operation",
    "compute": "scripts have no time",
    "reap": "a child is reaped when it exits",
    **dict.fromkeys(("swapoff", "swapon"), "scripts have no swap"),
    **dict.fromkeys(("direct_read", "direct_write"), "`test_kernel_direct_io.py` asks the kernel"),
    "start": "images of scripts are empty; `sim.script.spawn` plays those of programs",
    **dict.fromkeys(OF_THE_KERNEL, "nothing happens by itself in a script"),
}


def test_operations_keep_their_numbers():
    assert list(OPS)[: len(FIRST_OPERATIONS)] == FIRST_OPERATIONS


def test_each_operation_has_its_step_function_or_is_the_bursts_own():
    assert set(OPS.values()) - set(STEPS) == {ops.OP_NONE, ops.OP_ACCESS, ops.OP_COMPUTE}
    assert len(set(STEPS.values())) == len(STEPS)


def test_an_operation_begins_with_its_fields_and_nothing_of_the_last_one():
    m = machine(memory_pages=64).arrays
    begin(m, 3, ops.OP_FADVISE, {"file": 7, "file_page": 2, "pages": 5, "advice": 4})
    m.operations[3].stage = m.operations[3].errno = 9
    begin(m, 3, ops.OP_MUNMAP, {"start": 1, "pages": -6})
    found = {name: int(m.operations[3][name]) for name in OPERATION.names or ()}
    assert {name: value for name, value in found.items() if value != 0} == {
        "op": ops.OP_MUNMAP,
        "start": 1,
        "pages": -6,
        "span": 1,
        "per_request": 1,
        "file": NONE,
        "fault_from_ns": NONE,
        "unanswered_ns": NONE,
    }


def test_an_operation_takes_no_field_that_it_has_not():
    m = machine(memory_pages=64).arrays
    with pytest.raises(TypeError, match="operation munmap has no advice, file"):
        begin(m, 0, ops.OP_MUNMAP, {"start": 1, "pages": 2, "file": 3, "advice": 4})
    assert int(m.operations[0].op) == ops.OP_NONE


def test_an_operation_numbered_twice_is_no_table():
    with pytest.raises(ValueError, match="number 1 stands where 2 belongs"):
        rows_of({"OP_A": Op(0, Nothing), "OP_B": Op(1, Nothing), "OP_C": Op(1, Nothing)}, Op, "OP_")


def test_each_operation_has_a_verb_of_programs_or_says_why_not():
    assert VERBS.keys() | NOT_OF_PROGRAMS.keys() == OPS.keys()
    assert VERBS.keys().isdisjoint(NOT_OF_PROGRAMS)
    assert all(hasattr(Process, verb) for verbs in VERBS.values() for verb in verbs.split())


def test_each_operation_has_a_verb_of_scripts_or_says_why_not():
    assert IN_SCRIPTS.keys() | NOT_OF_SCRIPTS.keys() == OPS.keys()
    assert IN_SCRIPTS.keys().isdisjoint(NOT_OF_SCRIPTS)
    assert {verb for verbs in IN_SCRIPTS.values() for verb in verbs.split()} == set(Verb)


def test_each_verb_of_scripts_is_known_to_the_driver_and_documented():
    root = DOCS.parent
    driver = (root / "sim/host/driver/controller.c").read_text(encoding="utf-8")
    known = set(re.findall(r'\[V_[A-Z]+\] = "(\w+)"', driver))
    # What the driver itself does when a process exits, and in a control group.
    assert known - set(Verb) == {"reap", "adjust"}
    assert set(Verb) <= known
    page = (DOCS / "conformance.md").read_text(encoding="utf-8")
    assert [str(verb) for verb in Verb if not re.search(rf"`([A-Z] )?{verb}\b", page)] == []
