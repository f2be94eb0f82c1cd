"""Overload is told by what CPUs did while requests arrived, not before and not after."""

from __future__ import annotations

from typing import Any

import pytest

from sim.base.units import MIB, MS, S
from sim.engine.run import simulate
from sim.scenario.resolve import resolve


def told(steps: list[Any], *, cpus: int = 1, horizon: int | None = None) -> list[dict[str, Any]]:
    """Return what is said of requests to one process, each of 2 ms on a CPU."""
    document = simulate(
        resolve(
            {
                "version": 1,
                "host": {"memory": 128 * MIB, "kernel_reserve": 8 * MIB, "cpus": cpus},
                "processes": {"a": {"program": "steps", "steps": steps}},
                "run": {} if horizon is None else {"horizon": horizon},
            }
        ),
        seed=1,
    ).to_json()
    return [found for found in document["validity"] if found["code"] == "not_served"]


def serve(every_ns: int) -> list[Any]:
    access = {"region": "A", "arrivals": {"every": every_ns}, "cpu": 2 * MS, "pages": 500}
    return [{"mmap": {"name": "A", "size": 4 * MIB}}, {"write": access}]


IDLE: list[Any] = [{"sleep": 5 * S}]


@pytest.mark.parametrize("steps", [serve(MS), IDLE + serve(MS), serve(MS) + IDLE])
def test_twice_the_load_of_a_cpu_is_told_whatever_else_the_run_has(steps: list[Any]) -> None:
    (found,) = told(steps)
    assert found["severity"] == "warning"
    assert found["what"].endswith("no CPU was idle: about 2 CPUs of work for 1")


@pytest.mark.parametrize("steps", [serve(3 * MS), IDLE + serve(3 * MS), serve(3 * MS) + IDLE])
def test_two_thirds_of_it_is_not(steps: list[Any]) -> None:
    assert told(steps) == []


def test_requests_that_wait_at_the_horizon_are_told_of_a_server_that_starts_late() -> None:
    (found,) = told(IDLE + serve(MS), horizon=5 * S + 400 * MS)
    assert found["severity"] == "error"
    assert found["what"].startswith("200 of 400 requests")


def test_one_thread_has_one_cpu_of_two_whatever_it_does_afterwards() -> None:
    (found,) = told(serve(MS) + IDLE, cpus=2)
    assert found["what"].endswith("a was never off its CPU")
