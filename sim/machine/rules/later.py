"""What Linux changed after the newest release whose rules are known: said, not simulated.

From release notes, letters to the kernel's lists and news, none of it tried.
"""

from typing import Final, NamedTuple

from sim.machine.releases import Release


class Later(NamedTuple):
    """A change that no rule has yet: since when, what, and which figures of a run can differ."""

    since: Release
    what: str
    changes: str


LATER: Final = (
    Later((7, 0), "only full and lazy preemption are left", "when a fork's neighbours get a CPU"),
    Later((7, 0), "huge pages are zeroed about twice as fast", "prices"),
    Later((7, 0), "swap-in is some 20 % faster, and file folios are unmapped in batches", "prices"),
    Later((7, 2), "khugepaged collapses to smaller folios too", "folios, time of forks"),
)
"""In order of release."""
