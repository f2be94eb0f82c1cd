"""Record search: the smallest of many sizes at which nearly all runs pass, whatever their law.

Under common random numbers each replication has a *threshold*: the smallest size at which it
passes.  Thresholds of n replications are independent and alike, so the largest of them bounds a
share of all by an order statistic, without a word about their distribution: 299 bound 99 % of all
at 95 % confidence (`sim.stats.tolerance.supported_content`).  To find the largest, most thresholds
need not be known: replication r is run at the largest threshold so far; where it passes, it is no
record and done with.  Only records are searched for, about ``log n`` of them.  However many sizes
there are, that is one claim, not one a size, so no level is shared out among sizes.

That a replication passes at all sizes above its threshold is taken for granted only until the end:
then all replications run at the answer, and some at sizes above it.  One that fails there although
it passed at a smaller size shows that more made it worse; then there is no smallest size, and no
bound.

A threshold is found by halving, or, where a run that passed lets it be guessed, next to the guess:
a size that passes with one below it that fails is a threshold, however bad the guess was.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

LARGEST_BLOCK: Final = 16
"""Replications that are tried at a time: a fixed number, so that workers change nothing."""


class Trial(NamedTuple):
    """One run: a replication at a size, both numbered from 0; the last size is the easiest."""

    replication: int
    size: int


LAST_TRIALS: Final = 8
"""So many replications are tried at the last size before it is said not to be enough."""

Guess = Callable[[int], int | None]
"""Returns about where the threshold of a replication is; None before one of its runs has passed."""

Search = Generator[Sequence[Trial], Mapping[Trial, bool], "Found"]
"""Asks for trials, is sent for each whether it passed, returns what was found."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found; `passed` has every trial that was made.

    `size` is None if not even the last one is enough.  `decided_by` are the replications seen to
    fail one size below, or at the last; none if the first size is enough already.
    """

    size: int | None
    decided_by: tuple[int, ...]
    n_replications: int
    passed: Mapping[Trial, bool]

    @property
    def failed_at_answer(self) -> list[Trial]:
        """The trials that failed at the answer, or above it: more made it worse."""
        if self.size is None:
            return []
        return sorted(t for t, ok in self.passed.items() if not ok and t.size >= self.size)

    @property
    def worse(self) -> list[tuple[Trial, Trial]]:
        """A pair of trials for each replication that passed at a size and failed at a larger one.

        Its smallest size that passed, and its largest that failed.
        """
        pairs = []
        for replication in sorted({trial.replication for trial in self.passed}):
            own = {t.size: ok for t, ok in self.passed.items() if t.replication == replication}
            least = min((size for size, ok in own.items() if ok), default=None)
            most = max((size for size, ok in own.items() if not ok), default=-1)
            if least is not None and most > least:
                pairs.append((Trial(replication, least), Trial(replication, most)))
        return pairs

    @property
    def holds(self) -> bool:
        """Whether `size` is an answer: all replications passed there, and none was worse above."""
        return self.size is not None and not self.failed_at_answer and not self.worse


def record_search(
    n_sizes: int, n_replications: int, n_probes: int = 0, guess: Guess | None = None
) -> Search:
    """Return the search for the smallest size at which all replications pass.

    Parameters
    ----------
    n_sizes
        How many sizes there are, from the hardest, 0, to the easiest.
    n_replications
        How many replications; they are numbered from 0.
    n_probes
        So many trials of sizes above the answer are made besides, spread evenly over these.
    guess
        Where thresholds may be guessed.  Then a replication that fails at the next size, too, is
        tried at the easiest one, from which its threshold can be guessed.

    >>> thresholds = [3, 7, 5, 7, 2]
    >>> search, answers = record_search(256, 5), None
    >>> try:
    ...     while True:
    ...         trials = search.send(answers)
    ...         answers = {t: t.size >= thresholds[t.replication] for t in trials}
    ... except StopIteration as end:
    ...     found = end.value
    >>> found.size, found.decided_by, found.holds
    (7, (1,), True)
    """
    if n_sizes < 1 or n_replications < 1:
        raise ValueError(f"needs a size and a replication, got {n_sizes} and {n_replications}")
    passed: dict[Trial, bool] = {}
    last = n_sizes - 1
    if (yield from _failing(passed, [0], last)):
        return (yield from _none_found(passed, (0,), n_replications, last))
    # Halved, not doubled from the hardest size: runs that fail badly are the dearest.
    size, _ = yield from _halved(passed, [0], -1, last, guess)
    for block in _blocks(n_replications):
        failing = yield from _failing(passed, block, size)
        if failing:
            above, decided_by = yield from _largest_threshold(passed, failing, size, last, guess)
            if above is None:
                return (yield from _none_found(passed, decided_by, n_replications, last))
            size = above
    yield from _asked(passed, [Trial(r, size) for r in range(n_replications)])
    yield from _asked(passed, _probes(size, last, n_replications, n_probes))
    failed_below = [t.replication for t, ok in passed.items() if not ok and t.size == size - 1]
    return Found(size, tuple(sorted(failed_below)), n_replications, passed)


def _none_found(
    passed: dict[Trial, bool], decided_by: tuple[int, ...], n_replications: int, last: int
) -> Search:
    """Return that not even the last size is enough, with more trials there: one may be bad luck."""
    own = [Trial(r, last) for r in range(min(n_replications, LAST_TRIALS))]
    yield from _asked(passed, own)
    failed = {t.replication for t, ok in passed.items() if t.size == last and not ok}
    return Found(None, tuple(sorted({*decided_by, *failed})), n_replications, passed)


def threshold_search(
    n_sizes: int, start: int, guess: Callable[[], int | None] | None = None
) -> Generator[int, bool, int | None]:
    """Ask one replication for sizes, from `start` on, and return its threshold.

    None if not even the last size is enough.  Steps double, then are halved; where the threshold
    may be guessed, the last size is tried where two have failed, then those about the guess.

    >>> search = threshold_search(256, 100)
    >>> size = next(search)
    >>> try:
    ...     while True:
    ...         size = search.send(size >= 130)
    ... except StopIteration as end:
    ...     print(end.value)
    130
    """
    step, low, high = 1, -1, n_sizes
    ok = yield start
    if ok:
        high = start
        while guess is None and high > 0 and low < 0:
            size = max(0, high - step)
            if (yield size):
                high, step = size, 2 * step
            else:
                low = size
    else:
        low = start
        factor = 2 if guess is None else n_sizes
        while low < n_sizes - 1 and high == n_sizes:
            size = min(n_sizes - 1, low + step)
            if (yield size):
                high = size
            else:
                low, step = size, factor * step
    near = _Near()
    while high - low > 1 and high < n_sizes:
        middle = near.between(low, high, None if guess is None else guess())
        if (yield middle):
            high = middle
        else:
            low = middle
    return high if high < n_sizes else None


class _Near:
    """Chooses the next size to try: the guess, then farther and farther from it, then halves."""

    def __init__(self) -> None:
        self._step = 1

    def between(self, low: int, high: int, guess: int | None) -> int:
        """Return a size above `low`, which fails, and below `high`, which passes."""
        step = self._step
        if guess is None or step >= high - low:
            return (low + high) // 2
        if low < guess < high:
            return guess
        self._step *= 2
        return high - step if guess >= high else low + step


def _largest_threshold(
    passed: dict[Trial, bool],
    failing: Collection[int],
    low: int,
    last: int,
    guess: Guess | None,
) -> Generator[Sequence[Trial], Mapping[Trial, bool], tuple[int | None, tuple[int, ...]]]:
    """Return the largest threshold of replications that fail at `low`, and whose it is.

    Steps double until all pass, then are halved; who passes on the way is out of the race.
    Returns None, and who fails there, if that is the `last` size.  Where thresholds may be guessed,
    that one is the second that is tried.
    """
    step, high, factor = 1, last, 2 if guess is None else last + 1
    while True:
        high = min(low + step, last)
        left = yield from _failing(passed, failing, high)
        if not left:
            break
        if high == last:
            return None, tuple(left)
        failing, low, step = left, high, factor * step
    return (yield from _halved(passed, failing, low, high, guess))


def _halved(
    passed: dict[Trial, bool], failing: Collection[int], low: int, high: int, guess: Guess | None
) -> Generator[Sequence[Trial], Mapping[Trial, bool], tuple[int, tuple[int, ...]]]:
    """Return the same between `low`, at which they fail, and `high`, at which all of them pass."""
    near = _Near()
    while high - low > 1:
        guesses = [] if guess is None else [guess(r) for r in failing]
        known = [each for each in guesses if each is not None]
        wanted = max(known) if known and len(known) == len(failing) else None
        middle = near.between(low, high, wanted)
        left = yield from _failing(passed, failing, middle)
        if left:
            failing, low = left, middle
        else:
            high = middle
    return high, tuple(failing)


def _failing(
    passed: dict[Trial, bool], replications: Collection[int], size: int
) -> Generator[Sequence[Trial], Mapping[Trial, bool], list[int]]:
    yield from _asked(passed, [Trial(r, size) for r in replications])
    return [r for r in replications if not passed[Trial(r, size)]]


def _asked(
    passed: dict[Trial, bool], trials: Sequence[Trial]
) -> Generator[Sequence[Trial], Mapping[Trial, bool], None]:
    """Ask for those trials that were not made yet."""
    new = [trial for trial in trials if trial not in passed]
    if new:
        answers = yield new
        passed.update({trial: answers[trial] for trial in new})


def _blocks(n_replications: int) -> Iterator[range]:
    """Yield all replications in blocks that grow: early ones are often records."""
    first, length = 0, 1
    while first < n_replications:
        yield range(first, min(first + length, n_replications))
        first += length
        length = min(max(first, 1), LARGEST_BLOCK)


def _probes(size: int, last: int, n_replications: int, n_probes: int) -> list[Trial]:
    """Return trials of sizes above `size`, spread evenly over these and over replications."""
    if size == last:
        return []
    above = last - size
    return [Trial(n % n_replications, size + 1 + (n * above) // n_probes) for n in range(n_probes)]
