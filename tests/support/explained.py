"""Scenarios to explain, drawn: all programs that ship, host settings, releases, policies."""

from typing import Any

from hypothesis import strategies as st

METHODS = ["fork_exec", "vfork_exec", "posix_spawn"]
KEYS: dict[str, dict[str, list[Any]]] = {
    "redis": {
        "dataset": ["512 KiB", "2 MiB", "8 MiB", "29 MiB"],
        "value": ["10 B", "100 B", "1000 B", "1900 B", "3900 B", "5000 B", "20000 B"],
        "writes": ["0/s", "100/s", "3000/s", "10000/s", "60000/s"],
        "save_every": ["1 ms", "200 ms"],
        "save_speed": ["4 MiB/s", "20 MiB/s", "200 MiB/s"],
        "version": ["6.0", "6.2", "7.0", "7.2", "valkey 8.0", "valkey 8.1"],
        "key_distribution": ["uniform", "zipf"],
        "fragmentation": [1.0, 1.3, 2.0],
        "saves": [0, 1, 1, 2],
        "arrivals": ["poisson", "fixed"],
        "client_buffers": ["0 B", "0 B", "1 MiB"],
        "dump": ["0 B", "0 B", "5 MiB"],
        "loading": ["0 B", "0 B", "3 MiB"],
        "save_for": ["disk", "replica"],
        "phase": ["together", "random"],
    },
    "prefork_web": {
        "app": ["1 MiB", "5 MiB", "16 MiB"],
        "workers": [1, 3, 6],
        "worker_heap": ["0 B", "100 KiB", "3 MiB"],
        "requests": ["1/s", "20/s", "60/s"],
        "request_cpu": ["10 us", "3 ms", "50 ms"],
        "eroded_pages": [1, 20, 100],
        "hot_fraction": [0.01, 0.1, 0.5, 1.0],
        "hot_share": [0.0, 0.5, 0.9, 1.0],
        "collect_every": [0, 0, 10, 50],
        "collected_fraction": [0.0, 0.2, 0.5, 1.0],
        "max_requests": [0, 0, 0, 30],
        "max_requests_jitter": [0, 0, 20],
        "leak": ["0 B", "0 B", "3 KiB", "100 KiB", "2 MiB"],
        "preload": [True, True, False],
        "duration": ["500 ms", "2 s"],
        "arrivals": ["poisson", "fixed"],
    },
    "build_storm": {
        "method": METHODS,
        "parent": ["0 B", "1 MiB", "10 MiB", "40 MiB"],
        "jobs": [1, 7, 20],
        "concurrency": [1, 3],
        "parent_writes": [0, 5, 64],
        "job_heap": ["0 B", "1 MiB", "5 MiB"],
        "job_cpu": ["0 ms", "2 ms"],
        "image": ["cc1", "sh", "true"],
    },
    "heap_growth": {
        "processes": [1, 3],
        "method": ["sbrk", "mmap", "malloc"],
        "step": ["4 KiB", "300 KiB", "3 MiB", "5001 B"],
        "steps": [1, 5],
        "cycles": [1, 3],
        "touched_fraction": [0.0, 0.33, 1.0],
        "rewrites": [0, 50],
        "step_cpu": ["0 ms", "1 ms"],
        "hold": ["0 ms", "20 ms"],
        "stagger": ["0 ms", "5 ms"],
    },
    "shell_pipeline": {
        "method": METHODS,
        "shell": ["0 B", "1 MiB", "10 MiB"],
        "pipelines": [1, 4],
        "stages": [1, 3],
        "stream": ["0 B", "100 KiB", "1 MiB"],
        "block": ["4 KiB", "64 KiB", "70000 B"],
        "block_every": ["100 us", "1 ms"],
        "block_cpu": ["0 us", "50 us", "2 ms"],
        "stage_heap": ["0 B", "1 MiB"],
        "think": ["0 ms", "5 ms"],
        "image": ["sort", "cat"],
    },
}

kernels = st.sampled_from(["4.19", "5.1", "5.4", "5.15", "6.1", "6.6", "6.8", "6.12", "6.18"])


@st.composite
def hosts(draw: st.DrawFn) -> dict[str, Any]:
    kernel = draw(kernels)
    host: dict[str, Any] = {
        "memory": "1 GiB",
        "cpus": draw(st.sampled_from([1, 2, 2, 4])),
        "kernel": kernel,
        "thp": draw(st.sampled_from(["never", "never", "madvise", "always"])),
        "overcommit": {"mode": draw(st.sampled_from([0, 0, 1]))},
        "profile": draw(st.sampled_from(["generic", "ec2_hvm", "xeon_4210r"])),
    }
    if kernel in ("6.8", "6.12", "6.18") and draw(st.booleans()):
        host["thp_sizes"] = {draw(st.sampled_from(["32 KiB", "64 KiB", "1 MiB"])): "always"}
    return host


policies = st.fixed_dictionaries(
    {
        "fork": st.sampled_from(["cow", "cow", "eager", "on_demand", "async"]),
        "zeroing": st.sampled_from(["demand", "demand", "eager"]),
        "memory": st.sampled_from(["oom", "oom", "wait"]),
    }
)


@st.composite
def scenarios(draw: st.DrawFn) -> dict[str, Any]:
    program = draw(st.sampled_from(sorted(KEYS)))
    keys = {key: draw(st.sampled_from(values)) for key, values in KEYS[program].items()}
    return {
        "version": 1,
        "host": draw(hosts()),
        "policy": draw(policies),
        "processes": {"p": {"program": program, **keys}},
        "run": {"horizon": "10 min", "seed": draw(st.integers(0, 1000))},
    }
