"""What a run keeps beside its metrics so that `sim.engine.validity` can judge it.

Unlike metrics, evidence is of the whole run: nothing of it is forgotten at the end of warm-up.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.engine.names import kind_of
from sim.kernel import step as ops
from sim.kernel.work import BY_LIMIT, BY_MEMORY, BY_PROMISE
from sim.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.engine.system import System
    from sim.engine.task import Task
    from sim.errors import Refused

REQUEST: Final = "request"
"""The event that reads and writes with arrivals count by themselves."""

REFUSED_BY: Final = {0: "argument", BY_PROMISE: "promise", BY_LIMIT: "limit", BY_MEMORY: "memory"}
"""What a call is refused by; all but the first are about memory."""


@dataclass(slots=True)
class EventCount:
    """How often something that a program is there to do began and ended."""

    begun: int = 0
    ended: int = 0
    at_warmup: int = 0
    """Of those begun, how many had ended before anything was measured."""


class Evidence:
    """Collects the evidence of one run."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._events: dict[tuple[str, str], EventCount] = {}
        self._endless: set[str] = set()
        self._refusals: dict[tuple[str, str, str, str], dict[str, Any]] = {}
        self._waits: Counter[str] = Counter()
        self._arrivals: dict[str, list[int]] = {}

    def declare(
        self,
        origin: str,
        events: Mapping[str, str | None],
        values: Mapping[str, Any],
        endless: bool,
    ) -> None:
        """Say what `origin`, a process of the scenario, is there to do with these arguments."""
        for event, parameter in events.items():
            if parameter is None or values[parameter]:
                self._events.setdefault((origin, event), EventCount())
        if endless:
            self._endless.add(origin)

    def begin(self, task: Task, event: str) -> None:
        """Count an event that begins."""
        self._events.setdefault((task.origin, event), EventCount()).begun += 1

    def end(self, task: Task, event: str) -> None:
        """Count an event that ends."""
        self._events.setdefault((task.origin, event), EventCount()).ended += 1

    def requested(self, task: Task, begun: int) -> None:
        """Count requests that were begun by an access that is over."""
        self._arrivals.setdefault(task.origin, [0, 0])[0] += begun

    def cut_off(self, task: Task) -> None:
        """Count the requests of the access under way, if any: begun, and those that wait."""
        t = self._system.machine.arrays.tasks[task.row]
        if t.op != ops.OP_ACCESS or t.arrivals == 0:
            return
        per_request = int(t.per_request)
        begun = -(-(int(t.at) + int(t.within > 0)) // per_request)
        requests = -(-int(t.count) // per_request)
        counts = self._arrivals.setdefault(task.origin, [0, 0])
        counts[0] += begun
        if task.killed is None:
            counts[1] += self._due(task) - begun if begun < requests else 0

    def _due(self, task: Task) -> int:
        """Return how many requests of the access under way have arrived by now."""
        m = self._system.machine.arrays
        t = m.tasks[task.row]
        requests = -(-int(t.count) // int(t.per_request))
        end_ns = self._system.end_ns()
        if t.arrivals == 1:
            due = (end_ns - int(t.arrival_first)) // max(1, int(t.arrival_every)) + 1
            return max(0, min(requests, due))
        at = int(t.arrivals_at)
        return int(np.searchsorted(m.lists[at : at + requests], end_ns, side="right"))

    def waited(self, task: Task) -> None:
        """Take note that a task has to wait for memory."""
        self._waits[kind_of(task.name)] += 1

    def warmed_up(self) -> None:
        """Take note that measuring begins now."""
        self._count_requests()
        for count in self._events.values():
            count.at_warmup = count.ended

    def refused(self, task: Task, refused: Refused) -> None:
        """Take note that the kernel refuses a call, by what, and what it has promised by then."""
        self._refusal(task, refused.call, refused.errno.name, refused.by)["count"] += 1

    def failed(self, task: Task, refused: Refused) -> None:
        """Take note that a process ends because a call was refused and it did not expect that."""
        found = self._refusal(task, refused.call, refused.errno.name, refused.by)
        found["failed"] += 1
        found["count"] = max(found["count"], found["failed"])

    def crashed(self, task: Task) -> None:
        """Take note that a task is ended by SIGSEGV, if that is because of a promise refused."""
        t = self._system.machine.arrays.tasks[task.row]
        if t.refused_by != 0:
            call = "exec" if t.op == ops.OP_EXEC else "growing its stack"
            found = self._refusal(task, call, "SIGSEGV", REFUSED_BY[int(t.refused_by)])
            found["count"] += 1
            found["failed"] += 1

    def _refusal(self, task: Task, call: str, errno: str, by: str) -> dict[str, Any]:
        m = self._system.machine.arrays
        t = m.tasks[task.row]
        key = (kind_of(task.name), call, errno, by)
        if key not in self._refusals:
            self._refusals[key] = {
                "process": key[0],
                "call": call,
                "errno": errno,
                "by": by,
                "count": 0,
                "failed": 0,
                "first_ns": task.now_ns,
                "asked_bytes": int(t.refused_pages) * PAGE_BYTES,
                "committed_bytes": int(t.refused_with) * PAGE_BYTES,
                "commit_limit_bytes": int(m.pool[0].commit_limit) * PAGE_BYTES,
            }
        return self._refusals[key]

    def _count_requests(self) -> None:
        for (origin, event), count in self._events.items():
            if event == REQUEST:
                count.begun = count.ended = self._arrivals.get(origin, [0, 0])[0]

    def to_json(self) -> dict[str, Any]:
        """Return the evidence as JSON-able values."""
        for task in self._system.living():
            self.cut_off(task)
        self._count_requests()
        return {
            "events": [
                {
                    "process": origin,
                    "event": event,
                    "begun": count.begun,
                    "ended": count.ended,
                    "measured": count.begun - count.at_warmup,
                }
                for (origin, event), count in self._events.items()
            ],
            "endless": sorted(self._endless),
            "refusals": list(self._refusals.values()),
            "memory_waits": dict(self._waits),
            "arrivals": [
                {"process": origin, "begun": begun, "waiting": waiting}
                for origin, (begun, waiting) in self._arrivals.items()
            ],
        }
