"""Whom the out-of-memory killer takes.

Linux 6.12 `mm/oom_kill.c`: badness in pages is resident set + swap entries + page-table pages +
oom_score_adj * (total / 1000), the quotient a whole number; a score of -1000 is never killed, nor
is a vfork child in flight (its parent may be).  The total is memory without the kernel's share, and
swap.  The highest goes; among equals the later process; but before all others goes who empties the
swap device, whatever its score (`oom_task_origin`).

Before 5.1 a child of it goes in its place, if one may: the one with the highest score, among equals
the first (`oom_kill_process` in 4.18: "sacrifice child"); a score below 1 counts as 1 there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

NEVER: Final = -1000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A process as the killer sees it; sizes in pages, `parent` a pid."""

    pid: int
    resident_pages: int
    swapped_pages: int
    table_pages: int
    oom_score_adj: int
    in_vfork: bool = False
    parent: int | None = None
    in_swapoff: bool = False


def badness_pages(candidate: Candidate, total_pages: int) -> int | None:
    """Return the score of a candidate in pages, or None if it is never killed."""
    if candidate.oom_score_adj == NEVER or candidate.in_vfork:
        return None
    used = candidate.resident_pages + candidate.swapped_pages + candidate.table_pages
    return used + candidate.oom_score_adj * (total_pages // 1000)


def choose_victim(
    candidates: Sequence[Candidate], total_pages: int, *, child_first: bool = False
) -> int | None:
    """Return the pid that the killer takes, or None if nobody may be killed.

    `candidates` come in order of birth.  `child_first` is how kernels before 5.1 choose.
    """
    worst: tuple[int, int] | None = None
    for candidate in candidates:
        if candidate.in_swapoff:
            worst = 0, candidate.pid
            break
        score = badness_pages(candidate, total_pages)
        if score is not None and (worst is None or score >= worst[0]):
            worst = score, candidate.pid
    if worst is None:
        return None
    return child_in_place_of(worst[1], candidates, total_pages) if child_first else worst[1]


def child_in_place_of(victim: int, candidates: Sequence[Candidate], total_pages: int) -> int:
    """Return the pid of the child that kernels before 5.1 take for `victim`, or its own."""
    children = [
        (max(1, score), candidate.pid)
        for candidate in candidates
        if candidate.parent == victim
        and (score := badness_pages(candidate, total_pages)) is not None
    ]
    return max(children, key=itemgetter(0), default=(0, victim))[1]
