"""Scenarios drawn for the net: machines, policies, runs, and what runs on them.

The same on every machine and with every version of every library: see `support.net_steps`.
"""

from collections.abc import Mapping
from typing import Any

from sim.policy.schedulers import SCHEDULERS
from support.net_steps import LATER_WEIGHTS, STEP_WEIGHTS, Dice, StepList, done

METHODS = ("fork_exec", "vfork_exec", "posix_spawn")
KINDS = (
    "redis", "prefork_web", "build_storm", "heap_growth", "shell_pipeline", "steps", "steps",
    "steps", "does", "does",
)  # fmt: skip
"""What the scenarios are about, in turn; `does` is the plug-in's."""

KERNELS = ("4.19", "5.1", "5.4", "5.10", "5.15", "6.1", "6.6", "6.8", "6.12", "6.15", "6.18")
FOLIO_KERNELS = ("6.8", "6.12", "6.15", "6.18")
PROFILES = (
    "generic", "generic", "generic", "xeon_4210r", "ec2_hvm", "kvm_guest", "xen_pv", "server_2010",
    "textbook_eager",
)  # fmt: skip

KEYS: dict[str, dict[str, tuple[Any, ...]]] = {
    "redis": {
        "dataset": ("512 KiB", "2 MiB", "6 MiB"),
        "value": ("10 B", "100 B", "1000 B", "5000 B"),
        "writes": ("0/s", "300/s", "5000/s", "40000/s"),
        "save_every": ("1 ms", "30 ms"),
        "save_speed": ("10 MiB/s", "100 MiB/s"),
        "version": (6.2, 7.0, 7.2),
        "key_distribution": ("uniform", "zipf"),
        "fragmentation": (1.0, 1.5),
        "saves": (0, 1, 2, 3),
        "arrivals": ("poisson", "fixed"),
        "client_buffers": ("0 B", "0 B", "1 MiB"),
        "replica_buffers": ("0 B", "0 B", "300 KiB"),
        "dump": ("0 B", "0 B", "2 MiB"),
    },
    "prefork_web": {
        "app": ("1 MiB", "4 MiB"),
        "workers": (1, 3, 6),
        "worker_heap": ("0 B", "100 KiB", "1 MiB"),
        "requests": ("5/s", "60/s", "900/s"),
        "request_cpu": ("10 us", "2 ms"),
        "eroded_pages": (1, 20, 60),
        "hot_fraction": (0.05, 0.5, 1.0),
        "hot_share": (0.0, 0.9, 1.0),
        "collect_every": (0, 0, 7),
        "collected_fraction": (0.2, 1.0),
        "max_requests": (0, 0, 9),
        "duration": ("100 ms", "400 ms"),
        "arrivals": ("poisson", "fixed"),
    },
    "build_storm": {
        "method": METHODS,
        "parent": ("0 B", "1 MiB", "6 MiB"),
        "jobs": (1, 5, 9),
        "concurrency": (1, 3),
        "parent_writes": (0, 5, 64),
        "job_heap": ("0 B", "300 KiB", "2 MiB"),
        "job_cpu": ("0 ms", "2 ms"),
        "image": ("cc1", "gcc", "sh", "true", "static"),
    },
    "heap_growth": {
        "processes": (1, 3),
        "method": ("sbrk", "mmap", "malloc"),
        "step": ("4 KiB", "300 KiB", "2 MiB", "5001 B"),
        "steps": (1, 4),
        "cycles": (1, 3),
        "touched_fraction": (0.0, 0.33, 1.0),
        "rewrites": (0, 50),
        "step_cpu": ("0 ms", "1 ms"),
        "hold": ("0 ms", "20 ms"),
        "stagger": ("0 ms", "5 ms"),
    },
    "shell_pipeline": {
        "method": METHODS,
        "shell": ("0 B", "1 MiB", "4 MiB"),
        "pipelines": (1, 3),
        "stages": (1, 3),
        "stream": ("0 B", "100 KiB", "1 MiB"),
        "block": ("4 KiB", "64 KiB", "70000 B"),
        "block_every": ("100 us", "1 ms"),
        "block_cpu": ("0 us", "50 us", "2 ms"),
        "stage_heap": ("0 B", "500 KiB"),
        "think": ("0 ms", "5 ms"),
        "image": ("sort", "cat", "ls"),
    },
}

FIRST_DRAWS = 200
"""Scenarios drawn before there was what follows; they stay as they are."""
SWAP_DRAWS = 260
"""From this one on machines have little memory, and swap."""
LATER_KEYS: dict[str, dict[str, tuple[Any, ...]]] = {
    **KEYS,
    "redis": {
        **KEYS["redis"],
        "version": ("6.0", "6.2", "7.0", "7.2", "valkey 8.0", "valkey 8.1"),
        "loading": ("0 B", "0 B", "1 MiB"),
        "aof_buffers": ("0 B", "0 B", "500 KiB"),
        "save_for": ("disk", "replica"),
        "phase": ("together", "random"),
    },
    "prefork_web": {
        **KEYS["prefork_web"],
        "max_requests_jitter": (0, 5),
        "leak": ("0 B", "3 KiB", "100 KiB"),
        "preload": (True, True, False),
    },
}


def drawn(number: int) -> dict[str, Any]:
    """Return scenario `number` of the drawn ones, as it would be written in a file."""
    dice = Dice(f"cowpool net {number}")
    kind = KINDS[number % len(KINDS)]
    roomy = dice.chance(0.6) and number < SWAP_DRAWS
    document = {
        "version": 1,
        "name": f"drawn_{number:03}",
        "host": host(dice, roomy),
        "policy": policy(dice, plug_in=kind == "does"),
        "run": run(dice),
    }
    if number >= SWAP_DRAWS:
        document["host"] |= swap(dice)
        document["host"].pop("thp_sizes", None)
    document["processes"] = processes(
        dice, kind, document["host"]["cpus"], later=number >= FIRST_DRAWS
    )
    if kind == "does" and dice.chance(0.5):
        document["processes"]["server"] = {
            "program": "serves", "pages": dice.between(4, 80), "every": "900 us",
        }  # fmt: skip
    if document["host"].get("khugepaged"):  # it first scans after ten seconds
        document["run"]["horizon"] = "30 s"
        document["processes"]["late"] = {"program": "rests", "pages": dice.one((600, 1100))}
    return document


def host(dice: Dice, roomy: bool) -> dict[str, Any]:
    """Return a machine, one with `roomy` memory or one that runs short."""
    thp = dice.one(("never", "madvise", "always", "always"))
    said: dict[str, Any] = {
        "profile": dice.one(PROFILES),
        "cpus": dice.one((1, 1, 1, 2, 2, 3, 4, 8, 16)),
        "kernel": dice.one(KERNELS),
        "thp": thp,
        "hz": dice.one((100, 250, 1000)),
        "overcommit": {"mode": dice.one((0, 0, 1, 1, 2)), "ratio": dice.one((50, 90))},
    }
    if roomy:
        said["memory"] = dice.one(("64 MiB", "256 MiB", "1 GiB"))
    else:
        said |= {"memory": dice.one(("6 MiB", "10 MiB", "16 MiB")), "kernel_reserve": "1 MiB"}
        said["overcommit"]["mode"] = dice.one((0, 1, 1, 1))
    if dice.chance(0.3):
        said["zones"] = [
            {"name": "DMA", "memory": "2 MiB"},
            {"name": "Normal", "memory": f"{bytes_of(said['memory']) - 2 * 2**20} B"},
        ]
    if dice.chance(0.4):
        said |= {"percpu_batch": dice.one((0, 1, 7)), "percpu_high": dice.one((7, 30))}
    if dice.chance(0.2):
        said["watermark_scale_factor"] = dice.one((0, 300))
    if dice.chance(0.2):
        said["kernel_stack"] = "8 KiB"
    if thp != "never":
        said["khugepaged"] = dice.chance(0.4)
    if said["kernel"] in FOLIO_KERNELS and dice.chance(0.5):
        said["thp_sizes"] = {
            dice.one(("16 KiB", "64 KiB")): dice.one(("always", "madvise", "inherit")),
            dice.one(("128 KiB", "1 MiB")): dice.one(("always", "always", "never")),
        }
    if dice.chance(0.7):
        said["disk"] = {
            "read_ahead": dice.one(("0 B", "16 KiB", "128 KiB", "2 MiB")),
            "largest_read": dice.one(("16 KiB", "1280 KiB")),
            "latency": dice.one(("0 ns", "20 us", "3 ms")),
            "bandwidth": dice.one(("10 MB/s", "1 GB/s")),
            "queue_depth": dice.one((1, 2, 32)),
        }
    return said


def swap(dice: Dice) -> dict[str, Any]:
    """Return what a host says of swap; beside it nothing is on huge pages."""
    return {
        "thp": "never",
        "khugepaged": False,
        "swap": {
            "size": dice.one(("2 MiB", "64 MiB")),
            "device": dice.one(("nvme", "ssd", "disk", "zram", "zram")),
        },
        "swappiness": dice.one((1, 60, 100, 200)),
        "page_cluster": dice.one((0, 3, 3)),
    }


def bytes_of(size: str) -> int:
    number, unit = size.split()
    return int(number) * {"MiB": 2**20, "GiB": 2**30}[unit]


def policy(dice: Dice, plug_in: bool) -> dict[str, Any]:
    own = ("last_come", "least_often") if plug_in else ()
    return {
        "scheduler": {
            "kind": dice.one((*SCHEDULERS, *own)),
            "quantum": dice.one(("300 us", "4 ms", "100 ms")),
        },
        "memory": dice.one(("oom", "wait")),
        "fork": dice.one(("cow", "cow", "eager", "on_demand", "async")),
        "zeroing": dice.one(("demand", "demand", "eager")),
    }


def run(dice: Dice) -> dict[str, Any]:
    return {
        "horizon": dice.one(("40 ms", "600 ms", "3 s")),
        "warmup": dice.one(("0 ns", "0 ns", "0 ns", "200 us", "3 ms")),
        "sample_every": dice.one(("700 us", "10 ms", "50 ms")),
        "seed": dice.below(2**40),
    }


def processes(dice: Dice, kind: str, cpus: int, *, later: bool) -> dict[str, Any]:
    """Return processes of a kind; `later` with keys and verbs that came after the first draws."""
    weights = LATER_WEIGHTS if later else STEP_WEIGHTS
    if kind in KEYS:
        drawn_keys = (LATER_KEYS if later else KEYS)[kind]
        keys = {key: dice.one(values) for key, values in drawn_keys.items()}
        named = {"p": {"program": kind, **keys}}
        if dice.chance(0.4):
            named["beside"] = steps_process(dice, weights)
    elif kind == "steps":
        named = {f"p{number}": steps_process(dice, weights) for number in range(dice.between(1, 4))}
    else:
        named = {
            f"p{number}": {
                "program": "does",
                "rounds": dice.one((1, 1, 2)),
                "steps": done(dice, 16),
            }
            for number in range(dice.between(1, 3))
        }
    for process in named.values():
        if dice.chance(0.2):
            process["cpu"] = dice.below(cpus)
        if dice.chance(0.3):
            process["start"] = dice.one(("1 us", "2 ms", "15 ms"))
        if dice.chance(0.2):
            process["oom_score_adj"] = dice.one((-1000, -200, 500, 1000))
        if dice.chance(0.15):
            process["copies"] = 2
    return named


def steps_process(dice: Dice, weights: Mapping[str, int]) -> dict[str, Any]:
    steps = StepList(dice, weights=weights).draw(dice.between(5, 25))
    return {"program": "steps", "malloc": dice.one(("glibc", "jemalloc")), "steps": steps}
