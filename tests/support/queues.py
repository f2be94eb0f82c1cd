"""Run queues by themselves: a machine whose tasks do what a test says."""

from sim.engine import runqueue
from sim.engine.clock import Clock
from sim.engine.cpus import Cpus
from sim.engine.table import TaskTable
from sim.machine.layout import FOREVER, NONE
from sim.policy.schedulers import SCHEDULERS, WOKE
from support.machines import flat_prices, machine

MS = 1_000_000
QUANTUM = 3 * MS


class Ready:
    """Tasks on a machine none of whose CPUs does anything by itself."""

    def __init__(self, policy: str, cpus: int = 1) -> None:
        self._box = machine(flat_prices(), memory_pages=100, cpus=cpus)
        clock = Clock()
        self.m = self._box.arrays
        self.m.clock[0].sample_next_ns = FOREVER
        self.m.clock[0].tick_ns = MS
        table = TaskTable(self._box, clock, 1, 0)
        self.cpus = Cpus(self._box, clock, table, SCHEDULERS[policy], QUANTUM)

    def arrive(self, now_ns: int = 0, nice: int = 0, pin: int = NONE) -> int:
        """Enqueue a new task, which has something to do; return its row."""
        row = self._box.new_task()
        self.m.tasks[row].pin = pin
        self.m.entities[row].busy = 1
        self._box.set_nice(row, nice)
        runqueue.enqueue(self.m, row, WOKE, now_ns)
        return row

    def wake(self, row: int, now_ns: int) -> None:
        runqueue.enqueue(self.m, row, WOKE, now_ns)

    def running(self, now_ns: int) -> list[int]:
        """Hand CPUs out; return who has which."""
        assert runqueue.hand_out(self.m, now_ns) == NONE
        return [int(c.task) for c in self.m.cpus]

    def use(self, ns: int, cpu: int = 0) -> None:
        """Let the task on a CPU use CPU time."""
        self.m.tasks[int(self.m.cpus[cpu].task)].cpu_ns += ns

    def slice_over(self, now_ns: int, cpu: int = 0) -> list[int]:
        runqueue.rotate(self.m, cpu, now_ns)
        return self.running(now_ns)

    def blocks(self, now_ns: int, cpu: int = 0) -> list[int]:
        runqueue.vacate(self.m, cpu, 0)
        return self.running(now_ns)

    def must_go(self) -> bool:
        """Whether a task that woke goes before the one on CPU 0."""
        return bool(self.m.cpus[0].need_resched)
