"""What a simulated machine says to the questions in `tests/truth/in_groups`, line by line.

`tests.truth.groups_in_guests` has put them to kernels; what the steps are is told there in
`asker.c`.  Each member is a process of the machine, which joins its group when it has all it needs
but what its steps take; the one who asks is another, in no group.
"""

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from sim.engine.build import EngineSpec, Simulation
from sim.engine.groups import GroupSpec
from sim.engine.verbs.process import Process
from sim.machine.groups import move_process
from sim.machine.layout import EVENTS
from sim.machine.slab import objects_bytes
from sim.program.handles import Region
from support.machines import flat_prices, machine

MIB = 2**20
MEMORY_MIB = 1536
"""Of the virtual machines that were asked."""
HZ = 250
AREA_VPN = 0x1000_0000_0000 >> 12
AREA_PAGES = 1 << 16
"""Where a member's area is: in a GiB of its own, and in 512 of those."""
POLL_NS = 1_000_000
SLOW_NS = 3_000_000
LIMITS = {"max": "max_pages", "high": "high_pages", "low": "low_pages", "min": "min_pages"}
"""The files of a group that say how much it may have, and the field of its description."""
EVENTS_OF_V2 = EVENTS[: EVENTS.index("failcnt")]
Life = Generator[Any, Any, None]


def steps_of(question: Path) -> list[list[str]]:
    """Return the steps of a question, in words."""
    lines = question.read_text(encoding="utf-8").splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


def group_specs(steps: Iterable[list[str]]) -> tuple[GroupSpec, ...]:
    """Return the groups that a question sets, in the order of their making."""
    found: dict[str, dict[str, Any]] = {}
    for word, name, file, value in (step for step in steps if step[0] == "set"):
        assert word == "set"
        fields = found.setdefault(name, {})
        what = file.removeprefix("memory.")
        if what == "oom.group":
            fields["oom_group"] = value == "1"
        elif what in LIMITS and value != "max":
            fields[LIMITS[what]] = int(value) // 4096
    return tuple(
        GroupSpec(name, name.rpartition("/")[0] or None, **fields) for name, fields in found.items()
    )


class Asked:
    """A question put to a machine by the rules of a release; `said` is what it says."""

    def __init__(self, question: Path, release: str, **host: Any) -> None:
        self._steps = steps_of(question)
        self.said: list[str] = []
        shape = machine(
            flat_prices(zero_fill=1000),
            **{
                "memory_pages": MEMORY_MIB * MIB // 4096,
                "cpus": 1,
                "hz": HZ,
                "kernel": release,
                "cgroup": "v2",
                **host,
            },
        )
        self._specs = group_specs(self._steps)
        spec = EngineSpec(groups=self._specs)
        self._simulation = Simulation(shape, spec)
        self._m: Any = shape.arrays
        self._rows = self._simulation.system.groups.rows
        self._turn = -1
        self._before = 0
        self._done = 0
        self._ended = False
        self._over = False
        self._by_page = any(step[2] == "memory.high" for step in self._steps if step[0] == "set")
        self._slow: list[tuple[int, int]] = []
        self._members: dict[str, Process] = {}
        self._simulation.add("asker", self._ask)
        for step in self._steps:
            if step[0] == "new":
                self._simulation.add(step[1], self._live)
        self.document = self._simulation.run()

    # -- members ------------------------------------------------------------------------------

    def _live(self, process: Process) -> Life:
        self._members[process.name] = process
        at = 0
        for number, step in enumerate(self._steps):
            word, name, *words = [*step, ""]
            if name != process.name or word not in ("new", "touch", "read", "write"):
                continue
            while self._turn != number:
                yield from process.sleep(POLL_NS)
            if word == "new":
                self._join(process, words[0])
                yield from process.mmap(AREA_PAGES * 4096, noreserve=True, start_vpn=AREA_VPN)
                yield from process.oom_score_adj(int(words[1]))
            elif word == "touch":
                yield from self._touch(process, at, int(words[0]))
                at += int(words[0])
            else:
                yield from self._transfer(process, word, words[0], int(words[1]), int(words[2]))
            self._ended = True
        while not self._over:
            yield from process.sleep(100 * POLL_NS)

    def _join(self, process: Process, group: str) -> None:
        if group in self._rows:
            row = process.task.row
            objects = objects_bytes(self._m, int(self._m.tasks[row].space))
            move_process(self._m, row, self._rows[group], objects)

    def _touch(self, process: Process, first: int, pages: int) -> Life:
        area = Region(AREA_VPN, AREA_PAGES)
        s = self._m.spaces[int(self._m.tasks[process.task.row].space)]
        self._before = int(s.rss_anon)
        at_once = 1 if self._by_page else pages  # how long a page takes matters to nobody else
        for page in range(first, first + pages, at_once):
            before_ns = process.now_ns
            yield from process.write(area, first=page, pages=at_once)
            self._done += at_once
            took_ns = process.now_ns - before_ns
            if took_ns > SLOW_NS:
                self._slow.append((page, took_ns // 1000))

    def _transfer(self, process: Process, word: str, file: str, first: int, end: int) -> Life:
        yield from process.fadvise(file, "random")
        move = process.pread if word == "read" else process.pwrite
        for page in range(first, end):
            yield from move(file, 1, page)
            self._done += 1

    # -- who asks -----------------------------------------------------------------------------

    def _ask(self, process: Process) -> Life:
        yield from process.sleep(10 * POLL_NS)
        for number, (word, *words) in enumerate(self._steps):
            if word in ("new", "touch", "read", "write"):
                yield from self._have_done(process, number, word, words[0])
            elif word == "sleep":
                yield from process.sleep(int(words[0]) * 1_000_000)
            elif word == "file":
                pages = max(int(words[1]), self._written(words[0]))
                self._simulation.system.files.row(words[0], pages, cold=True)
            elif word != "set":
                yield from process.sleep(100 * POLL_NS)
                getattr(self, f"_{word}")(*words)
        self._over = True

    def _written(self, file: str) -> int:
        """Return how many pages a file has in the end by what is written to it."""
        ends = [int(step[4]) for step in self._steps if step[0] == "write" and step[2] == file]
        return max(ends, default=0)

    def _have_done(self, process: Process, number: int, word: str, name: str) -> Life:
        member = self._members[name]
        self._done, self._ended, self._slow = 0, False, []
        self._turn = number
        while not self._ended and member.task.killed is None:
            assert member.task.ended_ns is None, member.task.ended_how
            yield from process.sleep(POLL_NS)
        if word == "new":
            return
        state = "alive" if self._ended else "killed"
        if not self._ended:
            log = self._simulation.system.kills.entries
            (held,) = (kill["anon_rss_bytes"] for kill in log if kill["process"] == name)
            self._done = held // 4096 - self._before
        self.said.append(f"{word} {name} {self._done} {state}")
        if word == "touch" and self._by_page:
            slow = "".join(f" {page}:{us}" for page, us in self._slow)
            self.said.append(f"slow {name}{slow}")

    def _alive(self) -> None:
        alive = [name for name, member in self._members.items() if member.task.killed is None]
        joined = [step[1] for step in self._steps[: self._turn + 1] if step[0] == "new"]
        self.said.append(" ".join(["alive", *(name for name in joined if name in alive)]))

    def _resident(self, file: str) -> None:
        row = self._simulation.system.files.row(file, 0)
        f = self._m.files[row]
        there = int((self._m.cached[int(f.first) : int(f.first + f.pages)] > 0).sum())
        self.said.append(f"resident {file} {there} of {int(f.pages)}")

    def _show(self, group: str, file: str, key: str = "") -> None:
        row = self._rows[group]
        g = self._m.groups[row]
        if file == "memory.events":
            for name, count in zip(EVENTS, self._m.events[row], strict=True):
                if name in EVENTS_OF_V2 and key in ("", name):
                    self.said.append(f"{group} {file} {name} {int(count)}")
        elif file in ("memory.current", "memory.peak"):
            pages = int(g.usage if file == "memory.current" else g.peak)
            self.said.append(f"{group} {file} {pages * 4096}")
