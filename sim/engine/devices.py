"""The devices that files are on, and the tasks that wait for a page of them.

A request waits for one of `queue_depth` places, takes the `latency`, and then its turn on the way
to or from memory, whose `bandwidth` all requests to the device share.  All its pages are present,
or written, at its end.  Latencies are all the same, or drawn: lognormal, independent, in the order
in which requests come.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import simpy

from sim.base.units import PAGE_BYTES, S
from sim.cost.quantiles import PS_PER_NS, lognormal, table_quantile_ps
from sim.engine.waits import WaitList
from sim.kernel.files.requests import (
    arrived,
    direct_wait,
    is_thrashing,
    is_under_way,
    written,
)
from sim.kernel.reclaim.pageout import wakeup_flusher
from sim.machine.layout import NONE, PENDING_QUEUE, PENDING_READS, PENDING_ROOM, ROOT
from sim.machine.words import O_WAIT_FILE, O_WAIT_INDEX, O_WORDS, P_PENDING, P_REQUESTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator

    from sim.engine.clock import Clock
    from sim.engine.cpus import Cpus
    from sim.engine.pressure import Pressure
    from sim.engine.task import Task
    from sim.machine.machine import Machine


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """What a device takes: ns until the first byte of a request, bytes/s, requests at a time.

    `latency_ns` is the mean of a lognormal with the standard deviation `latency_sd_ns`.
    """

    latency_ns: int = 100_000
    bandwidth_bytes_per_s: float = 1e9
    queue_depth: int = 32
    name: str = "the disk"
    latency_sd_ns: int = 0


DISK: Final = DeviceSpec()
_WRITTEN: Final = "dirty pages of files to be written"
_WRITES: Final = range(NONE, NONE + 1)
"""In place of pages: who waits for NONE waits for all writes to a file."""


class Device:
    """Serves requests, first come first served, and counts them."""

    def __init__(
        self,
        machine: Machine,
        clock: Clock,
        spec: DeviceSpec,
        came: Callable[[int, range], None],
        transferred: Callable[[int, int, int], None],
        luck_of: Callable[[str], Generator],
    ) -> None:
        self._machine = machine
        self._clock = clock
        self._came = came
        self._transferred = transferred
        self.spec = spec
        self._places = simpy.Resource(clock.env, spec.queue_depth)
        self._way = simpy.Resource(clock.env, 1)
        self._table = lognormal(spec.latency_ns * PS_PER_NS, spec.latency_sd_ns * PS_PER_NS)
        self._luck = luck_of(spec.name) if spec.latency_sd_ns else None
        self.reads = self.pages_read = self.writes = self.pages_written = 0

    def submit(self, file: int, first: int, end: int, *, writes: bool, direct: int = 0) -> None:
        """Take a request for the pages [first, end) of a file; `direct` is its transfer, if any."""
        latency_ns = self.latency_ns()
        self._clock.start(self._serve(file, first, end, latency_ns, writes=writes, direct=direct))

    def latency_ns(self) -> int:
        """Return how long the next request takes to its first byte."""
        if self._luck is None:
            return self.spec.latency_ns
        return round(table_quantile_ps(self._table, float(self._luck.random())) / PS_PER_NS)

    def transfer_ns(self, pages: int) -> int:
        """Return how long `pages` pages take on their way to memory."""
        return round(pages * PAGE_BYTES * S / self.spec.bandwidth_bytes_per_s)

    def _serve(
        self, file: int, first: int, end: int, latency_ns: int, *, writes: bool, direct: int
    ) -> Any:
        env = self._clock.env
        with self._places.request() as place:
            yield place
            yield env.timeout(latency_ns)
            with self._way.request() as turn:
                yield turn
                yield env.timeout(self.transfer_ns(end - first))
        m = self._machine.arrays
        if writes:
            self.writes += 1
            self.pages_written += end - first
        else:
            self.reads += 1
            self.pages_read += end - first
        if direct:
            self._transferred(file, direct, end - first)
        elif writes:
            written(m, file, first, end)
            self._came(file, _WRITES)
            if file == m.swap_area[0].file:
                self._came(file, range(first, end))
        else:
            arrived(m, file, first, end)
            self._came(file, range(first, end))


class Devices:
    """All devices of a machine, by number; number 0 is its disk."""

    def __init__(
        self,
        machine: Machine,
        clock: Clock,
        cpus: Cpus,
        pressure: Pressure,
        specs: Sequence[DeviceSpec],
        released: Callable[[], None],
        luck_of: Callable[[str], Generator],
    ) -> None:
        self._machine = machine
        self._words = machine.arrays.words
        self._largest = max(1, int(machine.arrays.config[0].largest_read))
        self._cpus = cpus
        self._pressure = pressure
        self._waiting: dict[tuple[int, int], WaitList] = {}  # by file and page
        self._turns: dict[int, int] = {}  # by pid: the order in which they began to wait
        self._parked = 0
        self._throttled = WaitList(cpus, pressure=pressure)
        self._released = released
        self._direct: dict[int, int] = {}  # pages under way, by transfer past the page cache
        self._devices = [
            Device(machine, clock, spec, self._look_again, self._transferred, luck_of)
            for spec in specs
        ]

    def __getitem__(self, number: int) -> Device:
        return self._devices[number]

    def take_requests(self) -> None:
        """Take over the requests that the step just made has left in `m.requests`."""
        pool = self._words.pool
        requests = self._machine.arrays.requests[: pool[P_REQUESTS]]
        for bdev, file, first, end, write, direct in requests.tolist():
            if direct:
                self._direct[direct] = end - first
            for start in range(first, end, self._largest):
                until = min(end, start + self._largest)
                self._devices[bdev].submit(file, start, until, writes=bool(write), direct=direct)
        pool[P_REQUESTS] = 0
        pool[P_PENDING] &= ~PENDING_READS

    def refused(self, task: Task, cpu: int) -> None:
        """Block `task`, on `cpu`, until its page is present, or all it waits for is written."""
        m = self._machine.arrays
        operation = task.row * O_WORDS
        file = self._words.operations[operation + O_WAIT_FILE]
        awaited = file, self._words.operations[operation + O_WAIT_INDEX]
        if awaited not in self._waiting:
            self._waiting[awaited] = WaitList(self._cpus, pressure=self._pressure)
        name = self._devices[int(m.files["bdev"][file])].spec.name
        stalled = is_thrashing(m, *awaited)
        self._waiting[awaited].park(task, cpu, f"a page from {name}", stalled=stalled)
        self._turns[task.pid] = self._parked
        self._parked += 1

    def throttle(self, task: Task, cpu: int) -> None:
        """Block `task`, on `cpu`, until some dirty pages of files have been written."""
        self._throttled.park(task, cpu, _WRITTEN)

    def await_room(self, task: Task, cpu: int) -> None:
        """Block `task`, on `cpu`, which needs memory that pages have which must be written first.

        They are its group's; or others keep the swap device so busy that it takes no more.  Where
        none is being written the flusher is woken: what was clean when it came by may be dirty now.
        """
        m = self._machine.arrays
        o = m.operations[task.row]
        o.naps = 0
        g, swap = m.groups[int(o.over)], int(m.swap_area[0].file)
        being_written = g.writeback > 0 or (swap != NONE and is_under_way(m, swap, NONE))
        if g.dirty > 0 or being_written:
            self._throttled.park(task, cpu, _WRITTEN, stalled=True)
            self._pressure.sleeps(task)
        if g.dirty > 0 and not being_written:
            wakeup_flusher(m)

    def nothing_to_write(self) -> None:
        """Let those look again who wait for writes: the flusher finds no more reason for any."""
        if self._machine.arrays.groups[ROOT].writeback == 0:
            for task in self._throttled:
                self._throttled.wake(task)

    def _transferred(self, file: int, number: int, pages: int) -> None:
        """Take note that pages of a transfer past the page cache are done; who waits goes on."""
        self._direct[number] -= pages
        if self._direct[number] == 0:
            del self._direct[number]
            waiting = self._waiting.pop((file, direct_wait(number)), WaitList(self._cpus))
            for task in waiting:
                del self._turns[task.pid]
                waiting.wake(task)

    def _look_again(self, file: int, pages: range) -> None:
        """Let those go on whose page of `file`, one of `pages`, has come, as they came.

        What is clean now can be reclaimed: who waits for memory hears of it.
        """
        if pages is _WRITES:
            for task in self._throttled:
                self._throttled.wake(task)
        m = self._machine.arrays
        come: list[tuple[int, Task, WaitList]] = []
        awaited = [key for key in self._waiting if key[0] == file and key[1] in pages]
        for key in awaited:
            if not is_under_way(m, *key):
                waiting = self._waiting.pop(key)
                come += [(self._turns.pop(task.pid), task, waiting) for task in waiting]
        for _, task, waiting in sorted(come, key=itemgetter(0)):
            waiting.wake(task)
        if not self._waiting:
            self._turns.clear()  # of those that were killed
        if m.pool[0].pending & (PENDING_QUEUE | PENDING_ROOM):
            self._released()
