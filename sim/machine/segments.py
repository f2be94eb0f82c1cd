"""Places of variable length in one array: taken and given back in constant time."""


class Segments:
    """Where segments of an array lie, each of a power of 2 elements.

    One that is given back serves the next of its size; all of them take at most twice what their
    owners asked for at the busiest time of each size.
    """

    def __init__(self) -> None:
        self.end = 0
        """Up to where the array has been used."""
        self._free: dict[int, list[int]] = {}  # starts, by size
        self._sizes: dict[int, int] = {}  # of segments in use, by start

    def __len__(self) -> int:
        return len(self._sizes)

    def take(self, elements: int) -> int:
        """Return where a segment of at least `elements` elements starts."""
        size = 1 << max(0, elements - 1).bit_length()
        free = self._free.get(size)
        if free:
            start = free.pop()
        else:
            start = self.end
            self.end += size
        self._sizes[start] = size
        return start

    def give(self, start: int) -> None:
        """Give back the segment that starts at `start`."""
        self._free.setdefault(self._sizes.pop(start), []).append(start)
