"""When requests arrive: absolute times in ns, handed out in chunks.

Each source is an endless or finite iterator of int64 arrays that never decrease;
`ArrivalStream` hands out what is due before a given time.  Gaps are rounded to whole ns
before they are added, so times do not depend on how the source is cut into chunks.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from sim.base.errors import ScenarioError
from sim.base.files import read_whole
from sim.base.units import BaseInt, S, parse_duration
from sim.program.patterns import check_arrivals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MOST_BYTES: Final = 256 << 20
"""Of a file of arrivals: some 20 million."""

MOST_COUNTED: Final = 10_000_000
"""Arrivals that are drawn only to be counted; see `ArrivalStream.due`."""

CHUNK: Final = 65_536
"""How many arrivals are made, and handed out, at a time."""

ArrivalKind = Literal["poisson", "fixed", "file"]


def poisson(
    rng: np.random.Generator, rate_per_s: float, first_ns: int
) -> Iterator[NDArray[np.int64]]:
    """Yield the arrivals of a Poisson process of `rate_per_s` that starts at `first_ns`.

    The first gap counts from `first_ns`.  Gaps are exponential, rounded to whole ns.
    """
    mean_ns = _mean_gap_ns(rate_per_s)
    last_ns = first_ns
    while True:
        gaps_ns = np.rint(rng.exponential(mean_ns, CHUNK)).astype(np.int64)
        times_ns = last_ns + np.cumsum(gaps_ns)
        last_ns = int(times_ns[-1])
        yield times_ns


def fixed(rate_per_s: float, first_ns: int) -> Iterator[NDArray[np.int64]]:
    """Yield arrivals at equal distances, the first one gap after `first_ns`.

    The gap is rounded to whole ns, so the long-run rate is off by up to half a ns a gap.
    """
    gap_ns = max(1, round(_mean_gap_ns(rate_per_s)))
    steps = np.arange(1, CHUNK + 1, dtype=np.int64) * gap_ns
    last_ns = first_ns
    while True:
        times_ns = last_ns + steps
        last_ns = int(times_ns[-1])
        yield times_ns


def from_file(path: str, sha256: str, first_ns: int) -> Iterator[NDArray[np.int64]]:
    """Yield the arrivals listed in the file `path`, each counted from `first_ns`.

    One time a line, such as ``1.5 ms``, or a bare number of ns; ``#`` starts a comment.
    Times must not decrease.  A scenario that reads a file names the SHA-256 of its bytes,
    so that a run is known by what it read; `path` is relative to the current folder.

    Raises `ScenarioError` if the file is missing, malformed, or not the one that is meant.
    """
    times_ns = first_ns + _read_times(path, sha256)
    for start in range(0, times_ns.size, CHUNK):
        yield times_ns[start : start + CHUNK]


class ArrivalStream:
    """What is left of a source of arrivals, in order."""

    def __init__(self, chunks: Iterator[NDArray[np.int64]]) -> None:
        self._chunks = chunks
        self._rest: NDArray[np.int64] = np.empty(0, np.int64)
        self._dry = False

    def take(self, until_ns: int, limit: int = CHUNK) -> NDArray[np.int64]:
        """Return the next arrivals before `until_ns`, at most `limit`; empty if there are none.

        They may be fewer than `limit` although more are due: ask until the answer is empty.
        """
        if not self._rest.size and not self._dry:
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                self._dry = True
        due = int(np.searchsorted(self._rest[:limit], until_ns, side="left"))
        taken, self._rest = self._rest[:due], self._rest[due:]
        return taken

    def due(self, until_ns: int) -> int:
        """Return how many arrivals before `until_ns` have not been handed out; they are now.

        Beyond ten million the rest is taken to arrive as fast as those: a server that is so far
        behind needs no exact count, and drawing it would take longer than the run.
        """
        count, first_ns = 0, None
        while (taken := self.take(until_ns)).size:
            count += taken.size
            first_ns = int(taken[0]) if first_ns is None else first_ns
            passed_ns = int(taken[-1]) - first_ns
            if count >= MOST_COUNTED and passed_ns > 0:
                return count + round((until_ns - int(taken[-1])) * count / passed_ns)
        return count


def arrival_stream(
    kind: ArrivalKind,
    rng: np.random.Generator,
    *,
    rate_per_s: float,
    first_ns: int,
    path: str = "",
    sha256: str = "",
) -> ArrivalStream:
    """Return the arrivals of the given kind from `first_ns` on; none at a rate of 0."""
    if kind == "file":
        return ArrivalStream(from_file(path, sha256, first_ns))
    if rate_per_s == 0:
        return ArrivalStream(iter(()))
    if kind == "fixed":
        return ArrivalStream(fixed(rate_per_s, first_ns))
    return ArrivalStream(poisson(rng, rate_per_s, first_ns))


def _mean_gap_ns(rate_per_s: float) -> float:
    if not 0 < rate_per_s <= S:
        raise ValueError(f"rate_per_s must be in (0, 1e9], got {rate_per_s}")
    return S / rate_per_s


def _read_times(path: str, sha256: str) -> NDArray[np.int64]:
    try:
        content = read_whole(path, MOST_BYTES)
    except OSError as error:
        raise ScenarioError(f"cannot read the arrivals: {error.strerror}", path) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256.lower():
        raise ScenarioError(f"not the file that is meant: write arrivals_sha256: {found}", path)
    times_ns = []
    for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            times_ns.append(parse_duration(BaseInt(text) if text.isdecimal() else text))
        except ValueError as error:
            raise ScenarioError(str(error), path, number) from error
    listed_ns = np.array(times_ns, dtype=np.int64)
    try:
        check_arrivals(listed_ns)
    except ValueError as error:
        raise ScenarioError(str(error), path) from error
    return listed_ns
