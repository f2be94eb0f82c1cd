"""Scripts in a control group with a limit: what it is charged for, and who is killed.

The first process is put into the group once it is there; its children are born in it.  All run on
one CPU, as those of the driver (`sim.host.kernel`) do: what a group is charged for includes what a
CPU has in stock for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sim.base.errors import KernelPanicError, ScenarioError
from sim.kernel import ops
from sim.kernel.reclaim.memcg import NO_ROOM, ROOM, count_tries, make_room
from sim.machine.groups import count_event, move_process, secure_charge
from sim.machine.layout import (
    A_ACCOUNT,
    A_NORESERVE,
    A_READ,
    A_SHARED,
    A_WRITE,
    EV_FAILCNT,
    EV_OOM,
    EV_OOM_KILL,
    EVENTS,
    KIND_ANON,
    KIND_FILE,
    KIND_SHMEM,
    KIND_STACK,
    KIND_TABLE,
    NONE,
    ROOT,
)
from sim.machine.layout.fields import File, FilePages
from sim.machine.layout.fields import Mapping as Mapped
from sim.machine.releases import NEWEST, release_name
from sim.machine.rules.limits import R_VICTIM_ITSELF
from sim.machine.slab import PROCESS_SLAB_BYTES, TASK_SLAB_BYTES, count_slab, objects_bytes
from sim.observe.faults import FAULT_KINDS
from sim.policy.oom import Candidate, badness_pages, choose_victim
from sim.script.driver_memory import (
    EXEC_BYTES,
    FILE_BYTES,
    OWN_AREAS,
    SHARED_BYTES,
    STACKS,
    OwnArea,
)
from sim.script.grammar import FIRST_PROCESS, HUGETLB_VERBS, Verb
from sim.script.operation import at_once, each_page
from sim.script.predict import roomy_host
from sim.script.record import GONE, KILLED, GroupRun
from sim.script.run import Scripted, births

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.machine.spec import HostSpec
    from sim.script.grammar import Operation
    from sim.script.operation import Ended, Work
    from sim.script.processes import ScriptedProcess


SPARE_PAGES: Final = 128
"""Of a process, beside what the script has it map."""
UNFOLLOWED: Final = HUGETLB_VERBS
"""What a script in a group may not do: the controller of memory is not told of it."""

FREEING: Final = frozenset(
    {
        Verb.EXIT,
        Verb.UNMAP,
        Verb.DONTNEED,
        Verb.FREE,
        Verb.COLLAPSE,
        Verb.RESIZE,
        Verb.MOVE,
        Verb.BRK,
        Verb.DROP,
    }
)
"""What gives memory back; see `OpRecord.usage_sure`."""


def predict_in_group(
    script: Sequence[Operation],
    limit_pages: int,
    scores: Mapping[str, int] | None = None,
    *,
    kernel: str = release_name(NEWEST),
    cgroup: str = "v1",
    read_ahead_pages: int | None = None,
    audit: bool = False,
) -> GroupRun:
    """Return what a script does whose first process is put into a group of `limit_pages`.

    `scores` is the oom_score_adj of processes by name; one that is not named has its parent's.
    `cgroup` is the version of groups.  Raises `ScenarioError` where a verb's charges are not
    predicted.
    """
    for operation in script:
        if operation.verb in UNFOLLOWED:
            raise ScenarioError(
                f"`{operation.verb}` cannot be followed in a control group",
                line=operation.line or None,
            )
    host = roomy_host(script, kernel=kernel)
    more = SPARE_PAGES * births(script)
    host = replace(
        host,
        cgroup=cgroup,
        memory_pages=host.memory_pages + more,
        read_ahead_pages=read_ahead_pages or host.read_ahead_pages,
        dirty_ratio=100,  # where memory is plenty, writers do not wait
        dirty_background_ratio=100,
    )
    grouped = _Grouped(host, limit_pages, scores or {})
    for operation in script:
        grouped.carry_out(operation)
        if audit:
            grouped.machine.audit()
    return grouped.told()


class _Grouped(Scripted):
    """A machine whose processes are in a group, all on one CPU."""

    def __init__(self, host: HostSpec, limit_pages: int, scores: Mapping[str, int]) -> None:
        self._stack_of: dict[int, int] = {}
        self._lenders: dict[str, str] = {}
        self._group = ROOT
        self._talked_through = NONE
        self._earlier_bytes = 0
        self._line: int | None = None
        super().__init__(host)
        self._scores = scores
        self._limit_pages = limit_pages
        self._run = GroupRun()
        self._killed: list[str] = []
        self._freed = False
        self._births: list[str] = []
        first = self.processes[FIRST_PROCESS]
        for area in self._own(first):
            at_once(self._write(first, area, area.before_each))
        self._group = self.machine.new_group(max_pages=limit_pages)
        self._join(first)
        self._is_born(FIRST_PROCESS)

    def carry_out(self, operation: Operation) -> None:
        """Carry out one operation, and take note of what it did and what is charged."""
        self._killed = []
        self._line = operation.line or None
        name = operation.process
        borrowed = name in self._lenders
        ended: Ended = GONE, 0, 0
        if name in self.processes:
            ended = self._carry_out_alive(operation)
        record = self.record(operation, ended)
        frees = operation.verb in FREEING or (operation.verb is Verb.EXEC and not borrowed)
        self._freed = self._freed or frees or bool(self._killed)
        m = self.machine.arrays
        usage = int(m.groups[self._group].usage)
        self._run.records.append(
            replace(record, usage=usage, usage_sure=not self._freed, killed=tuple(self._killed))
        )
        kinds = m.charged[self._group]
        kernel = int(kinds[KIND_TABLE] + kinds[KIND_STACK] + m.groups[self._group].slab_pages)
        self._run.kernel_pages.append(kernel)

    def told(self) -> GroupRun:
        """Return what the script did."""
        m = self.machine.arrays
        self._run.events = dict(zip(EVENTS, m.events[self._group].tolist(), strict=True))
        self._run.failcnt = int(m.events[self._group, EV_FAILCNT])
        self._run.peak_pages = int(m.groups[self._group].peak)
        return self._run

    def _new_process(self, parent: int | None = None) -> ScriptedProcess:
        process = super()._new_process(parent)
        process.cpu = 0
        self._stack_of[process.row] = 0
        return process

    def _do(self, process: ScriptedProcess, op: ops.Op[ops.F], fields: ops.F) -> Work:
        """Have a process carry out a kernel operation; one more page is held for a new area.

        Linux 6.18 takes it while the call lasts (mmap, mprotect, mlock, brk), so an empty stock is
        filled then; seen at every size, and not where an area grows.
        """
        m = self.machine.arrays
        space = self.space(process)
        had = int(m.spaces[space].n_areas)
        ended = yield from super()._do(process, op, fields)
        stays = self._group != ROOT and self.space(process) == space
        if stays and m.spaces[space].n_areas > had and not fields.get("populate"):
            secure_charge(m, process.cpu, process.row, 1)
        return ended

    # -- the driver's own memory --------------------------------------------------------------

    def _make(self, process: ScriptedProcess, area: OwnArea, kept_apart: int) -> Work:
        """Make an area of the driver's, and write what a new image writes.

        By that flag it is not joined with the one beside it.
        """
        if area.pages:
            file = self._talk_file(area.pages) if area.shared else NONE
            fields = Mapped(
                start=area.start,
                pages=area.pages,
                map_flags=A_READ | A_WRITE | (A_SHARED if area.shared else kept_apart),
                map_kind=KIND_SHMEM if area.shared else KIND_ANON,
                file=file,
                file_page=0,
                populate=0,
            )
            yield from self._do(process, ops.OP_MMAP, fields)
        return (yield from self._write(process, area, area.written))

    def _talk_file(self, pages: int) -> int:
        """Return the memory through which all of them talk to the controller."""
        if self._talked_through == NONE:
            self._talked_through = self.machine.new_file(KIND_SHMEM, pages, known=True)
        return self._talked_through

    def _own(self, process: ScriptedProcess) -> tuple[OwnArea, ...]:
        """Return the driver's areas in a process, and the stack that it runs on."""
        return *OWN_AREAS, STACKS[self._stack_of[process.row]]

    def _write(self, process: ScriptedProcess, area: OwnArea, pages: range) -> Work:
        if not pages:
            return "", 0, 0
        each = each_page(area.start + pages.start, len(pages), write=True)
        return (yield from self._do(process, ops.OP_ACCESS, each))

    def _join(self, first: ScriptedProcess) -> None:
        """Put the first process into the group; what it has until then is not charged to that."""
        m = self.machine.arrays
        self._earlier_bytes = objects_bytes(m, self.space(first))
        move_process(m, first.row, self._group, self._earlier_bytes)

    def end(self, name: str) -> int:
        """Let a process exit; what the first one had before it joined is off no group's account."""
        self._leave(name)
        return super().end(name)

    def _exit(self, name: str) -> Work:
        self._leave(name)
        return super()._exit(name)

    def _fork(self, operation: Operation, process: ScriptedProcess) -> Work:
        ended = yield from super()._fork(operation, process)
        self._stack_of[self.processes[operation.child].row] = self._stack_of[process.row]
        return ended

    def _vfork(self, operation: Operation, process: ScriptedProcess) -> Work:
        ended = yield from super()._vfork(operation, process)
        child = self.processes[operation.child].row
        self._stack_of[child] = 2 if self._stack_of[process.row] == 1 else 1
        return ended

    def _exec(self, process: ScriptedProcess) -> Work:
        if self._earlier_bytes and process is self.processes.get(FIRST_PROCESS):
            self._leave_space(process)
        ended = yield from super()._exec(process)
        self._stack_of[process.row] = 0
        count_slab(self.machine.arrays, self._group, EXEC_BYTES)
        for number, area in enumerate(self._own(process)):
            yield from self._make(process, area, A_NORESERVE if number % 2 else A_ACCOUNT)
        return ended

    def _make_file(self, process: ScriptedProcess, file: int) -> Work:
        """Make a file: written, brought to the disk and read, it stays until it is closed."""
        m = self.machine.arrays
        if m.files[file].kind != KIND_FILE:
            count_slab(m, self._group, SHARED_BYTES)
            return "", 0, 0
        m.files[file].known = 1
        m.files[file].fills = 0
        count_slab(m, self._group, FILE_BYTES)
        whole = FilePages(file=file, file_page=0, pages=int(m.files[file].pages))
        yield from self._do(process, ops.OP_FILE_WRITE, whole)
        yield from self._do(process, ops.OP_FSYNC, File(file=file))
        return (yield from self._do(process, ops.OP_FILE_READ, whole))

    def _leave_space(self, first: ScriptedProcess) -> None:
        """Take what the first process has in the address space that it leaves off the account."""
        m = self.machine.arrays
        made = objects_bytes(m, self.space(first)) - self._earlier_bytes
        count_slab(m, self._group, -made)
        m.spaces[self.space(first)].group = ROOT
        self._earlier_bytes = TASK_SLAB_BYTES + PROCESS_SLAB_BYTES

    def _leave(self, name: str) -> None:
        """Take the kernel objects that the first process made in the group off its account now."""
        if name == FIRST_PROCESS:
            row = self.processes[name].row
            move_process(self.machine.arrays, row, ROOT, self._earlier_bytes)

    # -- operations ---------------------------------------------------------------------------

    def _carry_out_alive(self, operation: Operation) -> Ended:
        name = operation.process
        process = self.processes[name]
        for area in self._own(process):
            if self._with_room(name, self._write(process, area, area.before_each)) is None:
                return KILLED, 0, 0
        before = self._faults(process)
        ended = self._with_room(name, self.begin(operation))
        if ended is None:
            return KILLED, self._faults(process) - before, 0
        if operation.child:
            self._is_born(operation.child)
        if operation.verb is Verb.FORK:
            self._return_to(name, operation.child)
        elif operation.verb is Verb.VFORK:
            self._lenders[operation.child] = name
            self._return_to(operation.child)
        elif name in self._lenders and (operation.verb is Verb.EXEC or name not in self.processes):
            self._return_to(self._lenders.pop(name))
        return (KILLED, ended[1], 0) if name in self._killed else ended

    def _return_to(self, *names: str) -> None:
        """Have processes write what they write as they return from fork or vfork."""
        for name in names:
            if name in self.processes:
                process = self.processes[name]
                for area in self._own(process):
                    if name in self.processes:
                        self._with_room(name, self._write(process, area, area.at_birth))

    def _faults(self, process: ScriptedProcess) -> int:
        counts = self.machine.arrays.counts[process.row]
        return sum(int(counts[line]) for lines in FAULT_KINDS.values() for line in lines)

    def _is_born(self, name: str) -> None:
        self._births.append(name)
        if name in self._scores and name in self.processes:
            process = self.machine.process_of(self.processes[name].row)
            process.oom_score_adj = self._scores[name]

    def _with_room(self, name: str, work: Work) -> Ended | None:
        """Carry out work of a process, making room where it needs some; None if it is killed."""
        process = self.processes[name]
        m = self.machine.arrays
        while True:
            try:
                next(work)
            except StopIteration as done:
                ended: Ended = done.value
                return ended
            if m.operations[process.row].over == ROOT:
                raise KernelPanicError("a large machine ran out of memory", "in a control group")
            if m.groups[self._group].dirty > 0:
                raise self._not_followed("when dirty pages of files are written")
            status = make_room(m, process.cpu, process.row)
            if status == ROOM:
                continue
            assert status == NO_ROOM, "nothing here is written to a device"
            self._kill(asked=name)
            if name in self._killed:
                work.close()
                self.end(name)
                return None

    def _not_followed(self, why: str) -> ScenarioError:
        return ScenarioError(f"the group is full: {why} is not predicted", line=self._line)

    # -- kills --------------------------------------------------------------------------------

    def _kill(self, asked: str) -> None:
        """Kill whom the policy says; whoever asked is ended by its caller."""
        if self._lenders:
            raise self._not_followed("who dies while memory is borrowed (vfork)")
        m = self.machine.arrays
        count_event(m, self._group, EV_OOM, 1)
        names = list(self.processes)
        candidates = [self._candidate(name) for name in names]
        child_first = not m.config[0].rules & R_VICTIM_ITSELF
        born = choose_victim(candidates, self._limit_pages, child_first=child_first)
        if born is None:
            raise KernelPanicError("nobody may be killed", "in a control group")
        victim = next(name for name in names if self.processes[name].born == born)
        badness = (badness_pages(candidate, self._limit_pages) for candidate in candidates)
        found = zip(names, badness, strict=True)
        self._run.scores.append({name: score for name, score in found if score is not None})
        count_event(m, self._group, EV_OOM_KILL, 1)
        self._killed.append(victim)
        if victim == asked:
            count_tries(m, self._group)
        else:
            self.end(victim)

    def _candidate(self, name: str) -> Candidate:
        process = self.processes[name]
        s = self.machine.arrays.spaces[self.space(process)]
        held = int(s.rss_anon + s.rss_file + s.rss_shmem), int(s.swapents), int(s.tables)
        score = int(self.machine.process_of(process.row).oom_score_adj)
        return Candidate(process.born, *held, score, parent=process.parent)
