"""What is counted while a machine runs: events, marks, and the figures of each process."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sim.base.units import PAGE_BYTES
from sim.machine import work
from sim.machine.layout import NONE
from sim.observe.faults import FAULT_KINDS
from sim.observe.footprint import footprint
from sim.observe.histogram import observe

if TYPE_CHECKING:
    from sim.engine.clock import Clock
    from sim.engine.table import TaskTable
    from sim.engine.task import Task
    from sim.machine.machine import Machine


class Figures:
    """Counts since the end of warm-up, and marks of the whole run: (time in ns, kind, name)."""

    def __init__(self, machine: Machine, clock: Clock, table: TaskTable) -> None:
        self._machine = machine
        self._clock = clock
        self._table = table
        self.counters: Counter[str] = Counter()
        self.marks: list[tuple[int, str, str]] = []

    def count(self, name: str) -> None:
        """Count an event."""
        self.counters[name] += 1

    def mark(self, kind: str, name: str) -> None:
        """Note an event for time series."""
        self.marks.append((self._clock.now_ns, kind, name))

    def held(self, latency: int, since_ns: int) -> None:
        """Count how long a call has kept its caller: a row of `sim.observe.histogram`."""
        observe(self._machine.arrays, latency, self._clock.now_ns - since_ns)

    def fault_count(self, task: Task, kind: str) -> int:
        """Return how many faults of `kind` a task has had."""
        counts = self._machine.arrays.counts[task.row]
        return sum(int(counts[line]) for line in FAULT_KINDS[kind])

    def _faults_so_far(self, task: Task) -> Counter[str]:
        """Count the faults of a task since its birth, major ones among them."""
        counts = self._machine.arrays.counts[task.row].tolist()
        found = {kind: sum(map(counts.__getitem__, kinds)) for kind, kinds in FAULT_KINDS.items()}
        return Counter({**found, "major": counts[work.MAJOR_FAULT]})

    def _measured_faults(self, task: Task) -> Counter[str]:
        """Count the faults of a task since the end of warm-up."""
        found = self._faults_so_far(task)
        return found - task.faults_before if task.faults_before else found

    def restart(self) -> None:
        """Forget all counts, and count the faults of all processes from now on."""
        self.counters.clear()
        for task in self._table.by_pid.values():
            task.faults_before = self._faults_so_far(task)
            task.group.faults.clear()
        for task in (*self._table.finished, *self._table.by_pid.values()):
            if task.figures is not None:  # taken just before its exit
                task.figures |= {"faults": dict.fromkeys(FAULT_KINDS, 0)}
                task.figures |= {"minor_faults": 0, "major_faults": 0}

    def take(self, task: Task) -> None:
        """Keep what a process held and did, just before its leader exits or at the end of the run.

        What its threads did counts as its own.
        """
        m = self._machine.arrays
        group = task.group
        space = self._table.space_of(task)
        resident, pss, unique, peak = 0, 0, 0, 0
        if space != NONE:
            resident, pss, unique = footprint(m, space)
            peak = int(m.spaces[space].peak_rss)
        tasks = list(group.tasks())
        counted = sum((self._measured_faults(t) for t in tasks), group.faults)
        faults = {kind: counted[kind] for kind in FAULT_KINDS}
        task.figures = {
            "faults": faults,
            "minor_faults": sum(faults.values()),
            "major_faults": counted["major"],
            "peak_rss_bytes": peak * PAGE_BYTES,
            "rss_bytes": resident * PAGE_BYTES,
            "pss_bytes": int(pss),
            "unique_bytes": unique * PAGE_BYTES,
            "cpu_ns": group.cpu_ns + sum(map(self._table.cpu_ns_of, tasks)),
        }

    def ended(self, task: Task) -> None:
        """Add what a task did, its exit included, to what its process did.

        Only when it has ended: `take` counts all others itself.
        """
        if not task.is_leader:
            task.group.faults += self._measured_faults(task)
            task.group.cpu_ns += self._table.cpu_ns_of(task)
        elif task.figures is not None:
            task.figures["cpu_ns"] = task.group.cpu_ns + self._table.cpu_ns_of(task)
