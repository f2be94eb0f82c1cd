"""All tasks of a machine: by number and by row, living ones, their birth and their burial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.base.rng import key_words, stream
from sim.base.text import named
from sim.base.units import Pid
from sim.engine.runqueue import leave
from sim.engine.task import State, Task, ThreadGroup
from sim.machine.layout import NONE
from sim.machine.words import T_CPU_NS, T_PIN, T_SPACE, T_WORDS
from sim.machine.work import DRAW_ROWS, N_DRAWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sim.engine.clock import Clock
    from sim.machine.machine import Machine

_DRAW_ROWS: Final = np.array(DRAW_ROWS)


class TaskTable:
    """The tasks of one machine.  `finished` are processes that have ended, by time of their end."""

    def __init__(self, machine: Machine, clock: Clock, seed: int, replication: int) -> None:
        self._machine = machine
        self._clock = clock
        self._seed = seed
        self._replication = replication
        self.by_pid: dict[int, Task] = {}
        self.by_row: dict[int, Task] = {}
        self.finished: list[Task] = []
        self._pids = 1  # which is init
        self._births = 0

    def process(
        self,
        name: str,
        *,
        parent: Task | None = None,
        origin: str | None = None,
        pin: int | None = None,
        oom_score_adj: int = 0,
        nice: int = 0,
        cap_sys_admin: bool = False,
        source: Callable[..., Any] | None = None,
        daemon: bool = False,
    ) -> Task:
        """Return the first task of a new process, which is still to be built, and born."""
        name = named(name)
        if origin is None:
            origin = name if parent is None else parent.origin
        row = self._machine.new_task()
        task = self._new(row, name, origin, pin, source, parent=parent, daemon=daemon)
        task.group = ThreadGroup(task)
        if oom_score_adj != 0:
            self._machine.process_of(task.row).oom_score_adj = oom_score_adj
        if nice != 0:
            self._machine.set_nice(task.row, nice)
        if cap_sys_admin:
            self._machine.process_of(task.row).cap_sys_admin = 1
        return task

    def thread(self, group: ThreadGroup, name: str, source: Callable[..., Any]) -> Task:
        """Return another task of a process, which is still to be built, and born."""
        leader = group.leader
        process = int(self._machine.arrays.tasks[leader.row].process)
        row = self._machine.new_task(process)
        task = self._new(row, named(name), leader.origin, leader.pin, source)
        task.group = group
        return task

    def _new(
        self,
        row: int,
        name: str,
        origin: str,
        pin: int | None,
        source: Callable[..., Any] | None,
        **more: Any,
    ) -> Task:
        """Return a task with a number, a row, and the keys of its counter-based draws."""
        self._pids += 1
        task = Task(
            Pid(self._pids),
            row,
            name,
            origin,
            self._clock.now_ns,
            self._clock.event(),
            pin=pin,
            source=source,
            **more,
        )
        self.by_row[row] = task
        if pin is not None:
            self._machine.arrays.words.tasks[row * T_WORDS + T_PIN] = pin
        words = key_words(self._seed, self._replication, name, 2 * N_DRAWS)
        pairs = np.array(words, np.int64).reshape(N_DRAWS, 2)
        self._machine.arrays.draws[row, _DRAW_ROWS, :2] = pairs
        return task

    def rng(self, task: Task, purpose: str) -> np.random.Generator:
        """Return a task's random stream for `purpose`, at its start."""
        return stream(self._seed, self._replication, "task", task.name, purpose)

    def luck_of_start(self, name: str) -> float:
        """Return the share of its `start_within` after which the process called `name` starts."""
        return float(stream(self._seed, self._replication, "start within", name).random())

    def luck_of_group(self, name: str, number: str) -> float:
        """Return the same of a replica of the group written as `name`."""
        names = ("start within", "group", name, number)
        return float(stream(self._seed, self._replication, *names).random())

    def bear(self, task: Task) -> None:
        """Let a task be known by its number from now on."""
        self.by_pid[task.pid] = task
        self._births += 1
        task.birth = self._births

    def bury(self, task: Task) -> None:
        """Take out a task that has ended, or was never born; init adopts its children."""
        if task.is_leader:
            for child in task.group.children.values():
                child.parent = None
            task.group.children = {}
        else:
            task.group.threads.pop(task.pid, None)
        self.by_row.pop(task.row, None)
        self.by_pid.pop(task.pid, None)
        leave(self._machine.arrays, task.row, self._clock.now_ns)
        self._machine.free_task(task.row)

    def living(self) -> Iterator[Task]:
        """Yield tasks that have not exited, in order of birth, without the kernel's threads."""
        return (task for task in self.by_pid.values() if not task.daemon)

    def processes(self) -> Iterator[Task]:
        """Yield the leaders of living processes, in order of birth."""
        return (task for task in self.living() if task.is_leader)

    def everybody(self) -> list[Task]:
        """Return all processes, ended or not, by pid."""
        alive = [task for task in self.processes() if task.state is not State.UNDONE]
        return sorted([*self.finished, *alive], key=lambda task: task.pid)

    def space_of(self, task: Task) -> int:
        """Return the address space of a task."""
        return self._machine.arrays.words.tasks[task.row * T_WORDS + T_SPACE]

    def cpu_ns_of(self, task: Task) -> int:
        """Return the CPU time that a task has used."""
        return self._machine.arrays.words.tasks[task.row * T_WORDS + T_CPU_NS]

    def sharers(self, task: Task) -> list[Task]:
        """Return all tasks that use a task's address space: itself, then by birth."""
        space = self.space_of(task)
        if space == NONE:
            return [task]
        rows = np.flatnonzero(np.asarray(self._machine.arrays.tasks)["space"] == space)
        others = [self.by_row[row] for row in rows.tolist() if row in self.by_row]
        others = [t for t in others if t.pid in self.by_pid and t is not task and not t.daemon]
        return [task, *sorted(others, key=lambda t: t.birth)]

    def memory_of(self, tasks: Sequence[Task]) -> tuple[list[int], list[int], list[int]]:
        """Return tasks' resident pages, swapped-out and page-table pages, a value each."""
        rows = [max(self.space_of(task), 0) for task in tasks]  # 0 is nobody's, and nothing in it
        s = np.asarray(self._machine.arrays.spaces)[rows]
        resident = s["rss_anon"] + s["rss_file"] + s["rss_shmem"]
        return resident.tolist(), s["swapents"].tolist(), s["tables"].tolist()
