"""Worker processes of this machine, by loky: they may die without taking the study along."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any, Final

from sim.base.limits import Limits
from sim.study.child import LOOK_EVERY_S, serve_until_orphaned
from sim.study.job import Simulate, simulate_once
from sim.study.pool import PoolExecutor

_IDLE_WORKER_S: Final = 60
_MOURNED_S: Final = 5
"""By then loky has seen that a worker is dead, unless it waits for the rest of what that said."""


class LokyExecutor(PoolExecutor):
    """Carries out jobs in `n_workers` processes of this machine."""

    def __init__(
        self, n_workers: int, simulate: Simulate = simulate_once, *, limits: Limits | None = None
    ) -> None:
        if n_workers < 1:
            raise ValueError(f"n_workers must be >= 1, got {n_workers}")
        super().__init__(partial(_LokyPool, n_workers), simulate, limits=limits)


class _LokyPool:
    """A pool of loky's that Ctrl-C does not reach, and that ends at once."""

    def __init__(self, n_workers: int) -> None:
        from loky.process_executor import ProcessPoolExecutor

        self._max_workers = n_workers
        with _interrupts_held():
            self.pool = ProcessPoolExecutor(
                n_workers,
                timeout=_IDLE_WORKER_S,
                initializer=_ready_worker,
                initargs=(os.getpid(),),
            )
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, args=(self.pool,), daemon=True)
        self._watcher.start()

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a worker call `function`."""
        with _interrupts_held(starts=len(self.pool._processes) < self._max_workers):
            future: Future[Any] = self.pool.submit(function, *arguments)
        return future

    def shutdown(self, wait: bool = True) -> None:
        """Stop the workers at once; runs in flight are dropped.

        Nobody watches any more then: a thread that lets go of the pool while Python ends is stopped
        halfway, and what loky has of the system is told as lost.
        """
        self.pool.shutdown(wait=True, kill_workers=True)
        self._ended.set()
        self._watcher.join()

    def _watch(self, pool: Any) -> None:
        """Have loky see that a worker was killed in the middle of what it said.

        A result of more than 16 KiB takes several writes, and loky waits for the last of them:
        whoever has the other end open might write it.  So nobody keeps it open.
        """
        writer, looks = pool._result_queue._writer, 0
        while not self._ended.wait(LOOK_EVERY_S):
            workers = list(pool._processes.values())
            dead = wait([worker.sentinel for worker in workers], timeout=0)
            looks = looks + 1 if dead else 0
            if looks * LOOK_EVERY_S >= _MOURNED_S:
                for worker in workers:
                    with suppress(ProcessLookupError):
                        os.kill(worker.pid, signal.SIGKILL)
                writer.close()
                return


@contextmanager
def _interrupts_held(*, starts: bool = True) -> Iterator[None]:
    """Hold back Ctrl-C and SIGHUP, which go to all processes of a terminal.

    Processes that start meanwhile are deaf to them from the very beginning, whoever cleans up
    behind the workers included: whether that one is there is asked if any worker `starts`.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:  # a signal that raises may come at any line
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        if starts:
            resource_tracker.ensure_running()  # which lets Ctrl-C in again when it has to start
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ready_worker(parent_pid: int) -> None:
    """Leave Ctrl-C to the main process, which keeps what is finished, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve_until_orphaned(parent_pid)
