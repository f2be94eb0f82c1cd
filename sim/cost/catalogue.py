"""The catalogue: what has a price, per what, and what a price must bring with it.

There is a price for each kind of work (`sim.machine.work`).  One without evidence cannot be
constructed, and a guess must call itself one.  Sizes, rules and times of day live elsewhere; here
is only what an operation costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sim.cost import quantiles
from sim.cost.quantiles import PS_PER_NS, Table
from sim.machine import work

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


PER: Final[Mapping[int, str]] = {
    work.ACCESS: "access to a resident page that needs no fault",
    work.ZERO_FILL: "write fault on a page never touched: frame taken, zeroed and mapped",
    work.ZERO_PAGE_MAP: "read fault on a page never touched: the shared zero page is mapped",
    work.COW_COPY: "write fault on a shared page: frame taken, 4 KiB copied, mapped",
    work.COW_REUSE: "write fault by the last owner: permission restored, no frame",
    work.FILE_MAP: "fault on a file page in the page cache: mapped",
    work.FILE_MAP_AROUND: "extra page mapped around a file fault",
    work.MAJOR_FAULT: "CPU part of a fault that needs the device; the device's time comes on top",
    work.SEGFAULT: "access outside every area or against its permissions",
    work.SPURIOUS: "fault that only renews an entry, such as write permission after mprotect",
    work.TABLE_ALLOC: "page-table page allocated and zeroed inside a fault",
    work.FORK_BASE: "fork: everything that does not grow with the parent",
    work.FORK_AREA: "area (VMA) duplicated by fork",
    work.FORK_TABLE: "leaf table allocated and zeroed by fork",
    work.FORK_PTE: "present page-table entry copied by fork",
    work.FORK_FOLIO: "folio whose counts fork raises (one per page where folios are 4 KiB)",
    work.FORK_HUGE: "huge (2 MiB) entry copied by fork",
    work.FORK_EAGER_COPY: "4 KiB page copied at once by a fork without copy-on-write",
    work.FORK_FLUSH: "TLB flush of the parent at the end of fork",
    work.VFORK_BASE: "vfork or posix_spawn: a task that borrows the address space",
    work.EXEC_BASE: "exec: new image built and committed, its own faults not counted",
    work.EXIT_BASE: "exit: everything that does not grow with the address space",
    work.UNMAP_AREA: "area removed by munmap, exec or exit",
    work.UNMAP_PTE: "present entry removed by munmap, exec, exit or madvise",
    work.TABLE_FREE: "page-table page given back",
    work.FRAME_FREE: "frame given back to the free pool",
    work.MMAP_CALL: "mmap call",
    work.MUNMAP_CALL: "munmap call, its entries not counted",
    work.BRK_CALL: "brk call, entries removed by shrinking not counted",
    work.MADVISE_CALL: "madvise call, its entries not counted",
    work.WAIT_CALL: "wait call that reaps a child",
    work.CONTEXT_SWITCH: "switch of a CPU from one task to another",
    work.OOM_KILL: "choice and killing of a victim; its exit not counted",
    work.HUGE_ZERO_FILL: "2 MiB zero-fill fault",
    work.HUGE_COPY: "2 MiB copied by a write fault (kernels before 5.8)",
    work.RECLAIM_PAGE: "page looked at by reclaim",
    work.HUGE_SPLIT: "huge entry split into 512 small ones",
    work.MPROTECT_CALL: "mprotect call, its entries not counted",
    work.PROTECT_PTE: "present entry changed by mprotect",
    work.CACHE_FILL: "page of a new file put into the page cache, the device's time not counted",
    work.FOLIO_PAGE: "further page of a folio that a zero-fill fault takes: zeroed and mapped",
    work.COLLAPSE: "2 MiB of small pages copied to a huge page, entries and frames not counted",
    work.PAGE_STOLEN: "page that reclaim takes out of the page cache, the look at it not counted",
    work.SWAP_MAP: "fault on a page that is in the swap cache: mapped",
    work.SWAP_READ: "page that the CPU reads from a swap device in memory (zram): decompressed",
    work.SWAP_WRITE: "page given to the swap device; in memory (zram): compressed",
    work.READY_FILL: "zero-fill fault on a frame that was zeroed before",
    work.PAGE_ZERO: "frame zeroed apart from a fault",
    work.UNUSE_PTE: "page that swapoff maps again, the reading of it not counted",
}
"""Per what each kind of work is paid.  All prices are times on the task's CPU."""

FAULTS_WITH_STAGES: Final = (
    work.ZERO_FILL,
    work.ZERO_PAGE_MAP,
    work.COW_COPY,
    work.COW_REUSE,
    work.FILE_MAP,
)
"""Fault kinds whose time a profile may divide into stages."""

STAGES: Final = ("trap", "walk", "allocate", "zero", "copy", "map", "flush")
"""Names of the stages of a fault, in the order in which they happen."""

ASSUMED: Final = "assumed"
"""How the source of a guess begins."""


class Lognormal(NamedTuple):
    """A distribution whose table is made when a run needs it: most prices are only looked at."""

    mean_ps: int
    sd_ps: int
    least_ps: int


@dataclass(frozen=True, slots=True)
class PriceSpec:
    """A price: its distribution, the evidence for it, and the range a sweep should cover."""

    law: Table | Lognormal
    source: str
    low_ps: int
    high_ps: int

    def __post_init__(self) -> None:
        """Refuse a price without evidence, or with bounds that exclude its own mean."""
        if not self.source.strip():
            raise ValueError("a price needs a source; write `assumed: ...` if it is a guess")
        if not self.low_ps <= self.mean_ps <= self.high_ps:
            raise ValueError(
                f"low <= mean <= high must hold, got {self.low_ps / PS_PER_NS:g}, "
                f"{self.mean_ps / PS_PER_NS:g} and {self.high_ps / PS_PER_NS:g} ns"
            )

    @property
    def table(self) -> Table:
        """Its quantiles, in picoseconds."""
        if isinstance(self.law, Lognormal):
            return quantiles.lognormal(*self.law)
        return self.law

    @property
    def mean_ps(self) -> float:
        """What one draw costs on average, in picoseconds: of a table just as of its law."""
        if isinstance(self.law, Lognormal):
            return float(self.law.mean_ps)
        return quantiles.table_mean_ps(self.law)

    @property
    def mean_ns(self) -> float:
        """What one draw costs on average, in ns."""
        return self.mean_ps / PS_PER_NS

    @property
    def low_ns(self) -> float:
        """Lower end of the range in which the true mean is believed to lie, in ns."""
        return self.low_ps / PS_PER_NS

    @property
    def high_ns(self) -> float:
        """Upper end of that range, in ns."""
        return self.high_ps / PS_PER_NS

    @property
    def assumed(self) -> bool:
        """Whether the source admits to be a guess."""
        return self.source.strip().lower().startswith(ASSUMED)


def price_spec(resolved: Mapping[str, Any]) -> PriceSpec:
    """Build a price from its form in a resolved scenario.

    ``{value_ps: n}``, ``{lognormal: {mean_ps: n, sd_ps: n, least_ps: n}}`` or
    ``{quantiles_ps: [...]}``,
    each with ``source``, ``low_ps`` and ``high_ps``.
    """
    law: Table | Lognormal
    if "value_ps" in resolved:
        law = quantiles.constant(int(resolved["value_ps"]))
    elif "lognormal" in resolved:
        shape = resolved["lognormal"]
        law = Lognormal(int(shape["mean_ps"]), int(shape["sd_ps"]), int(shape.get("least_ps", 0)))
        quantiles.check_lognormal(*law)
    else:
        law = quantiles.explicit([int(ps) for ps in resolved["quantiles_ps"]])
    return PriceSpec(
        law, str(resolved["source"]), int(resolved["low_ps"]), int(resolved["high_ps"])
    )


def price_specs(prices: Mapping[str, Mapping[str, Any]]) -> dict[int, PriceSpec]:
    """Build every price of a resolved scenario's ``host.prices``, in the order of the kinds.

    Raises `ValueError` if one is missing: an absent price must never read as 0.
    """
    missing = [key for key in work.KINDS if key not in prices]
    if missing:
        raise ValueError(f"no price for {', '.join(missing)}")
    return {kind: price_spec(prices[key]) for key, kind in work.KINDS.items()}


def price_array(prices: Mapping[str, Mapping[str, Any]]) -> NDArray[np.int64]:
    """Return the tables of ``host.prices``, shape ``(N_LINES, N_QUANTILES)``, int64 picoseconds."""
    array: NDArray[np.int64] = quantiles.price_array(
        [spec.table for spec in price_specs(prices).values()]
    )
    return array
