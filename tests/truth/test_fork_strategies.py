"""How long fork takes by other designs than Linux's, against what their authors have published."""

import pytest

from sim.engine.run import simulate
from sim.scenario.resolve import resolve


def fork_ns(fork: str) -> int:
    """Return how long a fork of a process with 1 GiB takes on a Xeon 4210R."""
    scenario = {
        "version": 1,
        "host": {"profile": "xeon_4210r", "memory": "4 GiB", "cpus": 2},
        "policy": {"fork": fork},
        "processes": {
            "parent": {
                "program": "steps",
                "steps": [
                    {"mmap": {"name": "data", "size": "1 GiB"}},
                    {"write": "data"},
                    {"fork": {"name": "child", "steps": [{"sleep": "1 s"}]}},
                ],
            }
        },
        "run": {"horizon": "20 s"},
    }
    result = simulate(resolve(scenario), seed=1)
    return int(result.metrics["fork_latency_ns"]["mean"])


@pytest.mark.truth
def test_on_demand_fork_is_as_much_faster_as_published() -> None:
    """Zhao et al. 2021: 1 GB in 0.1 ms, 65 times less than with fork; on a faster host than this.

    Fork itself is off by a factor of two from host to host, so that is the band.
    """
    assert 0.05e6 < fork_ns("on_demand") < 0.2e6
    assert not 0.05e6 < fork_ns("cow") < 0.2e6  # negative control
