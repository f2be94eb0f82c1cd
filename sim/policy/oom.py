"""Whom the out-of-memory killer takes.

Linux 6.12 `mm/oom_kill.c`: badness in pages is resident set + swap entries + page-table pages +
oom_score_adj * (total / 1000), the quotient a whole number; a score of -1000 is never killed, nor
is a vfork child in flight (its parent may be).  The total is memory without the kernel's share, and
swap.  The highest goes; among equals the later process.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

NEVER: Final = -1000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A process as the killer sees it; sizes in pages."""

    pid: int
    resident_pages: int
    swapped_pages: int
    table_pages: int
    oom_score_adj: int
    in_vfork: bool = False


def badness_pages(candidate: Candidate, total_pages: int) -> int | None:
    """Return the score of a candidate in pages, or None if it is never killed."""
    if candidate.oom_score_adj == NEVER or candidate.in_vfork:
        return None
    used = candidate.resident_pages + candidate.swapped_pages + candidate.table_pages
    return used + candidate.oom_score_adj * (total_pages // 1000)


def choose_victim(candidates: Iterable[Candidate], total_pages: int) -> int | None:
    """Return the pid that the killer takes, or None if nobody may be killed.

    `candidates` come in order of birth.
    """
    worst: tuple[int, int] | None = None
    for candidate in candidates:
        score = badness_pages(candidate, total_pages)
        if score is not None and (worst is None or score >= worst[0]):
            worst = score, candidate.pid
    return None if worst is None else worst[1]
