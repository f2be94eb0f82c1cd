"""What closed forms need to know of the host and its policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.cost.catalogue import PriceSpec, price_specs
from sim.machine.rules import (
    R_ALIGN_LARGE,
    R_ALIGN_WHOLE,
    R_FORK_BATCH,
    R_HUGE_SPLIT,
    rules_of,
)
from sim.stats.theory import TABLE_ENTRIES
from sim.units import PAGE_BYTES, parse_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

HUGE_PAGES: Final = TABLE_ENTRIES
MMAP_TOP_VPN: Final = 0x7FFFF7FFF
"""Where mappings end, as `sim.machine.areas` has it, whose import takes a second."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Host and policies, as far as closed forms depend on them.

    Attributes
    ----------
    prices
        By name; forms take their means.
    fork
        The strategy: ``cow``, ``eager``, ``on_demand`` or ``async``.
    huge
        Whether memory that a program maps is in huge pages of 2 MiB where it can be.
    folio_pages
        Pages of the folios that memory is in otherwise.
    cpus
        How many.
    fills
        Whether memory is filled when it is mapped.
    rules
        The release's, as bits of `sim.machine.rules`.
    """

    prices: Mapping[str, PriceSpec]
    fork: str = "cow"
    huge: bool = False
    folio_pages: int = 1
    cpus: int = 2
    fills: bool = False
    rules: int = 0

    def ns(self, price: str) -> float:
        """Return the mean of a price."""
        return self.prices[price].mean_ns

    @property
    def whole_copies(self) -> bool:
        """Whether a write to a shared huge page copies all of it (before 5.8)."""
        return self.huge and not self.rules & R_HUGE_SPLIT

    @property
    def counts_folios(self) -> bool:
        """Whether fork raises the counts of a folio once (since 6.9)."""
        return bool(self.rules & R_FORK_BATCH)

    def huge_entries(self, pages: int) -> int:
        """Return how many huge pages the first region that a program maps has, of `pages` pages.

        It lies below the stack's gap, aligned to 2 MiB where the release says so.
        """
        if not self.huge:
            return 0
        start = MMAP_TOP_VPN - pages
        aligned = self.rules & R_ALIGN_LARGE and pages >= HUGE_PAGES
        if self.rules & R_ALIGN_WHOLE and pages % HUGE_PAGES:
            aligned = 0
        if aligned:
            start -= start % HUGE_PAGES
        return max(0, (start + pages) // HUGE_PAGES - -(-start // HUGE_PAGES))


def setting_of(host: Mapping[str, Any], policy: Mapping[str, Any]) -> Setting:
    """Return the setting of a resolved scenario's host and policy."""
    sizes = [parse_bytes(size) for size, mode in host["thp_sizes"].items() if mode == "always"]
    return Setting(
        prices={price.name.lower(): spec for price, spec in price_specs(host["prices"]).items()},
        fork=policy["fork"],
        huge=host["thp"] == "always",
        folio_pages=max(sizes, default=PAGE_BYTES) // PAGE_BYTES,
        cpus=host["cpus"],
        fills=policy["zeroing"] == "eager",
        rules=rules_of(host["kernel"]),
    )
