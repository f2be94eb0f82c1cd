"""Amounts of what costs the simulator time, and what each costs.

What a run does is in its result (`done`); what it will do, the programs' forms expect
(`sim.scenario.effort`).  The price list turns both into one figure, so that they can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from sim.base.units import PAGE_BYTES
from sim.machine import work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.machine.work import Kind


@dataclass(frozen=True, slots=True)
class Amount:
    """How often each kind of work is done; numbers are means and need not be whole."""

    fills: float = 0.0
    """Pages filled for the first time."""
    copies: float = 0.0
    """Pages copied by a write fault, or by a fork that copies pages."""
    accesses: float = 0.0
    removed: float = 0.0
    """Entries of page tables removed; what a fork copies is removed one day."""
    cached: float = 0.0
    """Pages of files mapped or read."""
    requests: float = 0.0
    processes: float = 0.0
    operations: float = 0.0
    """Calls, accesses to a range, and stretches of computing that programs ask for."""
    reads: float = 0.0
    """Requests to the device that somebody waits for."""
    dispatches: float = 0.0
    """Times that a CPU begins with a task."""

    def __add__(self, other: Amount) -> Amount:
        """Return both together."""
        names = [f.name for f in fields(self)]
        return Amount(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def times(self, factor: float) -> Amount:
        """Return `factor` times this."""
        return Amount(**{f.name: factor * getattr(self, f.name) for f in fields(self)})


WORK_NS: Final = Amount(
    fills=60.0,
    copies=174.0,
    accesses=29.0,
    removed=24.0,
    cached=68.0,
    requests=130.0,
    processes=211e3,
    operations=51e3,
    reads=150e3,
    dispatches=97e3,
)
"""Worker time of each, in ns: fitted to the CPU time of 55 runs of the programs, one after another
in one process (a busy virtual machine on an AMD EPYC, compilation apart).  The fit gives 52 of them
within a factor of 1.4; the others were the first of their process on a host that large, and took
2.4 to 6.8 times as long.  `reads` is not fitted but set by one run with 2,011 of them."""

FRAME_NS: Final = 5.0
"""Worker time a frame of the host: it is set up, and audited at the end."""
RUN_NS: Final = 10.5e6
"""Worker time of a run besides all that."""


def work_s(amount: Amount, host: Mapping[str, Any]) -> float:
    """Return the worker time that `amount` takes on a resolved host, in s."""
    own = sum(getattr(amount, f.name) * getattr(WORK_NS, f.name) for f in fields(amount))
    return float(RUN_NS + FRAME_NS * host["memory"] / PAGE_BYTES + own) / 1e9


def done(document: Mapping[str, Any]) -> Amount:
    """Return what a run did, by its result; from the end of warm-up on."""

    def units(*kinds: Kind) -> float:
        return float(
            sum(document["work"].get(work.NAMES[kind], {"units": 0})["units"] for kind in kinds)
        )

    metrics = document["metrics"]
    return Amount(
        fills=units(work.ZERO_FILL, work.READY_FILL, work.FOLIO_PAGE)
        + 512 * units(work.HUGE_ZERO_FILL),
        copies=units(work.COW_COPY, work.FORK_EAGER_COPY) + 512 * units(work.HUGE_COPY),
        accesses=units(work.ACCESS),
        removed=units(work.UNMAP_PTE),
        cached=units(work.FILE_MAP, work.FILE_MAP_AROUND, work.CACHE_FILL),
        requests=metrics["request_latency_ns"]["count"],
        processes=len(document["processes"]),
        operations=document["operations"],
        reads=document["disk"]["reads"],
        dispatches=metrics["runqueue_wait_ns"]["count"],
    )
