"""A script carried out on a machine that may be small, and everything it did taken down.

Where memory is short, Linux kills (`oom`), or a textbook's system lets the process wait until
somebody gives frames back (`wait`), first come first served.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sim.engine.run import FORK_KINDS
from sim.machine.layout import HUGE_PAGES, PENDING_QUEUE, THP_MADVISE
from sim.machine.releases import NEWEST, release_name
from sim.machine.rules.limits import R_VICTIM_ITSELF
from sim.machine.spec import HostSpec
from sim.policy.oom import Candidate, badness_pages, choose_victim
from sim.script.grammar import MAPPING_VERBS, Verb
from sim.script.operation import SIGBUS, SIGSEGV
from sim.script.predict import roomy_host, with_pool
from sim.script.run import Scripted, births
from sim.walk.tell.effects import Effects, Witness, fork_copies
from sim.walk.tell.names import Names
from sim.walk.tell.state import State, free_frames, take_down

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.script.grammar import Operation
    from sim.script.operation import Work
    from sim.script.processes import ScriptedProcess
    from sim.script.record import Figures

MOST_FRAMES: Final = 4096
"""Frames of the largest machine that is drawn, 16 MiB."""
SMALL: Final = 64
"""Frames of the machine that is drawn where nobody says how many, and no script wants more."""
ROOM_FOR_HUGE: Final = 2048
"""Frames of the machine that is drawn for a script that asks for huge pages: 8 MiB."""
FEWEST_FRAMES: Final = 10
"""What the first process takes: kernel stack, page tables, one page of stack; and the zero page."""
OOM, WAIT = "oom", "wait"
NOT_DONE, WAITS, KILLED = "not done", "waits", "OOM-killed"


@dataclass(frozen=True, slots=True)
class MachineChoice:
    """What machine a script is told on; `frames` 0 is one it cannot run out of.

    `policy` says what happens when it does, `fork` is a key of `FORK_KINDS`, `kernel` the release
    whose rules hold, as in ``6.12``.  `hugetlb` huge pages are in the pool besides, by default as
    many as can be wanted.
    """

    frames: int = 0
    policy: str = OOM
    fork: str = "cow"
    eager_zero: bool = False
    kernel: str = release_name(NEWEST)
    hugetlb: int | None = None

    @property
    def is_small(self) -> bool:
        """Whether all of its memory can be shown."""
        return self.frames > 0

    def host(self, script: Sequence[Operation]) -> HostSpec:
        """Return the machine, with a CPU for each process of `script`."""
        roomy = roomy_host(
            script,
            fork_kind=FORK_KINDS[self.fork],
            eager_zero=self.eager_zero,
            kernel=self.kernel,
        )
        huge_pages = roomy.nr_huge_pages if self.hugetlb is None else self.hugetlb
        if not self.is_small:
            return with_pool(roomy, huge_pages)
        gap = -self.frames % HUGE_PAGES if huge_pages else 0  # up to the first whole 2 MiB
        return HostSpec(
            memory_pages=self.frames + gap + huge_pages * HUGE_PAGES,
            kernel_pages=1 + gap,
            nr_huge_pages=huge_pages,
            cpus=births(script),
            overcommit=1,
            queueing=self.policy == WAIT,
            fork_kind=FORK_KINDS[self.fork],
            eager_zero=self.eager_zero,
            thp=THP_MADVISE,
            kernel=self.kernel,
        )


@dataclass(frozen=True, slots=True)
class Kill:
    """A process that the out-of-memory killer took, and what came back; sizes in frames.

    `at` is how many pages the operation had touched until then.
    """

    asked: str
    victim: str
    badness: int
    effects: Effects
    at: int


@dataclass(frozen=True, slots=True)
class Chapter:
    """One operation: what it did, and memory before and after it.

    `ending` is as in `OpRecord`, or says that the process was killed (`KILLED`), waits for memory
    (`WAITS`), or could not be told anything (`NOT_DONE`, with the `reason`).  An operation that had
    waited comes again when it `goes_on`.  States are there for small machines only.
    """

    number: int
    operation: Operation
    minor_faults: int
    ending: str
    effects: Effects
    figures: tuple[Figures, ...]
    free: int
    kills: tuple[Kill, ...] = ()
    reason: str = ""
    goes_on: bool = False
    before: State | None = None
    after: State | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """A script and what came of it.

    One told by the rules of an older release has beside it what comes of it by the `newest`.
    """

    choice: MachineChoice
    frames: int
    opening: State | None
    free: int
    chapters: tuple[Chapter, ...]
    names: Names
    waiting: tuple[str, ...] = ()
    newest: Story | None = None

    def counterpart(self, chapter: Chapter) -> Chapter | None:
        """Return what becomes of an operation by the rules of the newest release, if told."""
        key = (chapter.number, chapter.goes_on)
        told = self.newest.chapters if self.newest is not None else ()
        return next((c for c in told if (c.number, c.goes_on) == key), None)


def frames_to_draw(script: Sequence[Operation]) -> int:
    """Return the frames of the machine that a script is drawn on where nobody says how many."""
    return ROOM_FOR_HUGE if any(op.verb is Verb.HUGEPAGE for op in script) else SMALL


def tell(script: Sequence[Operation], choice: MachineChoice) -> Story:
    """Have a valid script carried out and return what happened."""
    story = _Teller(script, choice).tell()
    newest = release_name(NEWEST)
    if choice.kernel == newest:
        return story
    return replace(story, newest=_Teller(script, replace(choice, kernel=newest)).tell())


@dataclass(slots=True)
class _Pending:
    number: int
    operation: Operation
    work: Work


class _Teller:
    """Carries out one script."""

    def __init__(self, script: Sequence[Operation], choice: MachineChoice) -> None:
        self._script = script
        self._choice = choice
        host = choice.host(script)
        self._frames = host.memory_pages
        self._ram_pages = host.ram_pages
        self._scripted = Scripted(host)
        self._names = Names()
        self._witness = Witness(self._scripted, self._names)
        self._scripted.watch = self._witness
        self._gone: dict[str, str] = {}
        self._queue: list[_Pending] = []
        self._chapters: list[Chapter] = []
        self._state: State | None = None

    def tell(self) -> Story:
        """Carry out the script."""
        opening = self._take_state()
        free = self._free()
        for number, operation in enumerate(self._script, 1):
            obstacle = self._obstacle(operation)
            if obstacle:
                self._add(number, operation, NOT_DONE, reason=obstacle)
            else:
                self._carry_out(_Pending(number, operation, self._scripted.begin(operation)))
            self._serve_queue()
        waiting = tuple(pending.operation.process for pending in self._queue)
        return Story(
            self._choice, self._frames, opening, free, tuple(self._chapters), self._names, waiting
        )

    def _obstacle(self, operation: Operation) -> str:
        """Return why a process cannot be told anything, or ""."""
        name = operation.process
        if any(pending.operation.process == name for pending in self._queue):
            return f"{name} waits for memory"
        if name not in self._scripted.processes:
            return self._gone.get(name, f"there is no {name}")
        process = self._scripted.processes[name]
        if borrower := self._borrower_of(process):
            return f"{name} waits for {borrower}, which has its memory (vfork)"
        region = operation.region
        is_new = operation.verb in MAPPING_VERBS or operation.verb is Verb.BRK
        needed = {operation.beside} if is_new else {region}
        missing = needed - {""} - process.regions.keys()
        return f"{name} has no {missing.pop()}" if missing else ""

    def _borrower_of(self, lender: ScriptedProcess) -> str:
        """Return the child that still uses the memory of a process, or "".

        A valid script says nothing of the lender before it execs or exits; but that may be a line
        that was not done.
        """
        space = self._scripted.space(lender)
        children = (
            name
            for name, process in self._scripted.processes.items()
            if process.parent == lender.born and self._scripted.space(process) == space
        )
        return next(children, "")

    def _carry_out(self, pending: _Pending, *, goes_on: bool = False) -> bool:
        """Send an operation on until it is over, or has to wait; say if it is over."""
        operation = pending.operation
        self._witness.start(operation)
        copied = fork_copies(self._scripted, operation)
        kills: list[Kill] = []
        while True:
            try:
                next(pending.work)
            except StopIteration as done:
                ending: str = done.value[0]
                break
            if self._choice.policy == WAIT:
                ending = WAITS
                break
            kills.append(self._kill(operation.process))
            if operation.process not in self._scripted.processes:
                pending.work.close()
                ending = KILLED
                break
        effects = self._witness.finish(copied)
        if ending in (SIGSEGV, SIGBUS):
            self._gone[operation.process] = f"{operation.process} was killed by {ending}"
        moved = effects.touches or effects.taken or effects.returned  # it may have read ahead alone
        if ending != WAITS or not goes_on or moved:
            self._add(
                pending.number, operation, ending, effects, kills=tuple(kills), goes_on=goes_on
            )
        if ending == WAITS and not goes_on:
            self._queue.append(pending)
            self._tell_queue()
        return ending != WAITS

    def _serve_queue(self) -> None:
        """Let those who wait for memory try again, first come first served."""
        while self._queue and self._carry_out(self._queue[0], goes_on=True):
            self._queue.pop(0)
            self._tell_queue()

    def _tell_queue(self) -> None:
        pool = self._scripted.machine.arrays.pool[0]
        pool.pending = PENDING_QUEUE if self._queue else 0
        first = self._queue[0].operation.process if self._queue else ""
        pool.head = self._scripted.processes[first].row if first else -1

    def _kill(self, asked: str) -> Kill:
        """End the process that the out-of-memory killer takes, and all that share its memory."""
        candidates = list(self._candidates())
        rules = self._scripted.machine.arrays.config[0].rules
        pid = choose_victim(
            [candidate for _, candidate in candidates],
            self._ram_pages,
            child_first=not rules & R_VICTIM_ITSELF,
        )
        victim, candidate = next((n, c) for n, c in candidates if c.pid == pid)
        badness = badness_pages(candidate, self._ram_pages)
        scripted = self._scripted
        space = scripted.space(scripted.processes[victim])
        outer = self._witness.interrupt()
        for name in [n for n, p in scripted.processes.items() if scripted.space(p) == space]:
            scripted.end(name)
            self._gone[name] = f"{name} was killed: out of memory"
        return Kill(asked, victim, badness or 0, self._witness.resume(outer), len(outer.touches))

    def _candidates(self) -> list[tuple[str, Candidate]]:
        scripted = self._scripted
        found = []
        seen: set[int] = set()
        for name, process in scripted.processes.items():
            slot = scripted.space(process)
            s = scripted.machine.arrays.spaces[slot]
            resident = int(s.rss_anon + s.rss_file + s.rss_shmem)
            borrows = slot in seen
            seen.add(slot)
            memory = (resident, int(s.swapents), int(s.tables))
            who = Candidate(process.born, *memory, 0, in_vfork=borrows, parent=process.parent)
            found.append((name, who))
        return found

    # -- taking down ----------------------------------------------------------------------------

    def _add(
        self,
        number: int,
        operation: Operation,
        ending: str,
        effects: Effects | None = None,
        *,
        kills: tuple[Kill, ...] = (),
        reason: str = "",
        goes_on: bool = False,
    ) -> None:
        before = self._state
        after = self._take_state()
        self._chapters.append(
            Chapter(
                number,
                operation,
                self._witness.minor_faults if effects else 0,
                ending,
                effects or Effects(),
                self._scripted.figures(),
                self._free(),
                kills,
                reason,
                goes_on,
                before,
                after,
            )
        )

    def _take_state(self) -> State | None:
        self._names.learn(self._scripted)
        if self._choice.is_small:
            self._state = take_down(self._scripted)
        return self._state

    def _free(self) -> int:
        return free_frames(self._scripted.machine.arrays)
