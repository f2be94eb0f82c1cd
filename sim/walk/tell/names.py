"""Names for pages: which region of a script an address lies in, and which page of it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.machine.areas import STACK_TOP_VPN
from sim.script.run import FIRST_REGION_VPN

if TYPE_CHECKING:
    from sim.script.run import Scripted

STACK: Final = "stack"


@dataclass(slots=True)
class Place:
    """A region that a script made: its label, and its size in pages."""

    label: str
    pages: int


class Names:
    """Every region there ever was, by its first page.

    A letter that is mapped again, elsewhere, is told apart by primes: ``A``, then ``A′``.  Regions
    that begin at the same page, one after the other, share a label: ``B/C``.
    """

    def __init__(self) -> None:
        self._places: dict[int, Place] = {}

    def learn(self, scripted: Scripted) -> None:
        """Take note of the regions that processes have now."""
        for process in scripted.processes.values():
            for letter, region in process.regions.items():
                place = self._places.get(region.start)
                if place is None:
                    used = sum(p.label.rstrip("′") == letter for p in self._places.values())
                    self._places[region.start] = Place(letter + "′" * used, region.pages)
                else:
                    place.pages = max(place.pages, region.pages)
                    if letter not in place.label:
                        place.label += f"/{letter}"

    def of(self, vpn: int) -> tuple[str, int]:
        """Return the label of the region that a page lies in, and its number there, from 0.

        The stack's pages count from its top.
        """
        if vpn > STACK_TOP_VPN - FIRST_REGION_VPN:
            return STACK, STACK_TOP_VPN - 1 - vpn
        starts = sorted(self._places)
        at = bisect_right(starts, vpn) - 1
        if at < 0:
            return "?", vpn
        return self._places[starts[at]].label, vpn - starts[at]

    def page(self, vpn: int) -> str:
        """Return a page as people say it: ``A3``, or ``stack``."""
        label, number = self.of(vpn)
        return label if label == STACK and number == 0 else f"{label}{number}"

    def places(self) -> dict[int, Place]:
        """Return the regions by their first page, in address order."""
        return dict(sorted(self._places.items()))
