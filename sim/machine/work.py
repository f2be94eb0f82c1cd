"""Kinds of work: one table, append only.

A kind's number is its row wherever something is kept by kind: receipts, counts, prices, histograms.
Its draw number says which of a task's random streams draws its price.  Numbers and draw numbers are
history that results rest on: a new kind takes the next of each, at the end.

What else there is to say of a kind is said where it matters: its price in `sim.cost.catalogue`, the
fault it counts as in `sim.observe.faults`.  `tests/unit/test_tables.py` joins them.
"""

from typing import Final, Self

from sim.base.numbered import counted_up_from, rows_of


class Kind(int):
    """A kind of work: its number, with the draw number of its price."""

    draw: int

    def __new__(cls, number: int, *, draw: int) -> Self:
        """Make a row of the table."""
        kind = super().__new__(cls, number)
        kind.draw = draw
        return kind


ACCESS: Final = Kind(0, draw=0)
ZERO_FILL: Final = Kind(1, draw=1)
ZERO_PAGE_MAP: Final = Kind(2, draw=2)
COW_COPY: Final = Kind(3, draw=3)
COW_REUSE: Final = Kind(4, draw=4)
FILE_MAP: Final = Kind(5, draw=5)
FILE_MAP_AROUND: Final = Kind(6, draw=6)
MAJOR_FAULT: Final = Kind(7, draw=7)
SEGFAULT: Final = Kind(8, draw=8)
SPURIOUS: Final = Kind(9, draw=9)
TABLE_ALLOC: Final = Kind(10, draw=10)
FORK_BASE: Final = Kind(11, draw=11)
FORK_AREA: Final = Kind(12, draw=12)
FORK_TABLE: Final = Kind(13, draw=13)
FORK_PTE: Final = Kind(14, draw=14)
FORK_FOLIO: Final = Kind(15, draw=15)
FORK_HUGE: Final = Kind(16, draw=16)
FORK_EAGER_COPY: Final = Kind(17, draw=17)
FORK_FLUSH: Final = Kind(18, draw=18)
VFORK_BASE: Final = Kind(19, draw=19)
EXEC_BASE: Final = Kind(20, draw=20)
EXIT_BASE: Final = Kind(21, draw=21)
UNMAP_AREA: Final = Kind(22, draw=22)
UNMAP_PTE: Final = Kind(23, draw=23)
TABLE_FREE: Final = Kind(24, draw=24)
FRAME_FREE: Final = Kind(25, draw=25)
MMAP_CALL: Final = Kind(26, draw=26)
MUNMAP_CALL: Final = Kind(27, draw=27)
BRK_CALL: Final = Kind(28, draw=28)
MADVISE_CALL: Final = Kind(29, draw=29)
WAIT_CALL: Final = Kind(30, draw=30)
CONTEXT_SWITCH: Final = Kind(31, draw=31)
OOM_KILL: Final = Kind(32, draw=32)
HUGE_ZERO_FILL: Final = Kind(33, draw=33)
HUGE_COPY: Final = Kind(34, draw=34)
RECLAIM_PAGE: Final = Kind(35, draw=35)
HUGE_SPLIT: Final = Kind(36, draw=38)
MPROTECT_CALL: Final = Kind(37, draw=39)
PROTECT_PTE: Final = Kind(38, draw=40)
CACHE_FILL: Final = Kind(39, draw=41)
FOLIO_PAGE: Final = Kind(40, draw=42)
COLLAPSE: Final = Kind(41, draw=43)
PAGE_STOLEN: Final = Kind(42, draw=44)
SWAP_MAP: Final = Kind(43, draw=45)
SWAP_READ: Final = Kind(44, draw=46)
SWAP_WRITE: Final = Kind(45, draw=47)
READY_FILL: Final = Kind(46, draw=49)
PAGE_ZERO: Final = Kind(47, draw=50)
UNUSE_PTE: Final = Kind(48, draw=51)

KINDS: Final = rows_of(globals(), Kind)
"""Kinds by name, in order of their numbers."""
NAMES: Final = tuple(KINDS)
N_LINES: Final = len(KINDS)

PAGE_STREAM: Final = 36
"""Draw number of the choice of pages."""
HOT_STREAM: Final = 37
"""Draw number of the choice between hot pages and cold ones."""
VICTIM_STREAM: Final = 48
"""Draw number of the choice of who leaves memory, where that is by chance."""

DRAW_PAGE: Final = N_LINES
"""Row of the choice of pages among a task's draws; the rows before it are kinds of work."""
DRAW_HOT: Final = N_LINES + 1
DRAW_VICTIM: Final = N_LINES + 2
N_DRAWS: Final = N_LINES + 3

_STREAMS: Final = sorted(
    [
        *((kind.draw, kind) for kind in KINDS.values()),
        (PAGE_STREAM, DRAW_PAGE),
        (HOT_STREAM, DRAW_HOT),
        (VICTIM_STREAM, DRAW_VICTIM),
    ]
)
counted_up_from("draw number", 0, (number for number, _ in _STREAMS))
DRAW_ROWS: Final = tuple(row for _, row in _STREAMS)
"""Rows of a task's draws in the order of draw numbers: that in which they get their keys."""
