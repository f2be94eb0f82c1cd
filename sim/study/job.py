"""One run as a job: what determines it, and what became of it, on whatever it is carried out."""

import gc
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from sim.base.errors import ScenarioError
from sim.base.limits import LimitReachedError, Limits, within
from sim.program.plugin import Plugin, load_plugin
from sim.study.packed import pack


@dataclass(frozen=True, slots=True)
class Job:
    """One run to carry out; `weight` is what it is expected to cost, in any unit.

    With `gists` what a report reads of its result is made where the run is, and not where all are.
    """

    key: str
    scenario: Mapping[str, Any]
    seed: int
    replication: int
    weight: float
    gists: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a run: its packed result, or why there is none; `wall_s` it took.

    `gists` are parts of the result by kind, packed, where its job asked for them.
    """

    key: str
    body: bytes | None
    reason: str | None
    wall_s: float
    gists: tuple[tuple[str, bytes], ...] = ()


class Simulate(Protocol):
    """One run, from scenario to plain result: what `sim.engine.run` offers, or a stand-in."""

    def __call__(
        self, scenario: Mapping[str, Any], *, seed: int, replication: int
    ) -> Mapping[str, Any]:
        """Return the result as JSON-able values."""


def simulate_once(scenario: Mapping[str, Any], *, seed: int, replication: int) -> Mapping[str, Any]:
    """Run the simulator once and return its result as JSON-able values."""
    from sim.engine.run import simulate

    result: Mapping[str, Any] = simulate(scenario, seed=seed, replication=replication).to_json()
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

        if self.limits.memory_bytes is not None:
            gc.collect()  # what earlier runs left is none of this one's
        with within(self.limits):
            return self.simulate(scenario, seed=seed, replication=replication)


def work(simulate: Simulate, job: Job) -> Finished:
    """Carry out `job` in this process; a failure is a result too, with its traceback."""
    start_s = time.perf_counter()
    body = reason = result = None
    try:
        result = simulate(job.scenario, seed=job.seed, replication=job.replication)
        body = pack(result)
    except (ScenarioError, LimitReachedError) as error:  # told in one line
        reason = str(error)
    except Exception:
        reason = traceback.format_exc()
    wall_s = time.perf_counter() - start_s
    gists = () if result is None or body is None or not job.gists else _gists(result)
    return Finished(job.key, body, reason, wall_s, gists)


def _gists(result: Mapping[str, Any]) -> tuple[tuple[str, bytes], ...]:
    from sim.study.records import GISTS

    return tuple((kind, pack(made(result))) for kind, made in GISTS.items())
