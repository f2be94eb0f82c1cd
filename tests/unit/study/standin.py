"""A stand-in for the simulator: closed forms and a little noise, in the shape of its results.

It takes milliseconds, so that studies of hundreds of runs can be tested; what it says about
memory is right to the occupancy formula, which makes its answers checkable.
"""

import math
import random
import statistics
from collections.abc import Mapping
from typing import Any

PAGE = 4096
S = 1_000_000_000


def simulate(scenario: Mapping[str, Any], *, seed: int, replication: int) -> dict[str, Any]:
    luck = random.Random(f"{seed}/{replication}")
    host, redis = scenario["host"], scenario["processes"]["redis"]
    data_pages = int(redis["dataset"] * redis.get("slack", 1.1) * redis["fragmentation"]) // PAGE
    tables = data_pages // 512 + 5
    save_s = redis["dataset"] / (200e6 * redis["save_speed"] / (200 << 20))
    writes = redis["writes"] * save_s
    copies = data_pages * -math.expm1(-writes / data_pages)
    copies = int(copies + luck.gauss(0, 1) * math.sqrt(copies + 1))
    total_pages = host["memory"] // PAGE
    reserve, minimum = host["kernel_reserve"] // PAGE, host["min_free"] // PAGE
    need = data_pages + copies + 2 * tables + 8
    free_at_start = total_pages - reserve
    killed = need > free_at_start - minimum
    fork_ns = int(50e3 + data_pages * 53 * luck.gauss(1, 0.02))
    fork_at, end = 10 * S, int((10 + save_s) * S)
    times = [fork_at * i // 20 for i in range(20)]
    times += [fork_at + (end - fork_at) * i // 80 for i in range(81)]
    free = []
    for t in times:
        taken = data_pages * min(1.0, t / (8 * S))
        if t >= fork_at:
            share = (t - fork_at) / (end - fork_at)
            taken += tables + copies * -math.expm1(-2 * share) / -math.expm1(-2)
        free.append(max(minimum, int(free_at_start - taken)))
    marks = [
        {"t_ns": fork_at, "kind": "fork", "name": "redis/1"},
        {"t_ns": end, "kind": "oom_kill" if killed else "exit", "name": "redis/1"},
    ]

    def latency(mean_ns: float, count: int) -> dict[str, Any]:
        if not count:
            return dict.fromkeys(("mean", "p50", "p90", "p99", "p999", "max")) | {"count": 0}
        p = {name: int(mean_ns * f) for name, f in QUANTILES.items()}
        return {"count": count, "mean": mean_ns, **p}

    def distribution(median_ns: float, spread: float) -> dict[str, list[float]]:
        times = [int(median_ns * math.exp(spread * x)) for x in Z]
        return {"p": list(PERCENT), "ns": times, "n": 1000}

    return {
        "metrics": {
            "forks": 1,
            "oom_kills": int(killed),
            "fork_failures": 0,
            "zero_fills": data_pages,
            "cow_copies": copies,
            "cow_reuses": int(writes * 0.1),
            "minor_faults": data_pages + copies,
            "fault_latency_ns": latency(1400.0, copies + data_pages),
            "fork_latency_ns": latency(fork_ns, 1),
            "vfork_latency_ns": latency(0, 0),
            "request_latency_ns": latency(90_000.0, int(writes) + 1),
            "runqueue_wait_ns": latency(0, 0),
            "free_pages": {"min": min(free), "mean": sum(free) / len(free), "end": free[-1]},
            "memory_need_bytes": {
                "total": need * PAGE,
                "data": data_pages * PAGE,
                "cow_copies": copies * PAGE,
                "page_tables": 2 * tables * PAGE,
                "kernel_stacks": 8 * PAGE,
                "page_cache": 0,
                "shared_memory": 0,
                "hugetlb": 0,
            },
            "cpu_busy_fraction": 0.31,
        },
        "ending": "horizon",
        "simulated_ns": end,
        "processes": [
            {"name": "redis", "pid": 1, "peak_rss_bytes": data_pages * PAGE, "ended": "running"},
            {"name": "redis/1", "pid": 2, "ended": "oom-killed" if killed else "exit 0"},
        ],
        "work": {
            "fork_base": {"units": 1, "ns": 50_000},
            "fork_pte": {"units": data_pages, "ns": fork_ns - 50_000},
        },
        "stages": {
            **{f"zero_fill/{s}": data_pages * n for s, n in ZERO_FILL.items()},
            **{f"cow_copy/{s}": copies * n for s, n in COW_COPY.items()},
        },
        "series": {"t_ns": times, "free_pages": free},
        "marks": marks,
        "distributions": {
            "zero_fill": distribution(600, 0.5),
            "cow_copy": distribution(740, 0.4),
            "cow_reuse": distribution(400, 0.3),
            "request": distribution(40_000, 0.9),
            "fork": {"p": [1, 50, 100], "ns": [fork_ns] * 3, "n": 1},
        },
        "reports": {"redis": {"cow_bytes": [copies * PAGE]}},
        "host": {
            "total_pages": total_pages,
            "kernel_reserve_pages": reserve,
            "min_pages": minimum,
            "low_pages": minimum * 5 // 4,
            "high_pages": minimum * 3 // 2,
            "free_at_start_pages": free_at_start,
        },
        "deadlock": None,
    }


PERCENT = [i / 2 for i in range(1, 200)] + [99.9, 99.99, 100]
Z = [4.5 if p == 100 else statistics.NormalDist().inv_cdf(p / 100) for p in PERCENT]
QUANTILES = {"p50": 0.8, "p90": 1.5, "p99": 3.0, "p999": 9.0, "max": 40.0}
ZERO_FILL = {"trap": 90, "walk": 60, "allocate": 150, "zero": 350, "map": 100}
COW_COPY = {"trap": 90, "walk": 60, "allocate": 120, "copy": 380, "map": 60, "flush": 40}
