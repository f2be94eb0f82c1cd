"""What closed forms need to know of the host and its policies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sim.base.units import PAGE_BYTES, S, parse_bytes
from sim.cost.catalogue import PriceSpec, price_spec, price_specs
from sim.cost.quantiles import constant
from sim.machine.rules import rules_of
from sim.machine.rules.areas import R_ALIGN_LARGE, R_ALIGN_WHOLE
from sim.machine.rules.huge import R_HUGE_SPLIT
from sim.machine.rules.pages import R_FORK_BATCH
from sim.machine.work import NAMES
from sim.stats.theory import TABLE_ENTRIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sim.machine.work import Kind

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
    folio_sizes
        Sizes of the folios that memory is in otherwise, in pages, largest first.
    cpus
        How many.
    fills
        Whether memory is filled when it is mapped.
    slice_ns
        How long a task runs while others wait: the quantum, in whole ticks.
    read_ahead_pages
        Pages of a file that are read at a time, in sequence.
    disk_latency_ns, disk_bytes_per_s
        The disk's.
    rules
        The release's, as bits of `sim.machine.rules`.
    """

    prices: Mapping[str, PriceSpec]
    fork: str = "cow"
    huge: bool = False
    folio_sizes: tuple[int, ...] = ()
    cpus: int = 2
    fills: bool = False
    slice_ns: int = 4_000_000
    read_ahead_pages: int = 32
    disk_latency_ns: int = 0
    disk_bytes_per_s: float = 1e9
    rules: int = 0

    def ns(self, kind: Kind) -> float:
        """Return the mean price of a kind of work."""
        return self.prices[NAMES[kind]].mean_ns

    def disk_ns(self, pages: int, waits: int) -> float:
        """Return how long the disk takes to write `pages` pages that are waited for so often."""
        return waits * self.disk_latency_ns + pages * PAGE_BYTES * S / self.disk_bytes_per_s

    @property
    def without_huge_pages(self) -> Setting:
        """The setting of a process that goes without large folios."""
        return replace(self, huge=False, folio_sizes=())

    @property
    def whole_copies(self) -> bool:
        """Whether a write to a shared huge page copies all of it (before 5.8)."""
        return self.huge and not self.rules & R_HUGE_SPLIT

    @property
    def counts_folios(self) -> bool:
        """Whether fork raises the counts of a folio once (since 6.9)."""
        return bool(self.rules & R_FORK_BATCH)

    def regions(self, pages: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Yield where the first regions that a program maps begin and end, of so many pages each.

        They lie one below the other from the stack's gap on, aligned to 2 MiB where the release
        says so.
        """
        end = MMAP_TOP_VPN
        for size in pages:
            start = end - size
            aligned = self.rules & R_ALIGN_LARGE and size >= HUGE_PAGES
            if self.rules & R_ALIGN_WHOLE and size % HUGE_PAGES:
                aligned = 0
            if aligned:
                start -= start % HUGE_PAGES
            yield start, start + size
            end = start

    def huge_entries(self, pages: Sequence[int]) -> int:
        """Return how many huge pages these regions have."""
        if not self.huge:
            return 0
        return sum(_blocks(start, end, HUGE_PAGES) for start, end in self.regions(pages))

    def folios(self, pages: Sequence[int]) -> int:
        """Return how many folios the small pages of these regions are in."""
        sizes = (HUGE_PAGES, *self.folio_sizes) if self.huge else self.folio_sizes
        found = sum(_folios(start, end, sizes) for start, end in self.regions(pages))
        return found - self.huge_entries(pages)


def _blocks(start: int, end: int, size: int) -> int:
    """Return how many aligned blocks of `size` pages lie in [start, end)."""
    return max(0, end // size - -(-start // size))


def _folios(start: int, end: int, sizes: tuple[int, ...]) -> int:
    """Return how many folios of these sizes, largest first, fill [start, end) in order."""
    if not sizes or start >= end:
        return max(0, end - start)
    size, smaller = sizes[0], sizes[1:]
    blocks = _blocks(start, end, size)
    if not blocks:
        return _folios(start, end, smaller)
    first = -(-start // size) * size
    rest = _folios(start, first, smaller) + _folios(first + blocks * size, end, smaller)
    return blocks + rest


def _prices(host: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, PriceSpec]:
    """Return the prices by name, of what is done: where frames are zeroed at free, less of it."""
    prices = {NAMES[kind]: spec for kind, spec in price_specs(host["prices"]).items()}
    if policy["zeroing"] == "at_free":
        prices["zero_fill"] = prices["ready_fill"]
        both = host["prices"]["page_zero"]
        zero_ps = round(price_spec(both).mean_ps + prices["frame_free"].mean_ps)
        prices["frame_free"] = PriceSpec(constant(zero_ps), both["source"], 0, 2 * zero_ps)
    return prices


def setting_of(host: Mapping[str, Any], policy: Mapping[str, Any]) -> Setting:
    """Return the setting of a resolved scenario's host and policy."""
    sizes = [parse_bytes(size) for size, mode in host["thp_sizes"].items() if mode == "always"]
    return Setting(
        prices=_prices(host, policy),
        fork=policy["fork"],
        huge=host["thp"] == "always",
        folio_sizes=tuple(sorted((size // PAGE_BYTES for size in sizes), reverse=True)),
        cpus=host["cpus"],
        fills=policy["zeroing"] == "eager",
        slice_ns=-(-policy["scheduler"]["quantum"] * host["hz"] // S) * S // host["hz"],
        read_ahead_pages=max(1, host["disk"]["read_ahead"] // PAGE_BYTES),
        disk_latency_ns=host["disk"]["latency"],
        disk_bytes_per_s=host["disk"]["bandwidth"],
        rules=rules_of(host["kernel"]),
    )
