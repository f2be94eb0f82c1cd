"""Scripts in a control group with a limit: what it is charged for, and who is killed.

The first process is put into the group once it is there; its children are born in it.  All run on
one CPU, as those of the driver (`sim.host.kernel`) do: what a group is charged for includes what a
CPU has in stock for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sim.base.errors import KernelPanicError, ScenarioError
from sim.kernel import ops
from sim.kernel.reclaim.memcg import NO_ROOM, ROOM, count_tries, make_room
from sim.machine.areas import STACK_TOP_VPN
from sim.machine.groups import count_event, move_process, objects_bytes
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
    KIND_SHMEM,
    KIND_STACK,
    KIND_TABLE,
    NONE,
    ROOT,
)
from sim.machine.layout.fields import Mapping as Mapped
from sim.machine.releases import NEWEST, release_name
from sim.observe.faults import FAULT_KINDS
from sim.policy.oom import Candidate, badness_pages, choose_victim
from sim.script.grammar import FIRST_PROCESS, HUGETLB_VERBS, Verb
from sim.script.operation import at_once, each_page
from sim.script.predict import roomy_host
from sim.script.record import GONE, KILLED, OpRecord
from sim.script.run import Scripted, births
from sim.script.verbs import FILE_IO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.machine.spec import HostSpec
    from sim.script.grammar import Operation
    from sim.script.operation import Ended, Work
    from sim.script.processes import ScriptedProcess


@dataclass(frozen=True, slots=True)
class OwnArea:
    """An area of the driver's own: from page `start`, `pages` long; the stack is there already.

    The process has written the first `written` pages.  The first `at_birth` of them are written
    again by a child and its parent as they return from fork, the next `before_each` by a process
    before each operation.  One that is `shared` is what the driver and its controller talk through.
    """

    start: int
    pages: int
    written: int = 0
    at_birth: int = 0
    before_each: int = 0
    shared: bool = False


OWN_AREAS: Final = (
    OwnArea(0x400, 1),
    OwnArea(0x401, 153),
    OwnArea(0x49A, 42),
    OwnArea(0x4C4, 4, written=2),
    OwnArea(0x4C8, 3, written=3, at_birth=1),
    OwnArea(0x4CB, 63, written=23, at_birth=2, before_each=17),
    OwnArea(0x50A, 34, written=2, at_birth=1),
    OwnArea(0x7_FFFF_7EBB, 256),
    OwnArea(0x7_FFFF_7FBB, 60, written=1, at_birth=1, shared=True),
    OwnArea(0x7_FFFF_7FF7, 4),
    OwnArea(0x7_FFFF_7FFB, 2),
    OwnArea(0x7_FFFF_7FFD, 2),
    OwnArea(STACK_TOP_VPN - 6, 0, written=6, at_birth=1, before_each=4),
)
"""What ``/proc/PID/smaps`` of the static driver shows (Linux 6.18, glibc 2.36).

What it only reads is mapped by nobody here: that is not the group's.
"""
SPARE_PAGES: Final = 128
"""Of a process, beside what the script has it map."""
UNFOLLOWED: Final = frozenset(
    {*FILE_IO, *HUGETLB_VERBS, Verb.MAPFILE, Verb.MAPSHFILE, Verb.EXEC, Verb.VFORK}
)
"""What a script in a group may not do: what it is charged for is not predicted."""

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
    }
)
"""What gives memory back; see `OpRecord.usage_sure`."""


@dataclass(slots=True)
class GroupRun:
    """What a script did in a control group: as `sim.host.kernel.InGroup`, predicted.

    `scores` are badness in pages of those who could be killed, by name, for each kill; `events`
    those of `memory.events`, by name.
    """

    records: list[OpRecord] = field(default_factory=list)
    kernel_pages: list[int] = field(default_factory=list)
    scores: list[dict[str, int]] = field(default_factory=list)
    events: dict[str, int] = field(default_factory=dict)
    failcnt: int = 0
    peak_pages: int = 0


def predict_in_group(
    script: Sequence[Operation],
    limit_pages: int,
    scores: Mapping[str, int] | None = None,
    *,
    kernel: str = release_name(NEWEST),
    cgroup: str = "v1",
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
    host = replace(host, cgroup=cgroup, memory_pages=host.memory_pages + more)
    grouped = _Grouped(host, limit_pages, scores or {})
    for operation in script:
        grouped.carry_out(operation)
        if audit:
            grouped.machine.audit()
    return grouped.told()


class _Grouped(Scripted):
    """A machine whose processes are in a group, all on one CPU."""

    def __init__(self, host: HostSpec, limit_pages: int, scores: Mapping[str, int]) -> None:
        super().__init__(host)
        self._scores = scores
        self._limit_pages = limit_pages
        self._run = GroupRun()
        self._killed: list[str] = []
        self._freed = False
        self._births: list[str] = []
        first = self.processes[FIRST_PROCESS]
        for number, area in enumerate(OWN_AREAS):
            self._make(first, area, A_NORESERVE if number % 2 else A_ACCOUNT)
        self._group = self.machine.new_group(max_pages=limit_pages)
        self._join(first)
        self._is_born(FIRST_PROCESS)

    def carry_out(self, operation: Operation) -> None:
        """Carry out one operation, and take note of what it did and what is charged."""
        self._killed = []
        name = operation.process
        ended: Ended = GONE, 0, 0
        if name in self.processes:
            ended = self._carry_out_alive(operation)
        record = self.record(operation, ended)
        self._freed = self._freed or operation.verb in FREEING or bool(self._killed)
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

    def _new_process(self) -> ScriptedProcess:
        process = super()._new_process()
        process.cpu = 0
        return process

    # -- the driver's own memory --------------------------------------------------------------

    def _make(self, process: ScriptedProcess, area: OwnArea, kept_apart: int) -> None:
        """Make an area of the driver's; by that flag it is not joined with the one beside it."""
        if area.pages:
            file = self.machine.new_file(KIND_SHMEM, area.pages) if area.shared else NONE
            fields = Mapped(
                start=area.start,
                pages=area.pages,
                map_flags=A_READ | A_WRITE | (A_SHARED if area.shared else kept_apart),
                map_kind=KIND_SHMEM if area.shared else KIND_ANON,
                file=file,
                file_page=0,
                populate=0,
            )
            at_once(self._do(process, ops.OP_MMAP, fields))
        if area.written:
            at_once(self._write(process, area.start, area.written))

    def _write(self, process: ScriptedProcess, start: int, pages: int) -> Work:
        return self._do(process, ops.OP_ACCESS, each_page(start, pages, write=True))

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

    def _leave(self, name: str) -> None:
        """Take the kernel objects that the first process made in the group off its account now."""
        if name == FIRST_PROCESS:
            row = self.processes[name].row
            move_process(self.machine.arrays, row, ROOT, self._earlier_bytes)

    # -- operations ---------------------------------------------------------------------------

    def _carry_out_alive(self, operation: Operation) -> Ended:
        name = operation.process
        process = self.processes[name]
        for area in OWN_AREAS:
            if area.before_each:
                start = area.start + area.at_birth
                if self._with_room(name, self._write(process, start, area.before_each)) is None:
                    return KILLED, 0, 0
        before = self._faults(process)
        ended = self._with_room(name, self.begin(operation))
        if ended is None:
            return KILLED, self._faults(process) - before, 0
        if operation.verb is Verb.FORK:
            self._is_born(operation.child)
            for born in (name, operation.child):
                for area in OWN_AREAS:
                    if area.at_birth and born in self.processes:
                        work = self._write(self.processes[born], area.start, area.at_birth)
                        self._with_room(born, work)
        return (KILLED, ended[1], 0) if name in self._killed else ended

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
            status = make_room(m, process.cpu, process.row)
            if status == ROOM:
                continue
            assert status == NO_ROOM, "nothing here is written to a device"
            self._kill(asked=name)
            if name in self._killed:
                work.close()
                self.end(name)
                return None

    # -- kills --------------------------------------------------------------------------------

    def _kill(self, asked: str) -> None:
        """Kill whom the policy says; whoever asked is ended by its caller."""
        m = self.machine.arrays
        count_event(m, self._group, EV_OOM, 1)
        names = list(self.processes)
        candidates = [self._candidate(number, name) for number, name in enumerate(names)]
        victim = choose_victim(candidates, self._limit_pages)
        if victim is None:
            raise KernelPanicError("nobody may be killed", "in a control group")
        badness = (badness_pages(candidate, self._limit_pages) for candidate in candidates)
        found = zip(names, badness, strict=True)
        self._run.scores.append({name: score for name, score in found if score is not None})
        count_event(m, self._group, EV_OOM_KILL, 1)
        self._killed.append(names[victim])
        if names[victim] == asked:
            count_tries(m, self._group)
        else:
            self.end(names[victim])

    def _candidate(self, pid: int, name: str) -> Candidate:
        process = self.processes[name]
        s = self.machine.arrays.spaces[self.space(process)]
        resident = int(s.rss_anon + s.rss_file + s.rss_shmem)
        score = int(self.machine.process_of(process.row).oom_score_adj)
        return Candidate(pid, resident, int(s.swapents), int(s.tables), score)
