"""With the compiler off the same source gives the same bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sim.engine.run import simulate
from sim.scenario.resolve import load_scenario

TEXTBOOK = Path(__file__).parents[2] / "experiments" / "001_textbook"
REDIS = ["dataset=512 KiB", "writes=5000/s", "save_every=20 ms", "save_speed=8 MiB/s"]
SHORT = [
    "host.memory=6 MiB",
    "processes.hog.steps=[{sbrk: {name: H, grow: 850 pages}}, {sleep_until: 10 ms}, {write: H},"
    " {sleep_until: 500 ms}]",
    "processes.sharer.steps=[{mmap: {name: S, size: 360 pages}}, {write: S},"
    " {fork: {name: child, steps: [{sleep_until: 800 ms}]}}, {sleep_until: 100 ms}, {write: S},"
    " {wait: child}]",
]
"""The same questions of a third of the memory: plain Python takes a millisecond a page."""
PIPELINE = ["pipelines=1", "method=posix_spawn", "stages=2", "stream=256 KiB", "shell=128 KiB"]
CASES: dict[str, tuple[str, list[str]]] = {
    "copies": (str(TEXTBOOK / "1_copy_on_write.yaml"), []),
    "killed": (str(TEXTBOOK / "2_short_killed.yaml"), SHORT),
    "waiting": (str(TEXTBOOK / "2_short_waits.yaml"), SHORT),
    "eager": (
        str(TEXTBOOK / "1_copy_on_write.yaml"),
        ["policy.fork=eager", "policy.zeroing=eager"],
    ),
    "redis": (
        "redis_bgsave",
        ["host.memory=16 MiB", *(f"processes.redis.{setting}" for setting in REDIS)],
    ),
    "spawn": (
        "shell_pipeline",
        [
            *("host.cpus=1", "host.memory=64 MiB", "processes.sh.stage_heap=128 KiB"),
            *(f"processes.sh.{setting}" for setting in PIPELINE),
        ],
    ),
}


def outcome(case: str, seed: int) -> Any:
    """Return a run's document as it is written to a file and read back."""
    name, settings = CASES[case]
    return json.loads(json.dumps(simulate(load_scenario(name, settings), seed=seed).to_json()))


@pytest.fixture(scope="module")
def plain() -> Any:
    """Return every case's document, made by an interpreter that compiles nothing."""
    run = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


@pytest.mark.parametrize("case", CASES)
def test_plain_python_gives_the_same_bytes(case: str, plain: Any) -> None:
    document = outcome(case, seed=7)
    assert document["metrics"]["minor_faults"] > 0
    assert len(document["kills"]) == (case == "killed")
    assert json.dumps(document) == json.dumps(plain[case])


def test_another_seed_is_told_apart(plain: Any) -> None:
    """Negative control: the comparison can fail."""
    assert outcome("redis", seed=8) != plain["redis"]


if __name__ == "__main__":
    json.dump({case: outcome(case, seed=7) for case in CASES}, sys.stdout)
