"""The catalogue: what has a price, per what, and what a price must bring with it.

The engine indexes its price table with `Price`, so the order is part of the contract between
the two.  A price without evidence cannot be constructed, and a guess must call itself one.
Sizes, rules and times of day live elsewhere; here is only what an operation costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Self

from sim.cost import quantiles
from sim.cost.quantiles import PS_PER_NS, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


class Price(IntEnum):
    """Index of a price; `per` says per what it is paid.  All are times on the task's CPU."""

    per: str

    def __new__(cls, index: int, per: str) -> Self:
        """Make a member that is its index and knows per what it is paid."""
        member = int.__new__(cls, index)
        member._value_ = index
        member.per = per
        return member

    ACCESS = 0, "access to a resident page that needs no fault"
    ZERO_FILL = 1, "write fault on a page never touched: frame taken, zeroed and mapped"
    ZERO_PAGE_MAP = 2, "read fault on a page never touched: the shared zero page is mapped"
    COW_COPY = 3, "write fault on a shared page: frame taken, 4 KiB copied, mapped"
    COW_REUSE = 4, "write fault by the last owner: permission restored, no frame"
    FILE_MAP = 5, "fault on a file page in the page cache: mapped"
    FILE_MAP_AROUND = 6, "extra page mapped around a file fault"
    MAJOR_FAULT = 7, "CPU part of a fault that needs the device; the device's time comes on top"
    SEGFAULT = 8, "access outside every area or against its permissions"
    SPURIOUS = 9, "fault that only renews an entry, such as write permission after mprotect"
    TABLE_ALLOC = 10, "page-table page allocated and zeroed inside a fault"
    FORK_BASE = 11, "fork: everything that does not grow with the parent"
    FORK_AREA = 12, "area (VMA) duplicated by fork"
    FORK_TABLE = 13, "leaf table allocated and zeroed by fork"
    FORK_PTE = 14, "present page-table entry copied by fork"
    FORK_FOLIO = 15, "folio whose counts fork raises (one per page where folios are 4 KiB)"
    FORK_HUGE = 16, "huge (2 MiB) entry copied by fork"
    FORK_EAGER_COPY = 17, "4 KiB page copied at once by a fork without copy-on-write"
    FORK_FLUSH = 18, "TLB flush of the parent at the end of fork"
    VFORK_BASE = 19, "vfork or posix_spawn: a task that borrows the address space"
    EXEC_BASE = 20, "exec: new image built and committed, its own faults not counted"
    EXIT_BASE = 21, "exit: everything that does not grow with the address space"
    UNMAP_AREA = 22, "area removed by munmap, exec or exit"
    UNMAP_PTE = 23, "present entry removed by munmap, exec, exit or madvise"
    TABLE_FREE = 24, "page-table page given back"
    FRAME_FREE = 25, "frame given back to the free pool"
    MMAP_CALL = 26, "mmap call"
    MUNMAP_CALL = 27, "munmap call, its entries not counted"
    BRK_CALL = 28, "brk call, entries removed by shrinking not counted"
    MADVISE_CALL = 29, "madvise call, its entries not counted"
    WAIT_CALL = 30, "wait call that reaps a child"
    CONTEXT_SWITCH = 31, "switch of a CPU from one task to another"
    OOM_KILL = 32, "choice and killing of a victim; its exit not counted"
    HUGE_ZERO_FILL = 33, "2 MiB zero-fill fault"
    HUGE_COPY = 34, "2 MiB copied by a write fault (kernels before 5.8)"
    RECLAIM_PAGE = 35, "page looked at by reclaim"
    HUGE_SPLIT = 36, "huge entry split into 512 small ones"
    MPROTECT_CALL = 37, "mprotect call, its entries not counted"
    PROTECT_PTE = 38, "present entry changed by mprotect"
    CACHE_FILL = 39, "page of a new file put into the page cache, the device's time not counted"
    FOLIO_PAGE = 40, "further page of a folio that a zero-fill fault takes: zeroed and mapped"
    COLLAPSE = 41, "2 MiB of small pages copied to a huge page, entries and frames not counted"


PRICE_KEYS: Final[dict[str, Price]] = {price.name.lower(): price for price in Price}
"""Prices by their name in YAML."""

FAULTS_WITH_STAGES: Final = (
    Price.ZERO_FILL,
    Price.ZERO_PAGE_MAP,
    Price.COW_COPY,
    Price.COW_REUSE,
    Price.FILE_MAP,
)
"""Fault kinds whose time a profile may divide into stages."""

STAGES: Final = ("trap", "walk", "allocate", "zero", "copy", "map", "flush")
"""Names of the stages of a fault, in the order in which they happen."""

ASSUMED: Final = "assumed"
"""How the source of a guess begins."""


@dataclass(frozen=True, slots=True)
class PriceSpec:
    """A price: its distribution, the evidence for it, and the range a sweep should cover."""

    table: Table
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
    def mean_ps(self) -> float:
        """What one draw costs on average, in picoseconds."""
        return quantiles.table_mean_ps(self.table)

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
    if "value_ps" in resolved:
        table = quantiles.constant(int(resolved["value_ps"]))
    elif "lognormal" in resolved:
        shape = resolved["lognormal"]
        table = quantiles.lognormal(
            int(shape["mean_ps"]), int(shape["sd_ps"]), int(shape.get("least_ps", 0))
        )
    else:
        table = quantiles.explicit([int(ps) for ps in resolved["quantiles_ps"]])
    return PriceSpec(
        table, str(resolved["source"]), int(resolved["low_ps"]), int(resolved["high_ps"])
    )


def price_specs(prices: Mapping[str, Mapping[str, Any]]) -> dict[Price, PriceSpec]:
    """Build every price of a resolved scenario's ``host.prices``, in the catalogue's order.

    Raises `ValueError` if one is missing: an absent price must never read as 0.
    """
    missing = [key for key in PRICE_KEYS if key not in prices]
    if missing:
        raise ValueError(f"no price for {', '.join(missing)}")
    return {price: price_spec(prices[key]) for key, price in PRICE_KEYS.items()}


def price_array(prices: Mapping[str, Mapping[str, Any]]) -> NDArray[np.int64]:
    """Return the tables of ``host.prices``, shape ``(len(Price), 257)``, int64 picoseconds."""
    array: NDArray[np.int64] = quantiles.price_array(
        [spec.table for spec in price_specs(prices).values()]
    )
    return array
