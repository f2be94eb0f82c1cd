"""Where page numbers and arrival times lie while an access stream uses them."""

import numpy as np
from numpy.typing import NDArray

from sim.base.errors import KernelPanicError
from sim.machine.machine import Machine


class ListStore:
    """Segments of one int64 array that compiled code can see; first fit."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._live: list[tuple[int, int]] = []  # (start, end), in order

    def put(self, values: NDArray[np.int64]) -> int:
        """Copy `values`, at least one, in and return where they start."""
        if not len(values):
            raise KernelPanicError("an empty list has no place to be given back by")
        start = 0
        place = 0
        for place, (begin, end) in enumerate(self._live):  # noqa: B007
            if begin - start >= len(values):
                break
            start = end
        else:
            place = len(self._live)
        end = start + len(values)
        lists = self._machine.arrays.lists
        if end > len(lists):
            larger = np.zeros(max(end, 2 * len(lists)), np.int64)
            larger[: len(lists)] = lists
            self._machine.set_lists(larger)
            lists = larger
        lists[start:end] = values
        self._live.insert(place, (start, end))
        return start

    def free(self, start: int) -> None:
        """Give back the segment that starts at `start`."""
        self._live = [segment for segment in self._live if segment[0] != start]
