"""Files larger than the limit of their group, written, evicted and read again: the books balance.

Each page that comes back may free the nodes that remembered it, in the middle of a step that has
more pages to take.  A run is audited at its end; a frame too few or too many raises.
"""

from typing import Any

import pytest
from support.net_steps import Dice
from support.samples import sample

from sim.engine.run import simulate
from sim.scenario import resolve

RELEASES = ("6.18", "6.18", "6.16", "6.12", "5.10")
FEWEST, MOST = 600, 4000
"""Pages of a file; half of a group's limit at least, eight times that at most."""


def drawn(index: int) -> dict[str, Any]:
    """Return a scenario of one or two processes that go through up to three files."""
    dice = Dice(f"evicted files {index}")
    sizes = [dice.between(FEWEST, MOST) for _ in range(dice.between(1, 3))]
    pause = dice.one(("none", "sleep", "fsync"))
    steps: list[dict[str, Any]] = []
    for turn in range(dice.between(2, 6)):
        number = turn % len(sizes)
        what = {"file": f"f{number}", "first": 0, "pages": sizes[number]}
        steps.append({dice.one(("write_file", "read_file")): what})
        if pause != "none":
            steps.append({"sleep": "3 s"} if pause == "sleep" else {"fsync": f"f{number}"})
    processes = [("a", "inner"), ("b", "outer")][: dice.between(1, 2)]
    # With more than the limit at once, either of two evicts what the other has just had read.
    windows = ("0 B", "4 KiB", "128 KiB", "1 MiB", "8 MiB")[: 6 - len(processes)]
    return {
        "version": 1,
        "host": {
            "memory": "256 MiB",
            "cpus": dice.between(1, 2),
            "kernel": dice.one(RELEASES),
            "cgroup": dice.one(("v1", "v2")),
            "disk": {"read_ahead": dice.one(windows)},
        },
        "groups": {
            "outer": {"memory_max": f"{dice.between(3, 16)} MiB"},
            "inner": {"parent": "outer", "memory_max": f"{dice.between(2, 16)} MiB"},
        },
        "processes": {
            name: {"program": "steps", "group": group, "steps": steps} for name, group in processes
        },
        "run": {"horizon": "10 min"},
    }


@pytest.mark.stress
def test_what_is_evicted_and_read_again_is_charged_once() -> None:
    stolen = 0
    for index in range(sample(16, 1_500)):
        document = simulate(resolve(drawn(index)), seed=1).document
        assert document["ending"] == "idle", index
        stolen += document["metrics"]["pages_stolen"]
    assert stolen > 0
