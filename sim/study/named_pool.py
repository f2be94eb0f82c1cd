"""Pools that the command line names: what a function makes, or the workers of a Dask cluster."""

import importlib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from sim.base.errors import ScenarioError
from sim.base.limits import Limits
from sim.base.text import shorten
from sim.program.plugin import Plugin
from sim.scenario.complaints import suggestion
from sim.study.executor import RunFactory, simulate_with
from sim.study.pool import Pool, PoolExecutor, in_short

ANSWERS_WITHIN_S: Final = 10
"""How long a cluster, and the first of its workers, are waited for."""
EXAMPLE: Final = "concurrent.futures:ThreadPoolExecutor"


@contextmanager
def named_executors(
    executor: str | None,
    cluster: str | None,
    jobs: int | None,
    plugin: Plugin | None,
    limits: Limits | None,
) -> Iterator[RunFactory | None]:
    """Yield what carries out runs as the command line names it; None if it names nothing.

    `executor` is ``MODULE:FUNCTION``: the function returns anything with the interface of
    `concurrent.futures.Executor`; it is called with ``max_workers=jobs`` if `jobs` is given, else
    with nothing.  `cluster` is the address of a scheduler of Dask's.  The pool is made here, and
    has one worker answer, so that nothing is begun that cannot be carried out.

    Raises `ScenarioError` if there is no such pool.
    """
    if executor is None and cluster is None:
        yield None
        return
    make: Callable[[], Pool]
    if cluster is None:
        key, make = "--executor", partial(_made_by, _function(str(executor)), str(executor), jobs)
    elif executor is not None:
        raise ScenarioError("--executor says otherwise; keep one of them", key="--cluster")
    elif jobs is not None:
        raise ScenarioError("a cluster has the workers that it has; leave it out", key="--jobs")
    else:
        key, make = "--cluster", partial(_DaskPool, cluster)
    pool = PoolExecutor(make, simulate_with(plugin), limits=limits)
    try:
        try:
            pool.open()
        except ScenarioError as error:
            raise ScenarioError(error.message, key=key) from error
        yield lambda n_workers: pool
    finally:
        pool.close()


def _function(name: str) -> Callable[..., Any]:
    """Return the function that ``MODULE:FUNCTION`` names; modules may lie in this folder."""
    module_name, colon, function_name = name.partition(":")
    if not (module_name and colon and function_name):
        message = f"{shorten(name)!r} is not MODULE:FUNCTION, such as {EXAMPLE}"
        raise ScenarioError(message, key="--executor")
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  # a string, as the others there are
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        message = f"cannot import {shorten(module_name)!r} ({in_short(error)})"
        raise ScenarioError(message, key="--executor") from error
    finally:
        sys.path.pop(0)
    function = getattr(module, function_name, None)
    if not callable(function):
        known = [each for each in dir(module) if callable(getattr(module, each))]
        message = f"{module_name} has no function {shorten(function_name)!r}"
        raise ScenarioError(f"{message}; {suggestion(function_name, known)}", key="--executor")
    made: Callable[..., Any] = function
    return made


def _made_by(function: Callable[..., Any], name: str, jobs: int | None) -> Pool:
    try:
        pool = function() if jobs is None else function(max_workers=jobs)
    except Exception as error:
        raise ScenarioError(f"{name} makes no pool ({in_short(error)})") from error
    if not (hasattr(pool, "submit") and hasattr(pool, "shutdown")):
        message = f"{name} returns no pool ({type(pool).__name__}); a pool has submit and shutdown"
        raise ScenarioError(message)
    made: Pool = pool
    return made


class _DaskPool:
    """The workers of a cluster of Dask's, whose scheduler has an `address`."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ModuleNotFoundError as error:
            message = "needs dask.distributed; pip install 'cowpool[cluster]'"
            raise ScenarioError(message) from error
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # we say what is wrong
        where = shorten(address)
        if re.fullmatch(r"(\w+://)?\S+:\d+", address) is None:
            raise ScenarioError(f"{where!r} is no address, such as tcp://127.0.0.1:8786")
        try:
            self._client = Client(address, timeout=ANSWERS_WITHIN_S, set_as_default=False)
        except Exception as error:
            message = f"nobody answers at {where} ({in_short(error)}); is `dask scheduler` there?"
            raise ScenarioError(message) from error
        try:
            self._client.wait_for_workers(1, timeout=ANSWERS_WITHIN_S)
        except Exception as error:
            self._client.close()
            message = f"{where} has no workers ({in_short(error)}); start `dask worker {where}`"
            raise ScenarioError(message) from error
        self._pool = self._client.get_executor(pure=False)

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a worker call `function`."""
        future: Future[Any] = self._pool.submit(function, *arguments)
        return future

    def shutdown(self, wait: bool = True) -> None:
        """Drop what is waiting; what a worker is at goes on to its end there."""
        self._pool.shutdown(wait=wait)
        self._client.close()
