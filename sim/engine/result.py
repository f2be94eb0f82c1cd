"""What a run came to: metrics, processes, time series and distributions, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.base.units import PAGE_BYTES
from sim.engine.burst import note_peak
from sim.engine.latency import forget_latencies, latencies, request_batches
from sim.engine.metrics import LIVES, SHORTAGE
from sim.engine.queues import bring_up_to
from sim.engine.reclaim_figures import ReclaimFigures
from sim.engine.task import State, Task
from sim.machine import work
from sim.machine.layout import (
    GROUP_SERIES,
    KIND_ZRAM,
    PEAK,
    ROOT,
    SAMPLE,
    SERIES_ACTIVE_FILE,
    SERIES_SOME,
    SWAP_DEVICE,
    SWAP_IN_MEMORY,
    ZERO_WHEN_IDLE,
)
from sim.machine.swap import forget_swap_peak
from sim.observe.faults import FAULT_KINDS, FAULT_LINES, FAULT_METRICS
from sim.observe.histogram import FORK, REQUEST, RUNQUEUE, VFORK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.engine.system import System

SCHEMA_VERSION: Final = 1
_OF_ZRAM: Final = ("zram", "zram_pages")
_OF_STOCK: Final = ("zeroed_pages",)
_ZEROS: Final = ("swpout_zero", "swpin_zero")
_OF_SWAP: Final = ("active_anon_pages", "inactive_anon_pages", "swap_pages")
"""Without a swap device no anonymous page is on a list here, because nothing looks for it there."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """Everything a run says of itself; `to_json` is the document that the command line prints."""

    document: dict[str, Any]

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics, named as Linux and operators name them."""
        found: dict[str, Any] = self.document["metrics"]
        return found

    @property
    def ending(self) -> str:
        """How the run ended: ``horizon``, ``idle`` or ``deadlock``."""
        return str(self.document["ending"])

    @property
    def validity(self) -> list[dict[str, Any]]:
        """What was found that bears on the answer; see `sim.engine.validity`."""
        found: list[dict[str, Any]] = self.document["validity"]
        return found

    @property
    def answered(self) -> bool:
        """Whether the run answers its question: nothing was found that is an error."""
        return bool(self.document["answered"])

    def to_json(self) -> dict[str, Any]:
        """Return the document: JSON-able values only."""
        return self.document


class Measurement:
    """What is measured from the end of warm-up on."""

    def __init__(self, system: System, stages: Mapping[str, Mapping[str, float]]) -> None:
        self._system = system
        self._shares = stages
        self._since_ns = 0
        self._busy_ns = 0
        self._free_area = 0
        self._stalls = self._stall_ns = self._swapped = 0
        self._zeros = dict.fromkeys(_ZEROS, 0)
        self._reclaim = ReclaimFigures(system.machine, system.pressure, system.throttle)

    def restart(self) -> None:
        """Forget what was counted so far, but not what the levels are now: the end of warm-up."""
        system = self._system
        m = system.machine.arrays
        system.cpus.sample()
        bring_up_to(m, system.clock.end_ns)
        system.figures.restart()
        m.spent_ps[:] = 0
        forget_latencies(m)
        m.peak[0].total = 0
        m.clock[0].free_min = m.pool[0].free
        system.evidence.warmed_up()
        system.cpus.restart(system.clock.now_ns)
        note_peak(m)
        self._since_ns = system.clock.now_ns
        self._busy_ns = self._busy_now()
        self._free_area = self._area_now()
        self._reclaim.restart(self._since_ns)
        self._stalls = int(m.pool[0].allocation_stalls)
        self._stall_ns = system.pressure.direct_reclaim_ns()
        forget_swap_peak(m)
        self._swapped = int(m.lruvecs["pgsteal_anon"].sum())
        self._zeros = {name: int(m.lruvecs[name].sum()) for name in _ZEROS}

    def _busy_now(self) -> int:
        """Return CPU time used up to now; steps under way count up to now only."""
        busy = 0
        for cpu in self._system.machine.arrays.cpus:
            busy += int(cpu.busy_ns)
            if cpu.idle_from_ns < 0:
                busy -= max(0, int(cpu.next_ns) - self._system.clock.end_ns)
        return busy

    def _area_now(self) -> int:
        clock = self._system.machine.arrays.clock[0]
        return int(clock.free_high) * 2**61 + int(clock.free_low)

    def result(self) -> dict[str, Any]:
        """Sum up the run, which has ended, without a judgement of it."""
        system = self._system
        bring_up_to(system.machine.arrays, system.clock.end_ns)
        for task in system.table.processes():
            if task.figures is None:
                system.figures.take(task)
            else:  # cut off in its exit
                system.figures.ended(task)
        everybody = system.table.everybody()
        return {
            "schema_version": SCHEMA_VERSION,
            "ending": system.driver.ending,
            "deadlock": system.driver.deadlock,
            "simulated_ns": system.clock.end_ns,
            "metrics": self._metrics(),
            "processes": [self._process(task) for task in everybody],
            "programs": {t.name: t.records for t in everybody if t.records},
            "stages": self._stages(),
            "work": self._spent(),
            "operations": system.figures.counters["operations"],
            "series": self._series(),
            "marks": [
                {"t_ns": t_ns, "kind": kind, "name": name}
                for t_ns, kind, name in system.figures.marks
            ],
            "distributions": self._distributions(),
            "request_batches": request_batches(system.machine.arrays),
            "littles_law_residual": system.cpus.little_residual(system.clock.end_ns),
            "disk": {
                name: getattr(system.devices[0], name)
                for name in ("reads", "pages_read", "writes", "pages_written")
            },
            **self._swap(),
            "host": self._host(),
            "psi": self._reclaim.psi(ROOT),
            "groups": system.groups.to_json(self._reclaim, system.clock.end_ns),
            "kills": system.kills.entries,
            "evidence": system.evidence.to_json(),
        }

    def _swap(self) -> dict[str, Any]:
        """Return what there was of swap, if there is a swap device."""
        m = self._system.machine.arrays
        if m.config[0].total_swap_pages == 0:
            return {}
        root = m.groups[ROOT]
        device = self._system.devices[SWAP_DEVICE]
        return {
            "swap": {
                "used_bytes": int(root.swap) * PAGE_BYTES,
                "peak_bytes": int(root.swap_peak) * PAGE_BYTES,
                "stolen_pages": int(m.lruvecs["pgsteal_anon"].sum()) - self._swapped,
                **{name: getattr(device, name) for name in ("reads", "writes")},
                **self._zero_pages(),
                **self._zram(),
            }
        }

    def _zero_pages(self) -> dict[str, int]:
        """Return how many pages went out and in as a bit, if any are all zeros."""
        m = self._system.machine.arrays
        if m.config[0].zero_pages_of_2_32 == 0:
            return {}
        return {name: int(m.lruvecs[name].sum()) - before for name, before in self._zeros.items()}

    def _zram(self) -> dict[str, int]:
        """Return what swap takes of memory, if it is in memory."""
        if not self._has_zram():
            return {}
        m = self._system.machine.arrays
        return {
            "zram_bytes": int(m.charged[ROOT, KIND_ZRAM]) * PAGE_BYTES,
            "zram_peak_bytes": int(m.pool[0].zram_peak) * PAGE_BYTES,
        }

    def _has_zram(self) -> bool:
        return self._system.machine.host.swap_kind == SWAP_IN_MEMORY

    def _metrics(self) -> dict[str, Any]:
        system = self._system
        m = system.machine.arrays
        units = m.spent_ps[:, 0]
        counters = system.figures.counters
        kinds = {
            kind: sum(int(units[line]) for line in lines) for kind, lines in FAULT_KINDS.items()
        }
        elapsed_ns = max(1, system.clock.end_ns - self._since_ns)
        pool, clock = m.pool[0], m.clock[0]
        stalls = int(pool.allocation_stalls) - self._stalls
        return {
            **{name: counters[name] for name in LIVES},
            "minor_faults": sum(kinds.values()),
            "major_faults": int(units[work.MAJOR_FAULT]),
            **{metric: kinds[kind] for kind, metric in FAULT_METRICS.items()},
            "segfaults": counters["segfaults"],
            **{name: counters[name] for name in SHORTAGE},
            "first_oom_ns": system.kills.first_ns,
            "direct_reclaims": stalls,
            "allocation_stalls": stalls,
            "allocation_stall_ns": system.pressure.direct_reclaim_ns() - self._stall_ns,
            "bus_errors": counters["bus_errors"],
            "context_switches": int(units[work.CONTEXT_SWITCH]),
            "fault_latency_ns": latencies(m, *FAULT_LINES).summary(),
            "fork_latency_ns": latencies(m, FORK).summary(),
            "vfork_latency_ns": latencies(m, VFORK).summary(),
            "request_latency_ns": latencies(m, REQUEST).summary(),
            "runqueue_wait_ns": latencies(m, RUNQUEUE).summary(),
            "free_pages": {
                "min": int(clock.free_min),
                "mean": (self._area_now() - self._free_area) / elapsed_ns,
                "end": int(pool.free),
            },
            "memory_need_bytes": {
                name: int(m.peak[0][name]) * PAGE_BYTES for name in self._told(PEAK.names)
            },
            "cpu_busy_fraction": (self._busy_now() - self._busy_ns)
            / (elapsed_ns * system.machine.host.cpus),
            **self._reclaim.of_group(ROOT, system.clock.end_ns),
        }

    def _told(self, names: Sequence[str] | None) -> list[str]:
        """Return the names of levels that are told: of what there is none of, nothing."""
        left_out: tuple[str, ...] = () if self._has_zram() else _OF_ZRAM
        if self._system.machine.arrays.config[0].zeroing != ZERO_WHEN_IDLE:
            left_out += _OF_STOCK
        return [name for name in names or () if name not in left_out]

    @staticmethod
    def _process(task: Task) -> dict[str, Any]:
        figures = task.figures or {}
        return {
            "name": task.name,
            "pid": int(task.pid),
            **figures,
            "started_ns": task.created_ns,
            "ended_ns": task.ended_ns,
            "ended": task.ended_how if task.state is State.ENDED else "running",
        }

    def _stages(self) -> dict[str, int]:
        """Return where the time of faults went: stated shares of each kind's total, in ns."""
        spent = self._system.machine.arrays.spent_ps
        return {
            f"{kind}/{stage}": round(int(spent[work.KINDS[kind], 1]) * share / 1000)
            for kind, shares in self._shares.items()
            for stage, share in shares.items()
        }

    def _spent(self) -> dict[str, dict[str, int]]:
        """Return units and ns by line of work."""
        spent = self._system.machine.arrays.spent_ps
        return {
            name: {"units": int(spent[line, 0]), "ns": (int(spent[line, 1]) + 500) // 1000}
            for name, line in work.KINDS.items()
            if spent[line, 0] > 0
        }

    def _series(self) -> dict[str, Any]:
        """Return levels over time: of the machine by name, and of each of `groups`."""
        m = self._system.machine.arrays
        until = int(m.clock[0].samples)
        rows: Any = m.samples[:until]
        has_swap = m.config[0].total_swap_pages > 0

        def of_group(row: int, first: int = 0) -> dict[str, list[int]]:
            names = GROUP_SERIES if self._reclaim.has_psi(row) else GROUP_SERIES[:SERIES_SOME]
            told = m.group_samples[row, :until]
            return {
                name: told[:, at].tolist()
                for at, name in enumerate(names)
                if at >= first and (has_swap or name not in _OF_SWAP)
            }

        return {
            **{name: rows[name].tolist() for name in self._told(SAMPLE.names)},
            **of_group(ROOT, SERIES_ACTIVE_FILE),
            "groups": {name: of_group(row) for name, row in self._system.groups.rows.items()},
        }

    def _distributions(self) -> dict[str, Any]:
        m = self._system.machine.arrays
        rows = {
            **work.KINDS,
            "request": REQUEST,
            "fork": FORK,
            "vfork": VFORK,
            "runqueue": RUNQUEUE,
        }
        return {
            name: latencies(m, row).distribution()
            for name, row in rows.items()
            if m.histograms[row].any()
        }

    def _host(self) -> Mapping[str, int]:
        machine = self._system.machine
        return {
            "total_pages": machine.host.memory_pages,
            "kernel_reserve_pages": machine.host.kernel_pages,
            "free_at_start_pages": machine.free_at_start_pages,
            **{f"{name}_pages": pages for name, pages in machine.watermark_pages().items()},
            **machine.huge_pages(),
        }
