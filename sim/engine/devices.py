"""The devices that files are on, and the tasks that wait for a page of them.

A request waits for one of `queue_depth` places, takes the `latency`, and then its turn on the way
to or from memory, whose `bandwidth` all requests to the device share.  All its pages are present,
or written, at its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import simpy

from sim.base.units import PAGE_BYTES, S
from sim.engine.waits import WaitList
from sim.kernel.files.requests import arrived, is_under_way, written
from sim.machine.layout import PENDING_READS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sim.engine.clock import Clock
    from sim.engine.cpus import Cpus
    from sim.engine.task import Task
    from sim.machine.machine import Machine


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """What a device takes: ns until the first byte of a request, bytes/s, requests at a time."""

    latency_ns: int = 100_000
    bandwidth_bytes_per_s: float = 1e9
    queue_depth: int = 32
    name: str = "the disk"


DISK: Final = DeviceSpec()


class Device:
    """Serves requests, first come first served, and counts them."""

    def __init__(
        self, machine: Machine, clock: Clock, spec: DeviceSpec, came: Callable[[int], None]
    ) -> None:
        self._machine = machine
        self._clock = clock
        self._came = came
        self.spec = spec
        self._places = simpy.Resource(clock.env, spec.queue_depth)
        self._way = simpy.Resource(clock.env, 1)
        self.reads = self.pages_read = self.writes = self.pages_written = 0

    def submit(self, file: int, first: int, end: int, *, writes: bool) -> None:
        """Take a request for the pages [first, end) of a file."""
        self._clock.start(self._serve(file, first, end, writes=writes))

    def transfer_ns(self, pages: int) -> int:
        """Return how long `pages` pages take on their way to memory."""
        return round(pages * PAGE_BYTES * S / self.spec.bandwidth_bytes_per_s)

    def _serve(self, file: int, first: int, end: int, *, writes: bool) -> Any:
        env = self._clock.env
        with self._places.request() as place:
            yield place
            yield env.timeout(self.spec.latency_ns)
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
        self._came(file)


class Devices:
    """All devices of a machine, by number; number 0 is its disk."""

    def __init__(
        self, machine: Machine, clock: Clock, cpus: Cpus, specs: Sequence[DeviceSpec]
    ) -> None:
        self._machine = machine
        self._cpus = cpus
        self._waiting: dict[int, WaitList] = {}  # by file
        self._devices = [Device(machine, clock, spec, self._look_again) for spec in specs]

    def __getitem__(self, number: int) -> Device:
        return self._devices[number]

    def take_requests(self) -> None:
        """Take over the requests that the step just made has left in `m.requests`."""
        m = self._machine.arrays
        pool = m.pool[0]
        largest = max(1, int(m.config[0].largest_read))
        for request in m.requests[: int(pool.requests)]:
            device = self._devices[int(request.bdev)]
            file, first, end = int(request.file), int(request.first), int(request.end)
            for start in range(first, end, largest):
                until = min(end, start + largest)
                device.submit(file, start, until, writes=bool(request.write))
        pool.requests = 0
        pool.pending &= ~PENDING_READS

    def refused(self, task: Task, cpu: int) -> None:
        """Block `task`, on `cpu`, until its page is present, or all it waits for is written."""
        m = self._machine.arrays
        file = int(m.operations[task.row].wait_file)
        if file not in self._waiting:
            self._waiting[file] = WaitList(self._cpus)
        name = self._devices[int(m.files[file].bdev)].spec.name
        self._waiting[file].park(task, cpu, f"a page from {name}")

    def _look_again(self, file: int) -> None:
        """Let those go on whose page of `file` has come."""
        m = self._machine.arrays
        waiting = self._waiting.get(file)
        if waiting is None:
            return
        for task in waiting:
            if not is_under_way(m, file, int(m.operations[task.row].wait_index)):
                waiting.wake(task)
        if not waiting:
            del self._waiting[file]
