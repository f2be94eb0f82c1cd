"""Histories of kernel operations, drawn by Hypothesis, with a dictionary as the oracle.

Every frame holds two words.  A write puts a new number into one of them; what a process must read
back is in its dictionary, whatever was forked, copied, reused or zeroed meanwhile.  Calls may be
left half done, so that those of several processes interleave, step by step and on any CPU.
"""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from sim.kernel import ops
from sim.kernel.files import fadvise
from sim.kernel.work import MORE, SEGV
from sim.machine.entries import is_swap_pte, swp_offset
from sim.machine.groups import drain_all_stock
from sim.machine.layout import (
    F_ANON,
    F_FILE,
    KIND_ANON,
    KIND_FILE,
    NONE,
    PFN_SHIFT,
    PTE_PRESENT,
    PTE_ZERO,
    REPLACE_LINUX,
    REPLACE_LRU,
    ROOT,
    SWAP_IN_MEMORY,
)
from support.kernel import DONE, READ_WRITE, SHORT, Kernel
from support.swapping import page_out

Words = tuple[int, int]
ZEROES: Words = (0, 0)
STACK_LIMIT_PAGES = 64
MOST_PROCESSES = 6


def with_zones(host: dict[str, Any]) -> dict[str, Any]:
    """Return a host whose first `dma_pages`, if any, are a zone of their own."""
    dma = host.pop("dma_pages")
    pages = host["memory_pages"]
    return {**host, "zones": (("DMA", dma), ("Normal", pages - dma))} if dma else host


def with_swap(host: dict[str, Any]) -> dict[str, Any]:
    """Return a host whose swap, if it has any, is in memory: no page waits for a device."""
    return {**host, "swap_kind": SWAP_IN_MEMORY} if host["swap_pages"] else host


hosts = (
    st.fixed_dictionaries(
        {
            "memory_pages": st.sampled_from([90, 200, 600]),
            "cpus": st.just(2),
            "kernel_pages": st.integers(1, 9),
            "min_free_pages": st.integers(0, 9),
            "percpu_batch_pages": st.sampled_from([0, 1, 7]),
            "percpu_high_pages": st.sampled_from([1, 20]),
            "queueing": st.booleans(),
            "fork_kind": st.sampled_from([0, 0, 1, 2, 3]),
            "eager_zero": st.sampled_from([False, False, True]),
            "overcommit": st.sampled_from([0, 1, 2]),
            "commit_limit_pages": st.integers(150, 600),
            "dma_pages": st.sampled_from([0, 0, 30, 60]),
            "swap_pages": st.sampled_from([0, 5, 60, 400]),
            "replacement": st.sampled_from([REPLACE_LINUX, REPLACE_LINUX, REPLACE_LRU]),
        }
    )
    .map(with_zones)
    .map(with_swap)
)
cpus = st.integers(0, 1)
groups = st.integers(0, 2)
pages = st.integers(1, 40)
places = st.integers(0, 999)
whose = st.integers(0, MOST_PROCESSES - 1)
some_room = precondition(lambda self: len(self.alive) < MOST_PROCESSES)
some_are_ready = precondition(lambda self: any(process.is_ready for process in self.alive))


def put(words: Words, slot: int, token: int) -> Words:
    """Return `words` with one of them replaced."""
    return (token, words[1]) if slot == 0 else (words[0], token)


@dataclass(eq=False)
class Space:
    """What an address space must look like: the content of every page that is mapped."""

    memory: dict[int, Words] = field(default_factory=dict)
    uncertain: set[int] = field(default_factory=set)
    """Pages that a call under way may have taken out already."""


@dataclass(eq=False)
class Process:
    """A process, the call it is in, and its parent if that waits in vfork."""

    row: int
    space: Space
    call: str = ""
    lender: "Process | None" = None
    child: "Process | None" = None
    asked: tuple[int, ...] = ()
    suspended: bool = False
    began_in: int = NONE
    """The machine's address space in which its call began; exec goes over to a new one."""

    @property
    def is_ready(self) -> bool:
        return not self.call and not self.suspended


class Conservation(RuleBasedStateMachine):
    """The books balance and processes are isolated, after any history."""

    audit_every = 1

    def __init__(self) -> None:
        super().__init__()
        self.rules_done = 0
        self.tokens = count(1)
        self.contents: dict[int, Words] = {}
        self.swapped: dict[int, Words] = {}
        """What lies in each slot of the swap device."""
        self.alive: list[Process] = []

    @initialize(host=hosts)
    def boot(self, host: dict[str, Any]) -> None:
        self.kernel = Kernel(**host)
        machine = self.kernel.machine
        one, two = machine.new_group(), machine.new_group()
        self.groups = (one, two, machine.new_group(two))
        self.another(0)

    @precondition(lambda self: len(self.alive) < 2)
    @rule(which=groups)
    def another(self, which: int) -> None:
        """Start a process that nobody has forked."""
        process = Process(self.kernel.machine.new_task(), Space())
        self.kernel.machine.put_into_group(process.row, self.groups[which])
        self.alive.append(process)
        self.begin(process, "exec", ops.OP_EXEC, image_pages=2, stack_limit=STACK_LIMIT_PAGES)
        if self.advance(process, 99, 0) == SHORT or self.kernel.errno(process.row):
            self.give_up(process)

    @some_are_ready
    @rule(who=whose, which=groups)
    def move(self, who: int, which: int) -> None:
        """Put a process into another control group; what it has stays charged to the old one."""
        self.kernel.machine.put_into_group(self.ready(who).row, self.groups[which])

    # -- memory -------------------------------------------------------------------------------

    @some_are_ready
    @rule(who=whose, at=places, run=st.integers(1, 9), slot=st.integers(0, 1), cpu=cpus)
    def write(self, who: int, at: int, run: int, slot: int, cpu: int) -> None:
        process = self.ready(who)
        start = self.page(process, at)
        for vpn in range(start, start + run):
            if self.write_page(process, vpn, slot, cpu) != DONE:
                break

    def write_page(self, process: Process, vpn: int, slot: int, cpu: int) -> int:
        before = self.kernel.entry(process.row, vpn)
        status = self.touch(process, vpn, 1, cpu)
        if status == DONE:
            pfn = self.kernel.pfn(process.row, vpn)
            if pfn != before >> PFN_SHIFT and not is_swap_pte(before):
                assert (
                    self.kernel.arrays.frames[pfn].group
                    == self.kernel.machine.process_of(process.row).group
                )
            token = next(self.tokens)
            self.contents[pfn] = put(self.content(before), slot, token)
            process.space.memory[vpn] = put(process.space.memory[vpn], slot, token)
        return status

    @some_are_ready
    @rule(who=whose, at=places, run=st.integers(1, 9), cpu=cpus)
    def read(self, who: int, at: int, run: int, cpu: int) -> None:
        process = self.ready(who)
        start = self.page(process, at)
        for vpn in range(start, start + run):
            if self.touch(process, vpn, 0, cpu) != DONE:
                break
            entry = self.kernel.entry(process.row, vpn)
            assert self.content(entry) == process.space.memory[vpn]

    @some_are_ready
    @precondition(lambda self: self.kernel.machine.host.swap_pages > 0)
    @rule(who=whose, at=places, run=st.integers(1, 9), cpu=cpus)
    def swap_out(self, who: int, at: int, run: int, cpu: int) -> None:
        """Let pages go out to the swap device, whoever else has them; it may be full."""
        process = self.ready(who)
        m = self.kernel.arrays
        start = self.page(process, at)
        for vpn in range(start, start + run):
            entry = self.kernel.entry(process.row, vpn)
            pfn = entry >> PFN_SHIFT
            if entry & PTE_PRESENT == 0 or entry & PTE_ZERO or not m.frames[pfn].bits & F_ANON:
                continue
            words = self.contents[pfn]
            slots = {int(n) for n in m.swap["pfn"].nonzero()[0] if m.swap[n].pfn == pfn}
            if page_out(m, cpu, pfn) and is_swap_pte(self.kernel.entry(process.row, vpn)):
                slot = swp_offset(self.kernel.entry(process.row, vpn))
                assert slots <= {slot}, "a page that has a slot keeps it"
                self.swapped[slot] = words

    @some_are_ready
    @rule(who=whose, pages=pages, populate=st.integers(0, 1), cpu=cpus)
    def mmap(self, who: int, pages: int, populate: int, cpu: int) -> None:
        process = self.ready(who)
        fields = {"pages": pages, "start": NONE, "map_flags": READ_WRITE, "populate": populate}
        self.begin(process, "mmap", ops.OP_MMAP, map_kind=KIND_ANON, **fields)
        self.advance(process, 999, cpu)

    @some_are_ready
    @precondition(lambda self: len(self.files()) < 2)
    @rule(who=whose, pages=pages, other=places, cpu=cpus)
    def map_cold_file(self, who: int, pages: int, other: int, cpu: int) -> None:
        """Map a file of zeros privately, a new one on the disk or one that somebody maps."""
        process = self.ready(who)
        files = self.files()
        if other % 2 or not files:
            file = self.kernel.machine.new_file(KIND_FILE, pages, cold=True)
        else:
            file = files[other % len(files)]
        pages = int(self.kernel.arrays.files[file].pages)
        fields = {"pages": pages, "start": NONE, "map_flags": READ_WRITE}
        self.begin(process, "mmap", ops.OP_MMAP, map_kind=KIND_FILE, file=file, **fields)
        if self.advance(process, 999, cpu) != DONE or self.kernel.errno(process.row):
            self.kernel.machine.drop_file(file)
            return
        start = self.kernel.result(process.row)
        for vpn in range(start, start + min(pages, 3)):
            if self.touch(process, vpn, 0, cpu) != DONE:
                break

    @some_are_ready
    @precondition(lambda self: bool(self.files()))
    @rule(who=whose, which=places, cpu=cpus)
    def drop(self, who: int, which: int, cpu: int) -> None:
        """Take what nobody maps of a file out of the page cache."""
        file = self.files()[which % len(self.files())]
        pages = int(self.kernel.arrays.files[file].pages)
        what = {"file": file, "file_page": 0, "pages": pages, "advice": fadvise.DONTNEED}
        assert self.kernel.call(self.ready(who).row, ops.OP_FADVISE, cpu=cpu, **what) == DONE

    def files(self) -> list[int]:
        if not hasattr(self, "kernel"):
            return []
        files = self.kernel.arrays.files
        return [row for row in range(len(files)) if files[row].kind != 0 and files[row].users > 0]

    @some_are_ready
    @rule(who=whose, delta=st.integers(-30, 30), steps=st.integers(0, 40), cpu=cpus)
    def brk(self, who: int, delta: int, steps: int, cpu: int) -> None:
        process = self.ready(who)
        brk = int(self.kernel.space(process.row).brk)
        self.begin(process, "brk", ops.OP_BRK, pages=delta)
        process.space.uncertain = set(range(brk + delta, brk))
        process.asked = (brk, delta)
        self.advance(process, steps, cpu)

    @some_are_ready
    @rule(who=whose, at=places, pages=st.integers(1, 80), steps=st.integers(0, 3), cpu=cpus)
    def munmap(self, who: int, at: int, pages: int, steps: int, cpu: int) -> None:
        process = self.ready(who)
        self.take_out(process, "munmap", ops.OP_MUNMAP, at, pages)
        self.advance(process, steps, cpu)

    @some_are_ready
    @rule(who=whose, at=places, pages=st.integers(1, 80), steps=st.integers(0, 3), cpu=cpus)
    def dontneed(self, who: int, at: int, pages: int, steps: int, cpu: int) -> None:
        process = self.ready(who)
        self.take_out(process, "dontneed", ops.OP_DONTNEED, at, pages)
        self.advance(process, steps, cpu)

    def take_out(self, process: Process, call: str, op: ops.Op, at: int, pages: int) -> None:
        start = self.page(process, at)
        self.begin(process, call, op, start=start, pages=pages)
        process.space.uncertain = set(range(start, start + pages))

    # -- processes ------------------------------------------------------------------------------

    @some_are_ready
    @some_room
    @rule(who=whose, steps=st.integers(0, 20), cpu=cpus)
    def fork(self, who: int, steps: int, cpu: int) -> None:
        self.build(self.ready(who), "fork", ops.OP_FORK, steps, cpu)

    @some_are_ready
    @some_room
    @rule(who=whose, at=places, run=st.integers(1, 9))
    def fork_and_write(self, who: int, at: int, run: int) -> None:
        """Fork, and let both write the same pages."""
        parent = self.ready(who)
        self.write(who, at, run, 0, 0)
        if parent.is_ready and self.build(parent, "fork", ops.OP_FORK, 999, 0) == DONE:
            self.write(who, at, run, 0, 0)
            self.write(sum(p.is_ready for p in self.alive) - 1, at, run, 1, 1)

    @some_are_ready
    @some_room
    @rule(who=whose, cpu=cpus)
    def vfork(self, who: int, cpu: int) -> None:
        self.build(self.ready(who), "vfork", ops.OP_VFORK, 9, cpu)

    def build(self, process: Process, call: str, op: ops.Op, steps: int, cpu: int) -> int:
        process.child = Process(self.kernel.machine.new_task(), Space(), call="being built")
        self.begin(process, call, op, child=process.child.row)
        return self.advance(process, steps, cpu)

    @precondition(lambda self: any(p.is_ready and p.lender for p in self.alive))
    @rule(who=whose, steps=st.integers(0, 3), cpu=cpus)
    def exec_or_exit(self, who: int, steps: int, cpu: int) -> None:
        """End a loan, as nearly all vfork children soon do."""
        borrowers = [p for p in self.alive if p.is_ready and p.lender]
        borrower = borrowers[who % len(borrowers)]
        if who % 3:
            self.leave(borrower)
        else:
            self.replace(borrower)
        self.advance(borrower, steps, cpu)

    @some_are_ready
    @precondition(lambda self: len(self.alive) > 2)
    @rule(who=whose, steps=st.integers(0, 3), cpu=cpus)
    def exec(self, who: int, steps: int, cpu: int) -> None:
        process = self.ready(who)
        self.replace(process)
        self.advance(process, steps, cpu)

    def replace(self, process: Process) -> None:
        self.begin(process, "exec", ops.OP_EXEC, image_pages=2, stack_limit=STACK_LIMIT_PAGES)
        process.space.uncertain = set() if process.lender else set(process.space.memory)

    @some_are_ready
    @precondition(lambda self: len(self.alive) > 2)
    @rule(who=whose, steps=st.integers(0, 3), cpu=cpus)
    def exit(self, who: int, steps: int, cpu: int) -> None:
        process = self.ready(who)
        self.leave(process)
        self.advance(process, steps, cpu)

    @precondition(lambda self: any(process.call for process in self.alive))
    @rule(who=whose, steps=st.integers(1, 20), cpu=cpus)
    def go_on(self, who: int, steps: int, cpu: int) -> None:
        """Do some more steps of a call that was left, or refused."""
        busy = [process for process in self.alive if process.call]
        self.advance(busy[who % len(busy)], steps, cpu)

    @precondition(lambda self: any(process.call for process in self.alive))
    @rule(who=whose)
    def kill(self, who: int) -> None:
        """End a process within a call; what a fork has built of its child goes too."""
        busy = [process for process in self.alive if process.call]
        self.give_up(busy[who % len(busy)])

    # -- how a call comes about -------------------------------------------------------------------

    def ready(self, who: int) -> Process:
        """Return one of the processes that could make a call."""
        found = [process for process in self.alive if process.is_ready]
        return found[who % len(found)]

    def begin(self, process: Process, call: str, op: ops.Op, **fields: int) -> None:
        process.call = call
        process.began_in = int(self.kernel.task(process.row).space)
        self.kernel.begin(process.row, op, **fields)

    def advance(self, process: Process, steps: int, cpu: int) -> int:
        """Do up to `steps` steps of the call; one that is refused has changed nothing."""
        status = MORE
        for _ in range(steps):
            before = self.picture()
            promised = int(self.kernel.task(process.row).reserved)
            status = self.kernel.one_step(process.row, cpu)
            if status == SHORT:
                assert self.picture() == before
                assert promised == 0, "a fork that had all its frames set aside was refused"
            if status != MORE:
                break
        if status == DONE:
            self.finish(process)
        elif status == SEGV:  # exec, when its old memory had gone already
            self.let_go(process)
            process.space = Space()
            self.give_up(process)
        return status

    def picture(self) -> tuple[Any, ...]:
        """Return all there is to see of tables, areas, frames in use and promises.

        Not the mmap lock: who is short of memory keeps it while it waits, as in Linux.  Nor what a
        reclaim has left to flush, which whoever comes next does, refused or not.
        """
        m = self.kernel.arrays
        spaces = m.spaces.copy()
        of_locks = ("locked_by", "areas_of", "readers", "lock_start", "lock_end", "generation")
        of_flushes = ("tlb_gen", "flush_due")
        for left_out in (*of_locks, "area_users", "area_start", "area_end", *of_flushes):
            spaces[left_out] = 0
        names = ("refs", "maps", "mapping", "index")
        used = m.frames["refs"] > 0
        return (
            m.tables[m.table_info["refs"] > 0].tobytes(),
            m.areas.tobytes(),
            spaces.tobytes(),
            tuple(m.frames[name][used].tobytes() for name in names),
            [int(m.pool[0][n]) for n in ("cow_copies", "committed")],
            m.charged.tobytes(),
            self.kernel.free(),
        )

    def finish(self, process: Process) -> None:
        """Take note of what a call that is done was to do."""
        call, process.call = process.call, ""
        refused = self.kernel.errno(process.row) != 0
        space = process.space
        gone, space.uncertain = space.uncertain, set()
        if call == "fork":
            self.finish_fork(process, refused)
        elif call == "vfork":
            self.finish_vfork(process)
        elif call == "exec" and not refused:
            process.space = Space(dict.fromkeys(self.mapped(process.row), ZEROES))
            self.note_new_frames(process, ZEROES)
            self.let_go(process)
        elif call == "exit":
            self.alive.remove(process)
            self.kernel.machine.free_task(process.row)
            self.let_go(process)
        elif call == "dontneed":
            space.memory |= dict.fromkeys(gone & space.memory.keys(), ZEROES)
        elif call == "munmap":
            space.memory = {v: words for v, words in space.memory.items() if v not in gone}
        elif call == "brk":
            self.finish_brk(process, refused)
        elif call == "mmap" and not refused:
            start = self.kernel.result(process.row)
            pages = range(start, start + int(self.kernel.operation(process.row).pages))
            assert pages[0] not in space.memory
            space.memory |= dict.fromkeys(pages, ZEROES)
            self.note_new_frames(process, ZEROES, pages)

    def finish_brk(self, process: Process, refused: bool) -> None:
        brk, delta = process.asked
        memory = process.space.memory
        assert int(self.kernel.space(process.row).brk) == (brk if refused else brk + delta)
        if refused:
            return
        for vpn in range(brk + delta, brk):
            memory.pop(vpn, None)
        memory |= dict.fromkeys(range(brk, brk + delta), ZEROES)
        self.note_new_frames(process, ZEROES, range(brk, brk + delta))

    def finish_fork(self, process: Process, refused: bool) -> None:
        child = process.child
        assert child is not None
        process.child = None
        if refused:
            self.kernel.machine.free_task(child.row)
            return
        child.call = ""
        child.space = Space(dict(process.space.memory))
        self.alive.append(child)
        mine = self.kernel.resident(process.row)
        for vpn, entry in self.kernel.resident(child.row).items():
            assert vpn in mine
            if entry >> PFN_SHIFT != mine[vpn] >> PFN_SHIFT:  # copied eagerly
                self.contents[entry >> PFN_SHIFT] = self.content(mine[vpn])
        if self.kernel.space(child.row).async_parent != NONE:
            self.begin(child, "async copy", ops.OP_ASYNC_COPY)

    def finish_vfork(self, process: Process) -> None:
        child = process.child
        assert child is not None
        process.child = None
        process.suspended = True
        child.call = ""
        child.space = process.space
        child.lender = process
        self.alive.append(child)

    def let_go(self, process: Process) -> None:
        """Wake the parent that waits in vfork."""
        if process.lender is not None:
            process.lender.suspended = False
            process.lender = None

    def leave(self, process: Process) -> None:
        borrowed = process.lender is not None
        process.space.uncertain = set() if borrowed else set(process.space.memory)
        self.begin(process, "exit", ops.OP_EXIT)

    def give_up(self, process: Process) -> None:
        """End a process from outside, as the engine does it: with all that share its memory."""
        child, process.child = process.child, None
        lender = process.lender
        self.kernel.task(process.row).killed = 1
        if process.call != "exit":
            self.leave(process)
        assert self.advance(process, 999, 0) == DONE
        if child is not None:
            child.space = Space()
            self.alive.append(child)
            self.leave(child)
            assert self.advance(child, 999, 0) == DONE
        if lender is not None:
            self.give_up(lender)

    def touch(self, process: Process, vpn: int, write: int, cpu: int) -> int:
        """Make one access; return its status, having checked it against what is mapped."""
        mapped = set(self.mapped(process.row))
        before = self.kernel.entry(process.row, vpn)
        words = self.content(before)
        may_go_out = self.resident_pages(process, vpn)
        status = self.kernel.access(process.row, vpn, write, cpu=cpu)
        for (row, page), held in may_go_out.items():
            entry = self.kernel.entry(row, page)
            if is_swap_pte(entry):
                self.swapped[swp_offset(entry)] = held
        came_back = is_swap_pte(before) and self.kernel.entry(process.row, vpn) & PTE_PRESENT
        if came_back:  # maybe no more than that: there may be no frame to copy it to
            self.contents[self.kernel.pfn(process.row, vpn)] = words
        grown = set(self.mapped(process.row)) - mapped
        if grown:
            assert vpn == min(grown)
            # munmap may have left several pieces of the stack: each grows, up to its own limit
            end = next(end for start, end, _ in self.kernel.areas(process.row) if start == vpn)
            assert vpn >= end - STACK_LIMIT_PAGES
            process.space.memory |= dict.fromkeys(grown, ZEROES)
        if status == SEGV:
            assert vpn not in process.space.memory
        else:
            assert vpn in process.space.memory
        self.kernel.operation(process.row).op = ops.OP_NONE
        return status

    def resident_pages(self, process: Process, vpn: int) -> dict[tuple[int, int], Words]:
        """Return what pages hold that an access to `vpn` may put out: by task and page.

        Reading ahead makes room for each page by itself, where memory is short: within the fault.
        """
        if self.kernel.machine.host.swap_pages == 0 or not any(
            area.start <= vpn < area.end and area.kind == KIND_FILE
            for area in self.kernel.area_rows(process.row)
        ):
            return {}
        found: dict[tuple[int, int], Words] = {}
        for each in (*self.alive, *(p.child for p in self.alive if p.child and p.call == "fork")):
            space = int(self.kernel.task(each.row).space)
            if space == NONE:
                continue
            execed = each.call == "exec" and space != each.began_in
            for page, entry in self.kernel.resident(each.row).items():
                made = each.call in ("brk", "mmap") and page not in each.space.memory
                new = execed or made  # what a call under way has made so far
                if not entry & PTE_ZERO and (new or entry >> PFN_SHIFT in self.contents):
                    words = ZEROES if new else self.contents[entry >> PFN_SHIFT]
                    found[each.row, page] = words
        return found

    # -- what there is to see ---------------------------------------------------------------------

    def page(self, process: Process, at: int) -> int:
        """Return a page that is resident, or one that is mapped, or the one in front of that."""
        mapped = sorted(process.space.memory)
        resident = sorted(self.kernel.resident(process.row))
        choice = resident if at < 500 and resident else mapped
        if not choice:
            return at
        near = choice[at * 7 % len(choice)]
        return near - 1 if at % 29 == 0 else near

    def mapped(self, row: int) -> list[int]:
        areas = self.kernel.areas(row)
        return [vpn for start, end, _ in areas for vpn in range(start, end)]

    def content(self, entry: int) -> Words:
        if is_swap_pte(entry):
            return self.swapped[swp_offset(entry)]
        absent = entry & PTE_PRESENT == 0 or entry & PTE_ZERO != 0
        if not absent and self.kernel.arrays.frames[entry >> PFN_SHIFT].bits & F_FILE:
            return ZEROES  # private mappings never change it
        return ZEROES if absent else self.contents[entry >> PFN_SHIFT]

    def note_new_frames(self, process: Process, words: Words, pages: Any = None) -> None:
        """Say what the frames hold that a call has given to a process beside its accesses."""
        for vpn, entry in self.kernel.resident(process.row).items():
            if not entry & PTE_ZERO and (pages is None or vpn in pages):
                self.contents[entry >> PFN_SHIFT] = words

    @invariant()
    def books_balance(self) -> None:
        self.rules_done += 1
        if hasattr(self, "kernel") and self.rules_done % self.audit_every == 0:
            self.kernel.machine.audit()

    @invariant()
    def charges_add_up(self) -> None:
        """Each process is in one of two groups, or in one within the second."""
        if hasattr(self, "kernel"):
            one, two, nested = (self.kernel.arrays.charged[group] for group in self.groups)
            assert (one + two == self.kernel.arrays.charged[ROOT]).all()
            assert (nested <= two).all()

    @invariant()
    def processes_are_isolated(self) -> None:
        changing = {id(p.space) for p in self.alive if p.call not in ("", "fork", "dontneed")}
        for process in self.alive:
            memory = process.space.memory
            if id(process.space) in changing:
                continue
            assert set(self.mapped(process.row)) == set(memory)
            for vpn, words in memory.items():
                if vpn not in process.space.uncertain:
                    assert self.content(self.kernel.entry(process.row, vpn)) == words

    def teardown(self) -> None:
        if not hasattr(self, "kernel"):
            return
        while ready := [p for p in self.alive if not p.suspended]:
            self.give_up(ready[-1])
        assert not self.alive
        self.kernel.machine.audit()
        assert self.kernel.in_use() == 0, "leaked frames"
        drain_all_stock(self.kernel.arrays, ROOT)
        at_hand = int(self.kernel.arrays.pool[0].n_groups)  # a page of freed objects each
        held = self.kernel.arrays.groups[["usage", "slab", "slab_pages"]].tolist()
        assert max(usage for usage, _, _ in held) <= at_hand, held
        assert int(self.kernel.arrays.pool[0].reserved) == 0
        assert int(self.kernel.arrays.pool[0].committed) == 0
