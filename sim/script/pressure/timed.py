"""Scripts of one process, with swap on a device that takes its time: a run of the simulator.

`sim.script.pressure.predict` carries scripts out step by step, which is exact where swap is memory.
Pages that are being written can be waited for, scanned again, or touched meanwhile; so what a
device makes of a script depends on how fast it is, and is no function of the accesses alone.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from sim.base.units import PAGE_BYTES
from sim.engine.run import build_simulation
from sim.machine.groups import move_process
from sim.machine.lru import lru_add_drain
from sim.machine.slab import objects_bytes
from sim.scenario.resolve import resolve
from sim.script.pressure.grammar import MAPPING, Verb
from sim.script.pressure.predict import totals_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from sim.engine.build import Simulation
    from sim.engine.verbs.process import Process
    from sim.script.pressure.grammar import Line, PressureScript

DEVICE: Final = {"latency": "80 us", "bandwidth": "2 GB/s", "queue_depth": 64}
"""A fast device, as a virtual machine's disk is; what comes of it is given a band."""
BESIDE: Final = 16384
"""Pages of the host besides twice the group's limit."""


def count_timed(
    script: PressureScript, *, swap_pages: int, rotates: bool, kernel: str = "6.18"
) -> list[dict[str, int]]:
    """Return what each line of a script counted: as `totals_of` does, and pages ``in_swap``.

    Where a process is killed they end with the line before.  The script has one process; ``major``
    are its major faults.
    """
    assert len(script.processes) == 1, "processes of a script take turns, which no program can"
    device = {"size": f"{swap_pages * PAGE_BYTES} B", "device": "disk" if rotates else "nvme"}
    memory = (2 * script.limit_pages + BESIDE) * PAGE_BYTES
    scenario = {
        "version": 1,
        "host": {
            "memory": f"{memory} B",
            "cpus": 1,
            "kernel": kernel,
            "cgroup": "v1",
            "thp": "never",
            "overcommit": 1,
            "swap": {**device, **DEVICE},
        },
        "groups": {
            "g": {
                "memory_max": f"{script.limit_pages * PAGE_BYTES} B",
                "swap_max": "max",
                "swappiness": script.swappiness,
            }
        },
        "processes": {"p": {"program": "steps", "steps": [{"sleep": "1 ns"}]}},
    }
    simulation = build_simulation(resolve(scenario), seed=1)
    watch = _Watch(simulation)
    simulation.add("p", lambda process: _touch(process, script, watch))
    simulation.run()
    simulation.machine.release()
    return watch.told


def _touch(process: Process, script: PressureScript, watch: _Watch) -> Generator[Any, Any, None]:
    watch.join(process)
    regions = {}
    for line in script.lines:
        if line.verb in MAPPING:
            shared = line.verb is Verb.SHARE
            size_bytes = line.pages[0] * PAGE_BYTES
            regions[line.name] = yield from process.mmap(size_bytes, shared=shared)
        else:
            touch = process.read if line.verb is Verb.READ else process.write
            for first, pages in _runs(line):
                yield from touch(regions[line.name], first=first, pages=pages)
        watch.tell()


def _runs(line: Line) -> Iterator[tuple[int, int]]:
    """Yield the pages of a line as ranges in order: first page, number of pages."""
    pages: Sequence[int] = line.pages * line.times
    for _, run in groupby(enumerate(pages), lambda item: item[1] - item[0]):
        (_, first), *rest = run
        yield first, 1 + len(rest)


class _Watch:
    """Sees what a process in a group of its own does to the machine."""

    def __init__(self, simulation: Simulation) -> None:
        self._machine = simulation.machine
        self._group = simulation.system.groups.rows["g"]
        self._task = 0
        self._before: dict[str, int] = {}
        self.told: list[dict[str, int]] = []

    def join(self, process: Process) -> None:
        """Put a process into the group: what it has already stays where it is charged."""
        m = self._machine.arrays
        self._task = process.task.row
        space = int(m.tasks[self._task].space)
        lru_add_drain(m, 0)
        move_process(m, self._task, self._group, objects_bytes(m, space))
        self._before = self._totals()

    def tell(self) -> None:
        """Keep what was counted since the last time."""
        totals = self._totals()
        counts = {name: totals[name] - self._before[name] for name in totals}
        in_swap = int(self._machine.arrays.groups[self._group].swap)
        self.told.append({**counts, "in_swap": in_swap})
        self._before = totals

    def _totals(self) -> dict[str, int]:
        return totals_of(self._machine.arrays, self._group, [self._task])
