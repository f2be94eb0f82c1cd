"""What a run keeps beside its metrics so that `sim.engine.validity` can judge it.

Unlike metrics, evidence is of the whole run: nothing of it is forgotten at the end of warm-up.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.base.units import PAGE_BYTES
from sim.engine.finding import MOST_WAITING
from sim.engine.held import Held
from sim.engine.names import kind_of
from sim.engine.windows import Windows
from sim.kernel import ops
from sim.kernel.overcommit import commit_limit
from sim.kernel.work import BY_GROUP, BY_HUGETLB, BY_LIMIT, BY_MEMORY, BY_PROMISE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.base.errors import Refused
    from sim.engine.clock import Clock
    from sim.engine.table import TaskTable
    from sim.engine.task import Task
    from sim.machine.machine import Machine
    from sim.program.arrivals import ArrivalStream

REQUEST: Final = "request"
"""The event that reads and writes with arrivals count by themselves."""

REFUSED_BY: Final = {
    0: "argument",
    BY_PROMISE: "promise",
    BY_LIMIT: "limit",
    BY_MEMORY: "memory",
    BY_HUGETLB: "hugetlb",
    BY_GROUP: "group",
}
"""What a call is refused by; all but the first are about memory."""


@dataclass(slots=True)
class EventCount:
    """How often something that a program is there to do began and ended."""

    begun: int = 0
    ended: int = 0
    failed: int = 0
    """Of those ended, how many came to nothing."""
    at_warmup: int = 0
    """Of those begun, how many had ended before anything was measured."""


@dataclass(slots=True)
class Load:
    """The requests that arrived for a process of the scenario; times of those begun or waiting."""

    begun: int = 0
    waiting: int = 0
    """Arrived, and not begun when the run ended, or when the program that should serve them did."""
    first_ns: int = -1
    last_ns: int = -1
    late_ns: int = 0
    """How long after it had arrived the last of them was done with."""
    window_ns: tuple[int, int] | None = None
    """From the first access that serves requests until the last of them was done with late, or was
    seen to wait; None if neither."""
    cpu_ns: tuple[int, ...] = ()
    """CPU time in use meanwhile, by CPU, by all there is."""
    busiest: tuple[str, float] | None = None
    """Of the tasks that serve them and were behind, which was most on a CPU, and for what share."""

    def note(self, first_ns: int, last_ns: int) -> None:
        """Widen the time of arrivals."""
        self.first_ns = first_ns if self.first_ns < 0 else min(self.first_ns, first_ns)
        self.last_ns = max(self.last_ns, last_ns)

    @property
    def is_late(self) -> bool:
        """Whether the last that arrived was done with late."""
        return self.late_ns > MOST_WAITING * (self.last_ns - self.first_ns) > 0


class Evidence:
    """Collects the evidence of one run."""

    def __init__(self, machine: Machine, clock: Clock, table: TaskTable) -> None:
        self._machine = machine
        self._clock = clock
        self._table = table
        self.held = Held(machine, clock)
        self._events: dict[tuple[str, str], EventCount] = {}
        self._declared: dict[str, tuple[str, ...]] = {}
        self._endless: set[str] = set()
        self._refusals: dict[tuple[str, str, str, str], dict[str, Any]] = {}
        self._waits: Counter[str] = Counter()
        self._loads: dict[str, Load] = {}
        self._offers: dict[int, list[tuple[ArrivalStream, int | None]]] = {}  # by pid
        self._windows = Windows(machine, clock, table)
        self._shares: dict[str, dict[str, float]] = {}  # of those behind, by origin and name

    def declare(
        self,
        origin: str,
        events: Mapping[str, str | None],
        values: Mapping[str, Any],
        endless: bool,
    ) -> None:
        """Say what `origin`, a process of the scenario, is there to do with these arguments."""
        self._declared[origin] = tuple(events)
        for event, parameter in events.items():
            if parameter is None or values[parameter]:
                self._events.setdefault((origin, event), EventCount())
        if endless:
            self._endless.add(origin)

    def begin(self, task: Task, event: str) -> None:
        """Count an event that begins.

        Raises `ValueError` for another than the program says it is there for, if it says anything.
        """
        declared = self._declared.get(task.origin, ())
        if declared and event not in declared:
            raise ValueError(
                f"begin: {event} is no event of it; @program has {', '.join(declared)}"
            )
        self._events.setdefault((task.origin, event), EventCount()).begun += 1

    def end(self, task: Task, event: str, failed: bool) -> None:
        """Count an event that ends, well or having failed.

        Raises `ValueError` if none is under way: that is a mistake in the program.
        """
        count = self._events.get((task.origin, event), EventCount())
        if count.ended >= count.begun:
            raise ValueError(f"end: no {event} is under way; call begin first")
        count.ended += 1
        count.failed += failed

    def offers(self, task: Task, stream: ArrivalStream, until_ns: int | None) -> None:
        """Take note that requests arrive for a task as `stream` says, before `until_ns`."""
        self._windows.open(task, offered=True)
        self._offers.setdefault(task.pid, []).append((stream, until_ns))

    def left(self, task: Task) -> None:
        """Count what had arrived and was not begun when the program of a task ended by itself."""
        self._count_offers(task)
        self._offers.pop(task.pid, None)

    def _count_offers(self, task: Task) -> None:
        load = self._loads.setdefault(task.origin, Load())
        for stream, until_ns in self._offers.get(task.pid, ()):
            end_ns = self._clock.end_ns
            end_ns = end_ns if until_ns is None else min(end_ns, until_ns)
            waiting = stream.due(end_ns)
            if waiting:
                load.waiting += waiting
                load.note(end_ns, end_ns)
                self._behind(task, load)

    def _behind(self, task: Task, load: Load) -> None:
        """Take note that a task is behind with its requests now, and what CPUs did until now."""
        load.window_ns, load.cpu_ns = self._windows.until_now(task)
        self._shares.setdefault(task.origin, {})[task.name] = self._windows.share(task)

    def serves(self, task: Task) -> None:
        """Take note that a task begins an access that serves requests."""
        self._windows.open(task)

    def requested(self, task: Task) -> None:
        """Count the requests of an access that is over, and when they arrived."""
        o = self._machine.arrays.operations[task.row]
        requests = -(-int(o.accesses) // int(o.per_request))
        first_ns, last_ns = (self._arrival_ns(task, n) for n in (0, requests - 1))
        load = self._loads.setdefault(task.origin, Load())
        load.begun += requests
        if last_ns >= load.last_ns:
            load.late_ns = self._clock.now_ns - last_ns
        load.note(first_ns, last_ns)
        if load.is_late:
            self._behind(task, load)
        else:
            self._shares.get(task.origin, {}).pop(task.name, None)

    def cut_off(self, task: Task) -> None:
        """Count the requests of the access under way, if any: begun, and those that wait."""
        o = self._machine.arrays.operations[task.row]
        if o.op != ops.OP_ACCESS or o.arrivals == 0:
            return
        per_request = int(o.per_request)
        begun = -(-(int(o.at) + int(o.touched > 0)) // per_request)
        requests = -(-int(o.accesses) // per_request)
        load = self._loads.setdefault(task.origin, Load())
        load.begun += begun
        if task.killed is None:
            arrived = self._arrived(task, requests)
            load.waiting += max(0, arrived - begun)
            if arrived:
                load.note(self._arrival_ns(task, 0), self._arrival_ns(task, arrived - 1))
            if arrived > begun:
                self._behind(task, load)

    def _arrival_ns(self, task: Task, number: int) -> int:
        """Return when a request of the access under way, or just over, arrives."""
        m = self._machine.arrays
        o = m.operations[task.row]
        if o.arrivals == 1:
            return int(o.arrival_first + number * o.arrival_every)
        return int(m.lists[int(o.arrivals_at) + number])

    def _arrived(self, task: Task, requests: int) -> int:
        """Return how many requests of the access under way have arrived by now."""
        m = self._machine.arrays
        o = m.operations[task.row]
        end_ns = self._clock.end_ns
        if o.arrivals == 1:
            every_ns = int(o.arrival_every)
            if end_ns < o.arrival_first or every_ns == 0:
                return requests if end_ns >= o.arrival_first else 0
            return min(requests, (end_ns - int(o.arrival_first)) // every_ns + 1)
        times_ns = m.lists[int(o.arrivals_at) : int(o.arrivals_at) + requests]
        return int(np.searchsorted(times_ns, end_ns, side="right"))

    def waited(self, task: Task) -> None:
        """Take note that a task has to wait for memory."""
        self._waits[kind_of(task.name)] += 1
        self.held.short()

    def warmed_up(self) -> None:
        """Take note that measuring begins now."""
        self._count_requests()
        self.held.restart()
        for count in self._events.values():
            count.at_warmup = count.ended

    def refused(self, task: Task, refused: Refused) -> None:
        """Take note that the kernel refuses a call, by what, and what it has promised by then."""
        self._refusal(task, refused.call, refused.errno.name, refused.by)["count"] += 1
        if refused.by == "memory":
            self.held.short()

    def failed(self, task: Task, refused: Refused) -> None:
        """Take note that a process ends because a call was refused and it did not expect that."""
        found = self._refusal(task, refused.call, refused.errno.name, refused.by)
        if refused.why:
            found["why"] = refused.why
        found["failed"] += 1
        found["count"] = max(found["count"], found["failed"])

    def crashed(self, task: Task) -> None:
        """Take note that a task is ended by SIGSEGV, if that is because of a promise refused."""
        o = self._machine.arrays.operations[task.row]
        if o.refused_by != 0:
            call = "exec" if o.op == ops.OP_EXEC else "growing its stack"
            found = self._refusal(task, call, "SIGSEGV", REFUSED_BY[int(o.refused_by)])
            found["count"] += 1
            found["failed"] += 1

    def _refusal(self, task: Task, call: str, errno: str, by: str) -> dict[str, Any]:
        m = self._machine.arrays
        o = m.operations[task.row]
        key = (kind_of(task.name), call, errno, by)
        if key not in self._refusals:
            self._refusals[key] = {
                "process": key[0],
                "call": call,
                "errno": errno,
                "by": by,
                "count": 0,
                "failed": 0,
                "first_ns": self._clock.now_ns,
                "asked_bytes": int(o.refused_pages) * PAGE_BYTES,
                "committed_bytes": int(o.refused_with) * PAGE_BYTES,
                "commit_limit_bytes": int(commit_limit(m)) * PAGE_BYTES,
            }
        return self._refusals[key]

    def _count_requests(self) -> None:
        for (origin, event), count in self._events.items():
            if event == REQUEST:
                load = self._loads.get(origin, Load())
                count.begun = count.ended = load.begun

    def to_json(self) -> dict[str, Any]:
        """Return the evidence as JSON-able values."""
        for task in self._table.living():
            self.cut_off(task)
            if task.killed is None:
                self._count_offers(task)
        self._count_requests()
        for origin, shares in self._shares.items():
            if shares:
                self._loads[origin].busiest = max(shares.items(), key=lambda each: each[1])
        return {
            "events": [
                {
                    "process": origin,
                    "event": event,
                    "begun": count.begun,
                    "ended": count.ended,
                    "failed": count.failed,
                    "measured": count.begun - count.at_warmup,
                }
                for (origin, event), count in self._events.items()
            ],
            "endless": sorted(self._endless),
            "refusals": list(self._refusals.values()),
            "memory_waits": dict(self._waits),
            "arrivals": [
                {"process": origin, **asdict(load)}
                for origin, load in self._loads.items()
                if load.begun or load.waiting
            ],
            "cpu_ns": [int(cpu.busy_ns) for cpu in self._machine.arrays.cpus],
            "held": self.held.to_json(),
        }
