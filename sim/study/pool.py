"""Runs in a pool: anything with the interface of `concurrent.futures.Executor`.

A run that takes its worker with it (the real machine's OOM killer, a crash in compiled code) may
break the pool; nobody can tell which of the runs in flight it was.  So each of them is done again
alone, and one that is lost then too has failed.  Results come back in order of completion, which
nothing may depend on.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final, Protocol

from sim.base.errors import PartlyDoneError, ScenarioError
from sim.base.limits import Limits
from sim.study.child import DIED, RELEASE, carry_out, drop_children, require_release
from sim.study.job import Finished, Job, Limited, Simulate, simulate_once

RUNS_IN_FLIGHT_PER_WORKER: Final = 2
"""One at work and one waiting, so that no worker idles while the store is written."""
RUNS_IN_FLIGHT: Final = 1_000
"""In a pool that does not say how many workers it has."""


class Pool(Protocol):
    """What is needed of `concurrent.futures.Executor`."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a worker call `function`."""

    def shutdown(self, wait: bool = True) -> None:
        """Take no more calls."""


class PoolGoneError(PartlyDoneError):
    """A pool takes no more runs, or has dropped those that it had; others may be finished."""


@dataclass(frozen=True, slots=True)
class _Lost:
    """A run of which no worker said what became of it; `pool_broken` if the pool is of no use."""

    why: str
    pool_broken: bool


class PoolExecutor:
    """Carries out jobs in the pool that `make` makes, and makes again when it has broken."""

    def __init__(
        self,
        make: Callable[[], Pool],
        simulate: Simulate = simulate_once,
        *,
        limits: Limits | None = None,
    ) -> None:
        self._make = make
        self._simulate = Limited(simulate, limits) if limits else simulate
        self._pool: Pool | None = None
        self._in_flight: dict[Future[Finished], Job] = {}

    def open(self) -> None:
        """Make the pool and have a worker say that it is of the same release.

        Raises `ScenarioError` if there is no such pool, or if it cannot carry out runs.
        """
        self._pool = self._make()
        try:
            self._pool.submit(require_release, RELEASE).result()
        except ScenarioError:
            raise
        except Exception as error:
            message = f"its workers can do no runs ({in_short(error)}); is cowpool installed there?"
            raise ScenarioError(message) from error

    def run(self, jobs: Sequence[Job]) -> Iterator[Finished]:
        """Yield what became of every job, in order of completion.

        Raises `PoolGoneError` if the pool is no more.
        """
        waiting = deque(jobs)
        ended: SimpleQueue[Future[Finished]] = SimpleQueue()
        while waiting or self._in_flight:
            lost = self._fill(waiting, ended)
            broken = bool(lost)
            ready = [] if broken else [ended.get()]
            while ready or (broken and self._in_flight):
                future = ready.pop() if ready else next(iter(self._in_flight))
                job = self._in_flight.pop(future, None)
                if job is None:  # of a pool that has broken
                    continue
                finished = _outcome(future)
                if isinstance(finished, Finished):
                    yield finished
                else:
                    lost.append(job)
                    broken = broken or finished.pool_broken
            if broken:
                self.close()
            for job in lost:
                yield self._alone(job)

    def close(self) -> None:
        """Take no more jobs; runs in flight are dropped as soon as the pool can drop them."""
        for future in self._in_flight:
            future.cancel()
        self._in_flight.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None
            drop_children()

    def _fill(self, waiting: deque[Job], ended: SimpleQueue[Future[Finished]]) -> list[Job]:
        """Hand in as many jobs as shall be under way; return the one at which the pool broke."""
        while waiting and len(self._in_flight) < self._most_in_flight():
            job = waiting.popleft()
            future = self._submit(job)
            if isinstance(future, _Lost):
                return [job]
            self._in_flight[future] = job
            future.add_done_callback(ended.put)
        return []

    def _alone(self, job: Job) -> Finished:
        """Do again a run that was lost; where the pool broke, while no other is under way."""
        future = self._submit(job)
        finished = future if isinstance(future, _Lost) else _outcome(future)
        if isinstance(finished, Finished):
            return finished
        if finished.pool_broken:
            self.close()
        return Finished(job.key, None, finished.why, 0.0)

    def _submit(self, job: Job) -> Future[Finished] | _Lost:
        if self._pool is None:
            self._pool = self._make()
        try:
            future: Future[Finished] = self._pool.submit(carry_out, self._simulate, job, RELEASE)
        except BrokenExecutor:
            return _Lost(DIED, pool_broken=True)
        except Exception as error:
            raise PoolGoneError(f"no more runs are taken ({in_short(error)})") from error
        return future

    def _most_in_flight(self) -> int:
        """Return how many runs may be under way, by what the pools of Python's library say."""
        if self._pool is None:
            return 1
        n_workers = getattr(self._pool, "_max_workers", None)
        return RUNS_IN_FLIGHT_PER_WORKER * n_workers if n_workers else RUNS_IN_FLIGHT


def _outcome(future: Future[Finished]) -> Finished | _Lost:
    """Return what a worker said of a run, as soon as it does."""
    try:
        return future.result()
    except ScenarioError:  # not of the run: `work` has told that
        raise
    except BrokenExecutor:
        return _Lost(DIED, pool_broken=True)
    except CancelledError as error:
        raise PoolGoneError("runs under way were dropped by what carries them out") from error
    except Exception as error:
        return _Lost(f"lost twice by what carries out runs: {in_short(error)}", pool_broken=False)


def in_short(error: Exception) -> str:
    """Return what kind of error it is, and the first line of what it says."""
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
