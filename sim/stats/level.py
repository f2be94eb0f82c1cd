"""Quantities that change in steps, such as free pages or busy CPUs, averaged over time."""

from sim.base.errors import InsufficientDataError


class Level:
    """A piecewise-constant quantity and its integral over simulated time.

    Warm-up is handled by `restart`, which drops the past of the integral but not the present of
    the level: a CPU that is busy at the cut stays busy.  Times are in ns and may not go back; the
    integral is a Python ``int``, so it neither rounds nor overflows.

    >>> free = Level(0, 10)
    >>> free.set(60, 4)
    >>> free.mean(100), free.minimum, free.area(100)
    (7.6, 4, 760)
    """

    __slots__ = ("_area", "_last_ns", "_maximum", "_minimum", "_since_ns", "_value")

    def __init__(self, start_ns: int, value: int) -> None:
        self._since_ns = self._last_ns = start_ns
        self._value = self._minimum = self._maximum = value
        self._area = 0

    @property
    def value(self) -> int:
        """The level now."""
        return self._value

    @property
    def minimum(self) -> int:
        """The lowest level since the start or the last `restart`."""
        return self._minimum

    @property
    def maximum(self) -> int:
        """The highest level since the start or the last `restart`."""
        return self._maximum

    def set(self, now_ns: int, value: int) -> None:
        """Record that the level is `value` from `now_ns` on."""
        self._advance(now_ns)
        self._value = value
        self._minimum = min(self._minimum, value)
        self._maximum = max(self._maximum, value)

    def add(self, now_ns: int, change: int) -> None:
        """Record that the level changes by `change` at `now_ns`."""
        self.set(now_ns, self._value + change)

    def restart(self, now_ns: int) -> None:
        """Forget the area so far, e.g. at the end of the warm-up period."""
        self._advance(now_ns)
        self._since_ns, self._area = now_ns, 0
        self._minimum = self._maximum = self._value

    def area(self, now_ns: int) -> int:
        """Return the integral over time since the start or the last `restart`, in level x ns."""
        self._advance(now_ns)
        return self._area

    def mean(self, now_ns: int) -> float:
        """Return the time average since the start or the last `restart`.

        Raises `InsufficientDataError` if no time has passed since.
        """
        self._advance(now_ns)
        if now_ns == self._since_ns:
            raise InsufficientDataError(f"no time has passed since {now_ns} ns: no time average")
        return self._area / (now_ns - self._since_ns)

    def _advance(self, now_ns: int) -> None:
        if now_ns < self._last_ns:
            raise ValueError(f"time goes back, from {self._last_ns} to {now_ns} ns")
        self._area += self._value * (now_ns - self._last_ns)
        self._last_ns = now_ns
