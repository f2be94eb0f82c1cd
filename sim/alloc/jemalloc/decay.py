"""jemalloc's decay: how many dirty pages may stay, as time goes by.

Read in jemalloc 5.3.0 ``src/decay.c`` and ``include/jemalloc/internal/smoothstep.sh``.  Time is
cut into 200 epochs.  Pages that became dirty in one are allowed to stay in a share that falls along
a smooth step from 1 to 0 over the 200 that follow.
"""

from __future__ import annotations

from typing import Final

EPOCHS: Final = 200
NS_PER_MS: Final = 1_000_000
FIXED_POINT_BITS: Final = 24


def _smooth_step(step: int) -> int:
    x = step / EPOCHS
    return int((6 * x**5 - 15 * x**4 + 10 * x**3) * (1 << FIXED_POINT_BITS))


STEPS: Final = [_smooth_step(step) for step in range(1, EPOCHS + 1)]


class Decay:
    """The backlog of one arena.

    jemalloc waits for up to one epoch more, at random; this does not.
    """

    def __init__(self, decay_ms: int, now_ns: int) -> None:
        self._interval_ns = max(1, decay_ms * NS_PER_MS // EPOCHS)
        self._epoch_ns = now_ns
        self._backlog = [0] * EPOCHS
        self._unpurged = 0

    def copy(self) -> Decay:
        """Return the same backlog, as a forked child has it."""
        other = Decay(0, self._epoch_ns)
        other._interval_ns, other._unpurged = self._interval_ns, self._unpurged
        other._backlog = list(self._backlog)
        return other

    def limit(self, now_ns: int, dirty_pages: int) -> int:
        """Return how many of so many dirty pages may stay now; all of them within an epoch."""
        epochs = (now_ns - self._epoch_ns) // self._interval_ns
        if epochs < 1:
            return dirty_pages
        self._epoch_ns += epochs * self._interval_ns
        passed = min(epochs, EPOCHS)
        self._backlog = self._backlog[passed:] + [0] * passed
        self._backlog[-1] = max(0, dirty_pages - self._unpurged)
        allowed = sum(map(int.__mul__, self._backlog, STEPS)) >> FIXED_POINT_BITS
        self._unpurged = max(allowed, dirty_pages)
        return allowed
