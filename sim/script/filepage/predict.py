"""Files read under a limit: which pages stay in the page cache, as the simulated kernel has it.

A script is a list of reads, a page each, of some files, by one program in a control group, and of
uses of pages that are there through mappings, of which some are text.  What is asked is which pages
are in the page cache now and then; the real side is `sim.host.filepage`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.base.errors import KernelPanicError
from sim.engine.build import build_machine
from sim.engine.direct import carry_out
from sim.kernel import ops
from sim.kernel.files.fadvise import DONTNEED, RANDOM
from sim.kernel.reclaim.memcg import ROOM, make_room
from sim.kernel.work import DONE, GROW, SHORT
from sim.machine.cached import has_page, resident_pages
from sim.machine.layout import A_EXEC, A_RANDOM, A_READ, A_SHARED, FOREVER, KIND_FILE, TABLE_SHIFT
from sim.machine.layout.fields import Exec, FileAdvice, FilePages, Flags, Mapping, Range
from sim.machine.lru import lru_add_drain
from sim.machine.spec import HostSpec
from sim.script.filepage.grammar import FILE_MASK, FILE_SHIFT, HOW_SHIFT, MAP, PAGE_MASK
from sim.script.operation import at_once, each_page, run_operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from sim.machine.machine import Machine

COLD_READ_NS: Final = 100_000
"""What a page takes that is not in the page cache, roughly: statistics are flushed every 2 s."""


MAPPINGS: Final = 1 << 28
"""Page at which mappings of files begin, 1 TiB; each has `MAPPING_PAGES`."""
MAPPING_PAGES: Final = 1 << 19


def mapping_start(number: int, how: int) -> int:
    """Return the page at which file `number` is mapped: as data (`how` 1), as text (2)."""
    return MAPPINGS + (2 * number + how - 1) * MAPPING_PAGES


@dataclass(frozen=True, slots=True)
class PageReads:
    """What became of a script.

    `resident` has a map for each step that asked for one: for each file, which pages are there.
    `counts` are those of ``/proc/vmstat``; `kernel_pages` what the group was charged for beside the
    page cache at the end; `nodes_freed` the steps at which reclaim freed nodes of files' trees.
    """

    resident: list[list[NDArray[np.bool_]]]
    counts: dict[str, int]
    kernel_pages: int
    nodes_freed: list[int]


def read_pages(
    steps: NDArray[np.int64],
    pages: Sequence[int],
    *,
    limit_pages: int,
    random: bool = True,
    kernel: str = "6.18",
    read_ahead: int = 2048,
) -> PageReads:
    """Carry out a script on a simulated machine; nothing but its pages and their tree is charged.

    Without `random` the files are read ahead, up to `read_ahead` pages.
    """
    host = HostSpec(
        memory_pages=2 * sum(pages) + 16384,
        cpus=1,
        kernel=kernel,
        read_ahead_pages=read_ahead,
    )
    machine = build_machine(host)
    m = machine.arrays
    task = machine.new_task()
    bare = Exec(image=0, image_pages=0, stack_limit=64)
    at_once(run_operation(machine, task, 0, ops.OP_EXEC, bare))
    group = machine.new_group(max_pages=limit_pages)
    files = [machine.new_file(KIND_FILE, size, known=True, cold=True) for size in pages]
    used = bool((steps >> HOW_SHIFT > 0).any())
    if used:
        for number, size in enumerate(pages):
            _map_file(machine, task, files[number], number, size)
        lru_add_drain(m, 0)
    machine.process_of(task).group = m.spaces[int(m.tasks[task].space)].group = group
    for file, size in zip(files, pages, strict=True):
        if random:
            advice = FileAdvice(file=file, file_page=0, pages=size, advice=RANDOM)
            at_once(run_operation(machine, task, 0, ops.OP_FADVISE, advice))
    resident = []
    nodes_freed = []
    for number, step in enumerate(steps.tolist()):
        if step == MAP:
            resident.append([resident_pages(m, file) for file in files])
            continue
        how, which, index = step >> HOW_SHIFT, step >> FILE_SHIFT & FILE_MASK, step & PAGE_MASK
        file = files[which]
        if how > 0:
            if has_page(m, file, index):
                use = each_page(mapping_start(which, how) + index, 1, write=False)
                at_once(run_operation(machine, task, 0, ops.OP_ACCESS, use))
            continue
        if not has_page(m, file, index):
            m.cpus[0].next_ns += COLD_READ_NS
        nodes_freed += [number] * _read_page(machine, task, group, file, index)
    machine.audit()
    v = m.lruvecs[group]
    counts = {
        "pgscan_file": int(v.pgscan_direct),
        "pgsteal_file": int(v.pgsteal_direct),
        "pgactivate": int(v.pgactivate),
        "pgdeactivate": int(v.pgdeactivate),
        "workingset_refault_file": int(v.workingset_refault),
        "workingset_activate_file": int(v.workingset_activate),
    }
    kernel_pages = int(m.groups[group].slab_pages)
    machine.release()
    return PageReads(resident, counts, kernel_pages, nodes_freed)


def _read_page(machine: Machine, task: int, group: int, file: int, index: int) -> int:
    """Read a page of a file; return how often reclaim freed nodes of files' trees for it."""
    m = machine.arrays
    freed = 0
    ops.begin(m, task, ops.OP_FILE_READ, FilePages(file=file, file_page=index, pages=1))
    while (status := carry_out(m, 0, task, FOREVER)[0]) != DONE:
        if status == GROW:
            machine.make_room()
            continue
        before = int(m.groups[group].slab)
        if status != SHORT or make_room(m, 0, task) != ROOM:
            raise KernelPanicError(f"a read ended with {status}", "of files under a limit")
        freed += int(m.groups[group].slab < before)
    return freed


def _map_file(machine: Machine, task: int, file: int, number: int, pages: int) -> None:
    """Map a file as data and as text, with all page tables but nothing in them, none of it cached.

    So that nothing but pages of files and their tree is charged for later.
    """
    for how, flags in ((1, A_READ), (2, A_READ | A_EXEC)):
        start = mapping_start(number, how)
        mapping = Mapping(
            start=start,
            pages=pages,
            file=file,
            file_page=0,
            map_flags=flags | A_SHARED | A_RANDOM,
            map_kind=KIND_FILE,
            populate=0,
        )
        at_once(run_operation(machine, task, 0, ops.OP_MMAP, mapping))
        for page in range(0, pages, 1 << TABLE_SHIFT):
            first = each_page(start + page, 1, write=False)
            at_once(run_operation(machine, task, 0, ops.OP_ACCESS, first))
            gone = Range(start=start + page, pages=1)
            at_once(run_operation(machine, task, 0, ops.OP_DONTNEED, gone))
        normal = Flags(start=start, pages=pages, set_flags=0, clear_flags=A_RANDOM)
        at_once(run_operation(machine, task, 0, ops.OP_MADVISE, normal))
    forget = FileAdvice(file=file, file_page=0, pages=pages, advice=DONTNEED)
    at_once(run_operation(machine, task, 0, ops.OP_FADVISE, forget))
