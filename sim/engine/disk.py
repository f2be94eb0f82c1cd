"""The device that files are on, and the tasks that wait for a page of it.

A request waits for one of `queue_depth` places, takes the `latency`, and then its turn on the way
to or from memory, whose `bandwidth` all requests share.  All its pages are present, or written,
at its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import simpy

from sim.base.units import PAGE_BYTES, S
from sim.engine.waits import WaitList
from sim.kernel.files.readahead import arrived, is_under_way, written
from sim.machine.layout import HEED_READS

if TYPE_CHECKING:
    from sim.engine.clock import Clock
    from sim.engine.dispatcher import Dispatcher
    from sim.engine.task import Task
    from sim.machine.machine import Machine


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """What a device takes: ns until the first byte of a request, bytes/s, requests at a time."""

    latency_ns: int = 100_000
    bandwidth_bytes_per_s: float = 1e9
    queue_depth: int = 32


class Disk:
    """Serves what the kernel leaves in `m.requests`, first come first served."""

    def __init__(self, machine: Machine, clock: Clock, cpus: Dispatcher, spec: DiskSpec) -> None:
        self._machine = machine
        self._clock = clock
        self._spec = spec
        self._places = simpy.Resource(clock.env, spec.queue_depth)
        self._way = simpy.Resource(clock.env, 1)
        self._waiting = WaitList(cpus)
        self.reads = self.pages_read = self.writes = self.pages_written = 0

    def take_requests(self) -> None:
        """Take over the requests that the step just made has left."""
        m = self._machine.arrays
        pool = m.pool[0]
        config = m.config[0]
        largest = max(1, int(config.largest_read))
        for request in m.requests[: int(pool.requests)]:
            file, first, end = int(request.file), int(request.first), int(request.end)
            for start in range(first, end, largest):
                until = min(end, start + largest)
                serving = self._serve(file, start, until, writes=bool(request.write))
                self._clock.start(serving)
        pool.requests = 0
        pool.heed &= ~HEED_READS

    def transfer_ns(self, pages: int) -> int:
        """Return how long `pages` pages take on their way to memory."""
        return round(pages * PAGE_BYTES * S / self._spec.bandwidth_bytes_per_s)

    def _serve(self, file: int, first: int, end: int, *, writes: bool) -> Any:
        env = self._clock.env
        with self._places.request() as place:
            yield place
            yield env.timeout(self._spec.latency_ns)
            with self._way.request() as turn:
                yield turn
                yield env.timeout(self.transfer_ns(end - first))
        m = self._machine.arrays
        if writes:
            self.writes += 1
            self.pages_written += end - first
            written(m, file, end - first)
        else:
            self.reads += 1
            self.pages_read += end - first
            arrived(m, file, first, end)
        self._look_again()

    def refused(self, task: Task, cpu: int) -> None:
        """Block `task`, on `cpu`, until its page is present, or all it waits for is written."""
        self._waiting.park(task, cpu, "a page from the disk")

    def _look_again(self) -> None:
        """Let those go on whose page has come."""
        m = self._machine.arrays
        for task in self._waiting:
            t = m.tasks[task.row]
            if not is_under_way(m, int(t.wait_file), int(t.wait_index)):
                self._waiting.wake(task)
