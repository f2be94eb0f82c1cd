"""Pools of runs, stored so that a study can be drawn from them a hundred thousand times.

Each pool holds some metrics of many runs of one scenario, a replication each.  Make them again:

    python tests/support/pools.py            # about five minutes of one CPU

They need not be made again when results change: what they are for is their shape.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FILE = Path(__file__).parent.parent / "data" / "pools.json"
SEED = 20250703

METRICS = (
    "memory_need_bytes.total",
    "memory_need_bytes.cow_copies",
    "cow_copies",
    "cow_reuses",
    "minor_faults",
    "fault_latency_ns.count",
    "request_latency_ns.count",
    "fault_latency_ns.max",
    "fork_latency_ns.mean",
    "request_latency_ns.p999",
)


@dataclass(frozen=True)
class Pool:
    """A scenario that ships, what is changed in it, and how many runs of it there are."""

    scenario: str
    sets: dict
    runs: int


POOLS = {
    "redis_16": Pool(
        "redis_bgsave",
        {
            "processes.redis.dataset": "16 MiB",
            "processes.redis.save_every": "100 ms",
            "processes.redis.writes": "12000/s",
            "host.memory": "256 MiB",
        },
        1000,
    ),
    "heap_growth": Pool("heap_growth", {}, 300),
    "prefork_web": Pool("prefork_web", {"processes.web.duration": "5 s"}, 150),
    "build_storm": Pool(
        "build_storm", {"processes.make.jobs": 40, "processes.make.parent": "128 MiB"}, 100
    ),
}


def load():
    """Return each pool's metrics that vary, as arrays of shape ``(runs,)``."""
    stored = json.loads(FILE.read_text())
    return {
        name: {metric: np.array(values, dtype=float) for metric, values in pool.items()}
        for name, pool in stored.items()
    }


def varying(rows):
    """Return of the runs' metrics those that every run has and that are not all the same."""
    columns = {metric: [row.get(metric) for row in rows] for metric in METRICS}
    return {
        metric: [round(value) for value in values]
        for metric, values in columns.items()
        if None not in values and len(set(values)) > 1
    }


def make():
    """Carry out the runs of all pools and store them."""
    from sim.scenario.resolve import open_scenario
    from sim.study.job import simulate_once
    from sim.study.records import flatten

    stored = {}
    for name, pool in POOLS.items():
        scenario = open_scenario(pool.scenario).resolved(pool.sets)
        results = (
            simulate_once(scenario, seed=SEED, replication=replication)
            for replication in range(pool.runs)
        )
        stored[name] = varying([dict(flatten(result["metrics"])) for result in results])
    FILE.write_text(json.dumps(stored, separators=(",", ":")).replace("],", "],\n") + "\n")


if __name__ == "__main__":
    make()
