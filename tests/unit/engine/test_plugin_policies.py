"""Policies written as plug-ins: priorities, and a small EEVDF held to its closed forms."""

from collections.abc import Callable, Generator, Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar

import pytest
from support.machines import flat_prices, run

from sim.base.errors import ScenarioError
from sim.engine.verbs.process import Process
from sim.machine.layout import NICE_0_WEIGHT
from sim.plugin import PREEMPTED, WOKE, Runnable

MS = 1_000_000
WEIGHTS = {-5: 3121, 0: 1024, 5: 335}
"""Of Linux's `sched_prio_to_weight`."""

Life = Generator[Any, Any, None]


class Priorities:
    """The largest weight first, who came first among equals; who wakes preempts the lesser."""

    def __init__(self, quantum_ns: int) -> None:
        self._quantum_ns = quantum_ns
        self._ready: list[Runnable] = []

    def enqueue_task(self, task: Runnable, now_ns: int) -> None:
        self._ready.append(task)

    def pick(self, now_ns: int) -> tuple[int, int] | None:
        if not self._ready:
            return None
        best = max(self._ready, key=lambda task: task.weight)
        self._ready.remove(best)
        return best.pid, self._quantum_ns

    def dequeue_task(self, pid: int, used_ns: int) -> None:
        self._ready = [task for task in self._ready if task.pid != pid]

    def wakeup_preempt(self, waking: Runnable, running: Runnable, now_ns: int) -> bool:
        return waking.weight > running.weight


class Eevdf:
    """Earliest eligible virtual deadline first (Stoica and Abdel-Wahab 1995), one queue.

    A task's virtual time is what it has used over its weight; it may run while that is not beyond
    the average, and the earliest deadline goes first.  `lags` keeps every lag seen at a decision.
    """

    lags: ClassVar[list[tuple[int, Fraction]]] = []

    def __init__(self, quantum_ns: int) -> None:
        self._request_ns = quantum_ns
        self._weight: dict[int, int] = {}
        self._used: dict[int, int] = {}
        self._virtual: dict[int, Fraction] = {}
        self._deadline: dict[int, Fraction] = {}
        self._waiting: set[int] = set()

    def _average(self) -> Fraction:
        weights = sum(self._weight.values())
        return sum((self._weight[p] * v for p, v in self._virtual.items()), Fraction()) / weights

    def _account(self, pid: int, used_ns: int) -> None:
        self._virtual[pid] += Fraction(used_ns - self._used[pid], self._weight[pid])
        self._used[pid] = used_ns

    def enqueue_task(self, task: Runnable, now_ns: int) -> None:
        if task.why == PREEMPTED:
            self._account(task.pid, task.used_ns)
        else:
            at = self._average() if self._weight else Fraction()
            self._weight[task.pid] = task.weight
            self._used[task.pid] = task.used_ns
            self._virtual[task.pid] = self._deadline[task.pid] = at
        if self._virtual[task.pid] >= self._deadline[task.pid]:
            ahead = Fraction(self._request_ns, task.weight)
            self._deadline[task.pid] = self._virtual[task.pid] + ahead
        self._waiting.add(task.pid)

    def dequeue_task(self, pid: int, used_ns: int) -> None:
        for record in (self._weight, self._used, self._virtual, self._deadline):
            del record[pid]
        self._waiting.discard(pid)

    def pick(self, now_ns: int) -> tuple[int, int] | None:
        average = self._average()
        for pid in self._weight:
            self.lags.append((pid, self._weight[pid] * (average - self._virtual[pid])))
        eligible = [pid for pid in self._waiting if self._virtual[pid] <= average]
        pid = min(eligible, key=lambda p: (self._deadline[p], p))
        self._waiting.remove(pid)
        return pid, self._request_ns


class PerCpu:
    """A queue for each CPU, in order of arrival; a CPU that has nothing to do takes the first."""

    queue_per_cpu = True
    stolen: ClassVar[list[int]] = []

    def __init__(self, quantum_ns: int) -> None:
        self._quantum_ns = quantum_ns
        self._ready: list[int] = []

    def enqueue(self, pid: int, now_ns: int) -> None:
        self._ready.append(pid)

    def dequeue_task(self, pid: int, used_ns: int) -> None:
        self._ready = [other for other in self._ready if other != pid]

    def pick(self, now_ns: int) -> tuple[int, int] | None:
        return (self._ready.pop(0), self._quantum_ns) if self._ready else None

    def steal(self, waiting: Mapping[int, Sequence[int]]) -> int | None:
        for pids in waiting.values():
            for pid in pids:
                self.stolen.append(pid)
                return pid
        return None


def weighing(weight: int, program: Callable[[Process], Life]) -> Callable[[Process], Life]:
    """Have a program run with another weight."""

    def weighed(task: Process) -> Life:
        row = task.system.table.by_pid[task.pid].row
        task.system.machine.arrays.entities[row].weight = weight
        yield from task.sleep(1)  # and be enqueued anew
        yield from program(task)

    return weighed


def computing(ns: int) -> Callable[[Process], Life]:
    def program(task: Process) -> Life:
        yield from task.compute(ns)

    return program


def played(policy: Any, programs: Mapping[str, Any], **how: Any) -> dict[str, Any]:
    host = {"memory_pages": 2000, "cpus": how.pop("cpus", 1), "hz": 1000}
    prices = how.pop("prices", flat_prices())
    return run(programs, host=host, prices=prices, scheduler=policy, **how)


def ended_ns(document: dict[str, Any]) -> dict[str, int]:
    return {p["name"]: p["ended_ns"] for p in document["processes"]}


def cpu_ns(document: dict[str, Any]) -> dict[str, int]:
    return {p["name"]: p["cpu_ns"] for p in document["processes"]}


def test_the_highest_priority_that_is_runnable_runs() -> None:
    """Two that compute, and one above them that wakes in the middle of a tick: to the ns."""

    def urgent(task: Process) -> Life:
        yield from task.sleep_until(4 * MS + 300_000)
        yield from task.compute(2 * MS)

    programs = {
        "low": weighing(100, computing(10 * MS)),
        "high": weighing(200, computing(6 * MS)),
        "urgent": weighing(300, urgent),
    }
    document = played(Priorities, programs, quantum_ns=MS)
    # It goes before the one that runs at the next tick, 5 ms, and ends 2 ms of work later.
    assert ended_ns(document) == {"urgent": 7 * MS, "high": 8 * MS + 1, "low": 18 * MS + 1}
    assert document["littles_law_residual"] == 0


def test_a_task_that_wakes_preempts_only_if_the_policy_says_so() -> None:
    class Patient(Priorities):
        def wakeup_preempt(self, waking: Runnable, running: Runnable, now_ns: int) -> bool:
            assert (waking.why, running.cpu) == (WOKE, 0)
            return False

    def urgent(task: Process) -> Life:
        yield from task.compute(1)
        yield from task.sleep_until(4 * MS)
        yield from task.compute(MS)

    programs = {"urgent": weighing(300, urgent), "low": weighing(1, computing(20 * MS))}
    ends = [
        ended_ns(played(policy, programs, quantum_ns=8 * MS))["urgent"]
        for policy in (Priorities, Patient)
    ]
    assert ends == [5 * MS, 10 * MS]  # at once, or at the first tick after a slice of 8 ms


def test_eevdf_shares_a_cpu_by_weight() -> None:
    """Each gets its weight's share of any stretch of time, within one request."""
    request_ns, until_ns = 3 * MS, 2_000 * MS
    programs = {
        f"nice {nice}": weighing(weight, computing(10**12)) for nice, weight in WEIGHTS.items()
    }
    document = played(Eevdf, programs, quantum_ns=request_ns, horizon_ns=until_ns)
    used = cpu_ns(document)
    for nice, weight in WEIGHTS.items():
        ideal_ns = until_ns * weight / sum(WEIGHTS.values())
        assert abs(used[f"nice {nice}"] - ideal_ns) <= request_ns, nice
    assert sum(used.values()) == until_ns - 1  # it slept for 1 ns, and lost nothing
    round_robin = cpu_ns(played("round_robin", programs, horizon_ns=until_ns))
    spread = max(round_robin.values()) - min(round_robin.values())
    assert spread < 10 * MS, "negative control: without weights all get the same"


def test_eevdfs_lags_are_bounded_by_a_request() -> None:
    """Theorem 1 of the paper: with equal requests no lag is beyond one; and lags add up to 0."""
    request_ns = 3 * MS
    Eevdf.lags.clear()

    def late(task: Process) -> Life:
        yield from task.sleep_until(333 * MS)
        yield from task.compute(100 * MS)

    programs: dict[str, Any] = {
        f"nice {nice}": weighing(weight, computing(10**12)) for nice, weight in WEIGHTS.items()
    }
    programs["late"] = weighing(NICE_0_WEIGHT, late)
    played(Eevdf, programs, quantum_ns=request_ns, horizon_ns=1_000 * MS)
    assert len(Eevdf.lags) > 900
    assert max(abs(lag) for _, lag in Eevdf.lags) <= request_ns
    assert max(abs(lag) for _, lag in Eevdf.lags) > request_ns / 2, "the bound is nearly met"


def test_a_cpu_without_work_takes_it_from_another() -> None:
    """The third of three tasks waits for the first CPU; the second one is through before."""
    PerCpu.stolen.clear()
    programs = {"a": computing(10 * MS), "b": computing(4 * MS), "c": computing(10 * MS)}
    document = played(PerCpu, programs, cpus=2, quantum_ns=100 * MS)
    assert len(PerCpu.stolen) == 1
    assert max(ended_ns(document).values()) == 14 * MS
    assert document["littles_law_residual"] == 0


def test_what_steal_returns_is_checked() -> None:
    class Thief(PerCpu):
        def steal(self, waiting: Mapping[int, Sequence[int]]) -> int | None:
            return 4711 if any(waiting.values()) else None

    programs = {name: computing(4 * MS) for name in "abc"} | {"b": computing(MS)}
    with pytest.raises(ScenarioError, match="steal returns the task 4711, which cannot be moved"):
        played(Thief, programs, cpus=2, quantum_ns=100 * MS)


@pytest.mark.parametrize("policy", [Priorities, Eevdf, PerCpu])
@pytest.mark.parametrize("burst", [1, 7])
def test_any_length_of_burst_gives_the_same_run(policy: Any, burst: int) -> None:
    def mixed(task: Process) -> Life:
        data = yield from task.mmap(40 * 4096)
        for _ in range(6):
            yield from task.write(data)
            yield from task.sleep(700_000)
            yield from task.compute(1_300_000)

    programs = {f"p{n}": weighing(500 * n + 100, mixed) for n in range(4)}
    how = {"cpus": 2, "quantum_ns": 2 * MS, "prices": None}
    longest = played(policy, programs, **how)
    assert longest["ending"] == "idle"
    assert played(policy, programs, burst=burst, **how) == longest
