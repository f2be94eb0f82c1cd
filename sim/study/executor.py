"""Who carries out the runs: worker processes that may die without taking the study along.

A run that takes its worker with it (the real machine's OOM killer, a crash in compiled code)
breaks the pool; nobody can tell which of the runs in flight it was.  So each of them is done
again alone, in a worker of its own, and one that kills that worker too has failed.  What is
executed is decided elsewhere (`run`); results come back in order of completion, which nothing may
depend on.
"""

import gc
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import resource_tracker
from typing import Any, Final, Protocol

from sim.base.errors import ScenarioError
from sim.base.limits import LimitReachedError, Limits, within
from sim.program.plugin import Plugin, load_plugin
from sim.study.store import pack

RUNS_IN_FLIGHT_PER_WORKER: Final = 2
"""One at work and one waiting, so that no worker idles while the store is written."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run to carry out; `weight` is what it is expected to cost, in any unit."""

    key: str
    scenario: Mapping[str, Any]
    seed: int
    replication: int
    weight: float


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a run: its packed result, or why there is none; `wall_s` it took."""

    key: str
    body: bytes | None
    reason: str | None
    wall_s: float


class Simulate(Protocol):
    """One run, from scenario to plain result: what `sim.engine.run` offers, or a stand-in."""

    def __call__(
        self, scenario: Mapping[str, Any], *, seed: int, replication: int
    ) -> Mapping[str, Any]:
        """Return the result as JSON-able values."""


class Executor(Protocol):
    """Carries out jobs, on whatever there is."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Finished]:
        """Yield what became of every job, in order of completion; start them in order given."""

    def close(self) -> None:
        """Stop at once; runs in flight are dropped."""


def simulate_once(scenario: Mapping[str, Any], *, seed: int, replication: int) -> Mapping[str, Any]:
    """Run the simulator once and return its result as JSON-able values."""
    from sim.engine.run import simulate

    result: Mapping[str, Any] = simulate(scenario, seed=seed, replication=replication).to_json()
    gc.collect()  # a machine is large, and its parts refer to one another
    return result


@dataclass(frozen=True, slots=True)
class WithPlugin:
    """Runs the simulator once with what a plug-in offers: in any process, from the same bytes."""

    path: str
    content: bytes

    def __call__(
        self, scenario: Mapping[str, Any], *, seed: int, replication: int
    ) -> Mapping[str, Any]:
        """Return the result as JSON-able values."""
        from sim.engine.run import simulate
        from sim.policy.schedulers import SCHEDULERS
        from sim.program import PROGRAMS

        plugin = _plugin(self.path, self.content)
        result: Mapping[str, Any] = simulate(
            scenario,
            seed=seed,
            replication=replication,
            programs={**PROGRAMS, **plugin.programs},
            schedulers={**SCHEDULERS, **plugin.schedulers},
        ).to_json()
        gc.collect()
        return result


@lru_cache(maxsize=4)
def _plugin(path: str, content: bytes) -> Plugin:
    return load_plugin(path, content)


@dataclass(frozen=True, slots=True)
class Limited:
    """Runs the simulator once within limits; what it reaches them for is in the run's reason."""

    simulate: Simulate
    limits: Limits

    def __call__(
        self, scenario: Mapping[str, Any], *, seed: int, replication: int
    ) -> Mapping[str, Any]:
        """Return the result as JSON-able values."""
        import sim.engine.run  # noqa: F401  # whole: a limit within an import leaves half of it

        with within(self.limits):
            return self.simulate(scenario, seed=seed, replication=replication)


def work(simulate: Simulate, job: Job) -> Finished:
    """Carry out `job` in this process; a failure is a result too, with its traceback."""
    start_s = time.perf_counter()
    body = reason = None
    try:
        result = simulate(job.scenario, seed=job.seed, replication=job.replication)
        body = pack(result)
    except (ScenarioError, LimitReachedError) as error:  # told in one line
        reason = str(error)
    except Exception:
        reason = traceback.format_exc()
    return Finished(job.key, body, reason, time.perf_counter() - start_s)


class InlineExecutor:
    """Carries out jobs in this process, one after the other: for tests and debuggers."""

    def __init__(self, simulate: Simulate = simulate_once) -> None:
        self._simulate = simulate

    def run(self, jobs: Sequence[Job]) -> Iterator[Finished]:
        """Yield what became of every job, in the order given."""
        for job in jobs:
            yield work(self._simulate, job)

    def close(self) -> None:
        """Do nothing: nothing runs between two jobs."""


class LokyExecutor:
    """Carries out jobs in `n_workers` processes of this machine."""

    def __init__(
        self,
        n_workers: int,
        simulate: Simulate = simulate_once,
        *,
        limits: Limits | None = None,
    ) -> None:
        if n_workers < 1:
            raise ValueError(f"n_workers must be >= 1, got {n_workers}")
        self._n_workers = n_workers
        self._simulate = Limited(simulate, limits) if limits else simulate
        self._pool: Any = None

    def run(self, jobs: Sequence[Job]) -> Iterator[Finished]:
        """Yield what became of every job, in order of completion."""
        waiting = deque(jobs)
        in_flight: dict[Future[Finished], Job] = {}
        while waiting or in_flight:
            broken = False
            while waiting and len(in_flight) < RUNS_IN_FLIGHT_PER_WORKER * self._n_workers:
                job = waiting.popleft()
                future = self._submit(job, self._n_workers)
                if future is None:
                    waiting.appendleft(job)
                    broken = True
                    break
                in_flight[future] = job
            suspects: list[Job] = []
            if in_flight and not broken:
                ready, _ = wait(in_flight, return_when=FIRST_COMPLETED)
                for future in ready:
                    finished = _result_of(future)
                    job = in_flight.pop(future)
                    if finished is None:
                        suspects.append(job)
                    else:
                        yield finished
            if suspects or broken:
                for future, job in in_flight.items():
                    finished = _result_of(future)
                    if finished is None:
                        suspects.append(job)
                    else:
                        yield finished
                in_flight.clear()
                self.close()
                yield from self._run_alone(suspects)

    def close(self) -> None:
        """Stop the workers at once; runs in flight are dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None

    def _run_alone(self, suspects: Sequence[Job]) -> Iterator[Finished]:
        """Do again, each in a worker of its own, the runs in flight when a worker died."""
        for job in suspects:
            future = self._submit(job, n_workers=1)
            finished = None if future is None else _result_of(future)
            if finished is None:
                self.close()
                reason = "its worker process died, twice: out of memory on this machine, or a crash"
                finished = Finished(job.key, None, reason, 0.0)
            yield finished
        self.close()

    def _submit(self, job: Job, n_workers: int) -> Future[Finished] | None:
        """Hand `job` to the pool; None if the pool has broken."""
        from loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

        try:
            with _interrupts_held():
                if self._pool is None:
                    self._pool = ProcessPoolExecutor(
                        n_workers,
                        timeout=_IDLE_WORKER_S,
                        initializer=_ready_worker,
                        initargs=(os.getpid(),),
                    )
                future: Future[Finished] = self._pool.submit(work, self._simulate, job)
        except BrokenProcessPool:
            return None
        return future


_IDLE_WORKER_S: Final = 60
LOOK_EVERY_S: Final = 0.5
"""How often a worker looks whether the process that started it is still there."""


def _result_of(future: Future[Finished]) -> Finished | None:
    """Return what the worker sent; None if a worker of the pool died."""
    from loky.process_executor import BrokenProcessPool

    try:
        return future.result()
    except BrokenProcessPool:
        return None


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C and SIGHUP, which go to all processes of a terminal.

    Processes that start meanwhile are deaf to them from the very beginning, whoever cleans up
    behind the workers included.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        resource_tracker.ensure_running()  # which lets Ctrl-C in again when it has to start
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ready_worker(parent_pid: int) -> None:
    """Leave Ctrl-C to the main process, which keeps what is finished, and do not outlive it.

    It says who it is: a worker that starts as it dies would find another parent here.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent_pid,), daemon=True).start()


def _end_with(parent_pid: int) -> None:
    """End this process once it is an orphan: nobody is left to take its results."""
    while os.getppid() == parent_pid:
        time.sleep(LOOK_EVERY_S)
    os._exit(1)


def available_cpus() -> int:
    """Return how many CPUs this process may use, control groups and affinity included."""
    from loky import cpu_count

    return int(cpu_count())


RunFactory = Callable[[int], Executor]
"""Makes an executor for a number of workers."""


def executor_for(
    jobs: int | None,
    plugin: Plugin | None = None,
    limits: Limits | None = None,
    executors: RunFactory | None = None,
) -> Executor:
    """Return what carries out runs, `jobs` at a time or one per CPU.

    With what a `plugin` offers, each within `limits`; `executors` makes another kind.
    """
    n_jobs = available_cpus() if jobs is None else jobs
    if executors is not None:
        return executors(n_jobs)
    simulate = WithPlugin(plugin.path, plugin.content) if plugin else simulate_once
    return LokyExecutor(n_jobs, simulate, limits=limits)
