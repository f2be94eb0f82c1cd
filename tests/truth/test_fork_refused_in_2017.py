"""A save refused on a machine of 2017 that had as much memory in use: mailcow-dockerized#824.

1.95 GiB, some 85 MB of them free, Redis with 112 MB: each BGSAVE failed with ENOMEM until
`vm.overcommit_memory` was 1.  Kernels before 5.2 compare with what is free; later ones do not.
"""

from typing import Any

import pytest

from sim.engine.run import simulate
from sim.scenario.resolve import resolve

pytestmark = pytest.mark.truth


def saved_on(**host: Any) -> dict[str, Any]:
    steps = [{"mmap": {"name": "H", "size": "1700 MiB"}}, {"write": "H"}, {"sleep": "30 s"}]
    document = {
        "version": 1,
        "host": {"memory": "2001 MiB", "cpus": 2, "kernel_reserve": "100 MiB", **host},
        "processes": {
            "others": {"program": "steps", "steps": steps},
            "redis": {
                "program": "redis", "start": "3 s", "version": "4.0", "dataset": "109 MiB",
                "value": "1000 B", "writes": "10/s", "save_every": "1 s", "saves": 1,
            },
        },
        "run": {"horizon": "20 s"},
    }  # fmt: skip
    return simulate(resolve(document), seed=1).to_json()


def refusals(document: dict[str, Any]) -> int:
    return int(document["metrics"]["fork_failures"])


@pytest.mark.parametrize("kernel", ["3.10.0-1160", "4.15.0-20-generic", "4.19", "5.1"])
def test_a_fork_is_refused_as_in_2017(kernel: str):
    document = saved_on(kernel=kernel)
    assert refusals(document) >= 1
    assert "refused" in {finding["code"] for finding in document["validity"]}


@pytest.mark.parametrize(
    "host",
    [
        {"kernel": "5.2"},
        {"kernel": "6.12"},
        {"kernel": "4.19", "overcommit": {"mode": 1}},
        {"kernel": "4.19", "memory": "2201 MiB"},
    ],
)
def test_it_is_not_since_5_2_nor_with_mode_1_nor_with_more_memory(host: dict[str, Any]):
    """Negative control."""
    assert refusals(saved_on(**host)) == 0
