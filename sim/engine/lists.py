"""Where page numbers and arrival times lie while an access stream uses them."""

import numpy as np
from numpy.typing import NDArray

from sim.base.errors import KernelPanicError
from sim.machine.machine import Machine


class ListStore:
    """Segments of one int64 array that compiled code can see, each of a power of 2 values.

    One that is given back serves the next list of its size, so that putting and freeing take
    constant time, whatever else is stored.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._end = 0  # of all segments there have been
        self._free: dict[int, list[int]] = {}  # starts, by size
        self._sizes: dict[int, int] = {}  # of segments in use, by start

    def __len__(self) -> int:
        return len(self._sizes)

    def put(self, values: NDArray[np.int64]) -> int:
        """Copy `values`, at least one, in and return where they start."""
        if not len(values):
            raise KernelPanicError("an empty list has no place to be given back by")
        size = 1 << (len(values) - 1).bit_length()
        free = self._free.get(size)
        start = free.pop() if free else self._extend(size)
        self._sizes[start] = size
        self._machine.arrays.lists[start : start + len(values)] = values
        return start

    def _extend(self, size: int) -> int:
        """Return where a segment that was never used before starts."""
        start = self._end
        self._end += size
        lists = self._machine.arrays.lists
        if self._end > len(lists):
            larger = np.zeros(max(self._end, 2 * len(lists)), np.int64)
            larger[: len(lists)] = lists
            self._machine.set_lists(larger)
        return start

    def free(self, start: int) -> None:
        """Give back the segment that starts at `start`."""
        self._free.setdefault(self._sizes.pop(start), []).append(start)
