"""Where page numbers and arrival times lie while an access stream uses them."""

import numpy as np
from numpy.typing import NDArray

from sim.base.errors import KernelPanicError
from sim.machine.machine import Machine
from sim.machine.segments import Segments


class ListStore:
    """Segments of one int64 array that compiled code can see."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._segments = Segments()

    def __len__(self) -> int:
        return len(self._segments)

    def put(self, values: NDArray[np.int64]) -> int:
        """Copy `values`, at least one, in and return where they start."""
        if not len(values):
            raise KernelPanicError("an empty list has no place to be given back by")
        start = self._segments.take(len(values))
        lists = self._machine.arrays.lists
        if self._segments.end > len(lists):
            larger = np.zeros(max(self._segments.end, 2 * len(lists)), np.int64)
            larger[: len(lists)] = lists
            self._machine.set_lists(larger)
            lists = larger
        lists[start : start + len(values)] = values
        return start

    def free(self, start: int) -> None:
        """Give back the segment that starts at `start`."""
        self._segments.give(start)
