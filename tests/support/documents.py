"""Documents of runs that never were, with figures of any size."""

import math

from sim.machine.parts import PARTS
from sim.machine.work import KINDS

COUNTS = (
    "forks vforks execs exits fork_failures minor_faults major_faults zero_fills zero_page_maps "
    "cow_copies cow_reuses file_maps spurious_faults swap_maps segfaults bus_errors oom_kills "
    "direct_reclaims pages_stolen pages_swapped_in pages_swapped_out context_switches"
).split()
LATENCIES = (
    "fault_latency_ns", "fork_latency_ns", "vfork_latency_ns", "request_latency_ns",
    "runqueue_wait_ns",
)  # fmt: skip
ENDED = ("exit 0", "running", "oom-killed", "failed: ENOMEM", "segfault", "bus error")


def anything(rng, most=2**55):
    """Return a number that is as likely small as large."""
    return int(math.exp(rng.uniform(0, math.log(most)))) - 1


def latency(rng):
    """Return the figures of a latency that was met with any number of times."""
    count = anything(rng)
    values = sorted(anything(rng, 2**45) for _ in range(6))
    keys = ("p50", "p90", "p99", "p999", "max", "mean")
    figures = dict(zip(keys, values, strict=True)) if count else dict.fromkeys(keys)
    return {"count": count, **figures}


def run_document(rng):
    """Return the document of a run, all of whose figures are drawn from `rng`."""
    need = {part: anything(rng) for part in PARTS}
    letters = "abcdefghij/_"
    names = ["".join(rng.choice(letters) for _ in range(rng.randint(1, 45))) for _ in range(5)]
    price = {"value_ps": 1000, "source": "assumed: none", "low_ps": 500, "high_ps": 2000}
    return {
        "provenance": {
            "scenario": {"name": "any", "host": {"prices": dict.fromkeys(KINDS, price)}},
            "seed": anything(rng),
            "replication": 0,
        },
        "ending": rng.choice(["idle", "horizon"]),
        "simulated_ns": anything(rng),
        "deadlock": None,
        "answered": True,
        "validity": [],
        "work": {},
        "metrics": {
            **{name: anything(rng) for name in COUNTS},
            **{name: latency(rng) for name in LATENCIES},
            "free_pages": {kind: anything(rng, 2**40) for kind in ("min", "mean", "end")},
            "memory_need_bytes": {"total": sum(need.values()), **need},
            "cpu_busy_fraction": rng.random(),
            "psi_memory_some": rng.choice([0.0, 1.0, rng.random()]),
            "psi_memory_full": rng.random(),
        },
        "processes": [
            {
                "name": name,
                "pid": number,
                "minor_faults": anything(rng),
                "peak_rss_bytes": anything(rng),
                "pss_bytes": anything(rng),
                "unique_bytes": anything(rng),
                "cpu_ns": anything(rng),
                "ended": rng.choice(ENDED),
            }
            for number, name in enumerate(names)
        ],
        "host": {"min_pages": anything(rng, 2**40)},
    }
