"""What the page cache knows of each page of a file: the only code that looks into `cached`.

======  ========================================================================================
0       it was never in the page cache, or nothing is remembered of that
a > 0   it is in the page cache, in frame `a`: present, or under way from the device
a < 0   it was reclaimed, and `a` says when: a shadow (`sim.kernel.reclaim.workingset`)
======  ========================================================================================

A page with a shadow is absent.  The pages of a large folio are frames of their own, wherever they
lie; the one of its first page stands for it.
"""

from sim.base.jit import compiled, inlined
from sim.machine import native  # noqa: F401  (tells Numba how compiled code sees the machine)
from sim.machine.layout import NONE, Arrays


@inlined
def find_page(m: Arrays, file: int, index: int) -> int:
    """Return the frame of page `index` of a file, NONE if it is not in the page cache."""
    pfn = int(m.cached[int(m.files[file].first) + index])
    return pfn if pfn > 0 else NONE


@inlined
def has_page(m: Arrays, file: int, index: int) -> bool:
    """Whether page `index` of a file is in the page cache."""
    return bool(m.cached[int(m.files[file].first) + index] > 0)


@inlined
def find_shadow(m: Arrays, file: int, index: int) -> int:
    """Return the shadow that a reclaimed page has left, below 0; 0 if there is none."""
    return int(min(0, m.cached[int(m.files[file].first) + index]))


@inlined
def store_page(m: Arrays, file: int, index: int, pfn: int) -> None:
    """Put a frame into the page cache, in place of nothing or of a shadow."""
    m.cached[int(m.files[file].first) + index] = pfn


@inlined
def erase_page(m: Arrays, file: int, index: int, shadow: int) -> None:
    """Take a page, or a shadow, out of the page cache; leave `shadow` in its place, or 0."""
    m.cached[int(m.files[file].first) + index] = shadow


@compiled
def first_page(m: Arrays, pfn: int) -> int:
    """Return the frame of the first page of the folio that a frame of the page cache is in."""
    frame = m.frames[pfn]
    if frame.order == 0:
        return pfn
    return find_page(m, int(frame.mapping), int(frame.index) & ~((1 << int(frame.order)) - 1))
