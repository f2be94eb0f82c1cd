"""Who carries out the runs; which, is decided elsewhere (`rounds`).

Worker processes of this machine (`local_pool`), or any other pool (`pool`, `named_pool`): it never
shows in a result.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from sim.base.limits import Limits
from sim.program.plugin import Plugin
from sim.study.job import Finished, Job, Simulate, WithPlugin, simulate_once, work
from sim.study.local_pool import LokyExecutor


class Executor(Protocol):
    """Carries out jobs, on whatever there is."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Finished]:
        """Yield what became of every job, in order of completion; start them in order given."""

    def close(self) -> None:
        """Stop at once; runs in flight are dropped."""


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


def available_cpus() -> int:
    """Return how many CPUs this process may use, control groups and affinity included."""
    from loky import cpu_count

    return int(cpu_count())


def simulate_with(plugin: Plugin | None) -> Simulate:
    """Return what does one run, with what a `plugin` offers."""
    return WithPlugin(plugin.path, plugin.content) if plugin else simulate_once


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
    return LokyExecutor(n_jobs, simulate_with(plugin), limits=limits)
