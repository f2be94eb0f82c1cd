"""Where jemalloc puts allocations: size classes, slabs, and the pages one allocation touches.

Rules read in jemalloc 5, ``src/sc.c``: size classes come in groups of four per doubling;
those below 16 KiB share slabs, the smallest run of pages that a whole number of regions
fills; larger ones have pages of their own.  Redis builds it with ``--with-lg-quantum=3``
(``deps/Makefile``), hence the classes 24, 40 and 56.  Pages are 4 KiB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from sim.base.units import KIB, PAGE_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUANTUM_BYTES: Final = 8
"""Distance of the smallest classes: 8, 16, 24, 32."""

LARGE_BYTES: Final = 16 * KIB
"""The smallest class with pages of its own."""

CACHE_LINE_BYTES: Final = 64
LINES: Final = PAGE_BYTES // CACHE_LINE_BYTES
"""Places within a page where a shifted allocation may begin."""


def size_class(size_bytes: int) -> int:
    """Return how many bytes an allocation of `size_bytes` really takes.

    >>> [size_class(n) for n in (1, 9, 20, 57, 100, 1030, 3906, 17_000)]
    [8, 16, 24, 64, 112, 1280, 4096, 20480]
    """
    if size_bytes < 1:
        raise ValueError(f"size_bytes must be >= 1, got {size_bytes}")
    if size_bytes <= 4 * QUANTUM_BYTES:
        spacing = QUANTUM_BYTES
    else:
        spacing = 1 << ((size_bytes - 1).bit_length() - 3)
    return -(-size_bytes // spacing) * spacing


def slab_pages(class_bytes: int) -> int:
    """Return the pages of a slab of a small class: the fewest that it fills exactly.

    >>> [slab_pages(n) for n in (24, 112, 1280, 4096, 14336)]
    [3, 7, 5, 1, 7]
    """
    return math.lcm(class_bytes, PAGE_BYTES) // PAGE_BYTES


class Places(Protocol):
    """Allocations of one size, and the pages they lie on; numbered from 0, as the pages are."""

    @property
    def count(self) -> int:
        """How many allocations."""

    @property
    def class_bytes(self) -> int:
        """What each really takes of the allocator, as ``used_memory`` counts it."""

    @property
    def pages(self) -> int:
        """Resident pages that hold all allocations; the last one may be part empty."""

    @property
    def span(self) -> int:
        """The most pages that one allocation touches."""

    @property
    def mean_span(self) -> float:
        """Pages that one allocation touches, on average."""

    @property
    def mean_whole_pages(self) -> float:
        """Pages that one allocation can give back, on average (see `whole_pages`)."""

    def pages_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the pages that allocations touch, shape ``(numbers.size, span)``.

        An allocation that touches fewer than `span` pages names its last one again.
        """

    def whole_pages(self, first: int, pages: int) -> NDArray[np.bool_]:
        """Tell, for `pages` pages from `first` on, which lie wholly within one allocation.

        These are what MADV_DONTNEED on an allocation gives back: its start aligned up, then
        whole pages of its class (Redis ``src/zmalloc.c``, ``zmadvise_dontneed``).
        """


@dataclass(frozen=True, slots=True)
class Layout:
    """Allocations one after the other from page 0: number n starts at ``n * stride_bytes``.

    Slabs are filled exactly.

    Attributes
    ----------
    count
        How many allocations.
    used_bytes
        What the program asked for, each.
    stride_bytes
        Resident bytes that each takes: the size class, or for a large allocation its
        touched pages (those of the class behind the last used byte stay untouched).
    """

    count: int
    used_bytes: int
    stride_bytes: int

    @property
    def class_bytes(self) -> int:
        """See `Places`."""
        return size_class(self.used_bytes)

    @property
    def pages(self) -> int:
        """See `Places`."""
        return -(-self.count * self.stride_bytes // PAGE_BYTES)

    @property
    def span(self) -> int:
        """See `Places`."""
        return max(self._spans())

    @property
    def mean_span(self) -> float:
        """See `Places`."""
        spans = self._spans()
        return sum(spans) / len(spans)

    @property
    def mean_whole_pages(self) -> float:
        """See `Places`."""
        starts = range(0, math.lcm(self.stride_bytes, PAGE_BYTES), self.stride_bytes)
        whole = sum((s + self.stride_bytes) // PAGE_BYTES - -(-s // PAGE_BYTES) for s in starts)
        return whole / len(starts) if self.stride_bytes >= PAGE_BYTES else 0.0

    def pages_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `Places`."""
        start_bytes = numbers * self.stride_bytes
        first = start_bytes // PAGE_BYTES
        last = (start_bytes + (self.used_bytes - 1)) // PAGE_BYTES
        return _from_to(first, last, self.span)

    def whole_pages(self, first: int, pages: int) -> NDArray[np.bool_]:
        """See `Places`.

        >>> Layout(4, 5000, 5120).whole_pages(0, 5).tolist()
        [True, False, False, False, True]
        """
        start_bytes = (first + np.arange(pages, dtype=np.int64)) * PAGE_BYTES
        owner_of_first = start_bytes // self.stride_bytes
        owner_of_last = (start_bytes + (PAGE_BYTES - 1)) // self.stride_bytes
        alone: NDArray[np.bool_] = owner_of_first == owner_of_last
        return alone

    def _spans(self) -> list[int]:
        """Return the pages touched from each possible offset within a page."""
        step = math.gcd(self.stride_bytes, PAGE_BYTES)
        return [
            (offset + self.used_bytes - 1) // PAGE_BYTES + 1
            for offset in range(0, PAGE_BYTES, step)
        ]


@dataclass(frozen=True, slots=True)
class ShiftedLayout:
    """Large allocations that begin at any cache line of their first page.

    jemalloc draws the line ("cache oblivious", ``arena_cache_oblivious_randomize`` in
    ``src/arena.c``, on by default) and sets a page more aside for it.  Here number n begins at
    line ``n mod 64``: each line as often.  Only touched pages are counted and numbered.
    """

    count: int
    used_bytes: int

    @property
    def class_bytes(self) -> int:
        """See `Places`."""
        return size_class(self.used_bytes)

    @property
    def pages(self) -> int:
        """See `Places`."""
        rounds, rest = divmod(self.count, LINES)
        spans = self._spans()
        return int(rounds * spans.sum() + spans[:rest].sum())

    @property
    def span(self) -> int:
        """See `Places`."""
        return int(self._spans().max())

    @property
    def mean_span(self) -> float:
        """See `Places`."""
        return float(self._spans().mean())

    @property
    def mean_whole_pages(self) -> float:
        """See `Places`."""
        return float(self.whole_pages(0, int(self._spans().sum())).sum()) / LINES

    def pages_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `Places`."""
        spans = self._spans()
        rounds, line = np.divmod(numbers, LINES)
        first = rounds * spans.sum() + (spans.cumsum() - spans)[line]
        return _from_to(first, first + spans[line] - 1, self.span)

    def whole_pages(self, first: int, pages: int) -> NDArray[np.bool_]:
        """See `Places`.

        Of the first page, and of one behind the class, only a part is its own:

        >>> ShiftedLayout(2, 20_009).whole_pages(0, 10).tolist()
        [True, True, True, True, True, False, True, True, True, True]
        """
        spans = self._spans()
        within_round = (first + np.arange(pages, dtype=np.int64)) % spans.sum()
        line = np.searchsorted(spans.cumsum(), within_round, side="right")
        page_bytes = (within_round - (spans.cumsum() - spans)[line]) * PAGE_BYTES
        start_bytes = line * CACHE_LINE_BYTES
        inside: NDArray[np.bool_] = (page_bytes >= start_bytes) & (
            page_bytes + PAGE_BYTES <= start_bytes + self.class_bytes
        )
        return inside

    def _spans(self) -> NDArray[np.int64]:
        """Return the pages touched from each cache line of a page."""
        start_bytes = np.arange(LINES, dtype=np.int64) * CACHE_LINE_BYTES
        spans: NDArray[np.int64] = (start_bytes + (self.used_bytes - 1)) // PAGE_BYTES + 1
        return spans


def layout(count: int, used_bytes: int, *, shifted: bool = False) -> Places:
    """Return where `count` allocations of `used_bytes` each lie.

    With `shifted`, large allocations begin at any cache line of a page (jemalloc's default;
    Redis turned it off in 7.2, pull request 12315).
    """
    class_bytes = size_class(used_bytes)
    if class_bytes < LARGE_BYTES:
        return Layout(count, used_bytes, class_bytes)
    if shifted:
        return ShiftedLayout(count, used_bytes)
    return Layout(count, used_bytes, -(-used_bytes // PAGE_BYTES) * PAGE_BYTES)


def _from_to(first: NDArray[np.int64], last: NDArray[np.int64], span: int) -> NDArray[np.int64]:
    """Return the pages from `first` to `last`, `span` a row; a short row repeats its last."""
    touched = first[:, None] + np.arange(span, dtype=np.int64)
    pages: NDArray[np.int64] = np.minimum(touched, last[:, None])
    return pages
