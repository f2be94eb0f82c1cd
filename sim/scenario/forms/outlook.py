"""Whether a run can come to its end: how long it takes, what it holds, how many CPUs it keeps busy.

Lower bounds all: what the parameters say by themselves, without faults, waiting or page tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.base.units import PAGE_BYTES, S
from sim.program.shipped.redis_heap import redis_heap
from sim.program.signature import keyword_arguments
from sim.scenario.forms.figures import CHANCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a process, with its children, comes to at least.

    Attributes
    ----------
    lasts_ns
        From its start to its end.
    data_bytes
        What it has written and holds at one time.
    cpus
        CPUs that its requests keep busy, at the rate at which they arrive.
    threads
        CPUs that can serve them at a time; None: as many as there are.
    """

    lasts_ns: int = 0
    data_bytes: int = 0
    cpus: float = 0.0
    threads: int | None = None


def outlook_of(process: Mapping[str, Any], program: Callable[..., Any]) -> Outlook:
    """Return the outlook of one process of a resolved scenario; zeroes where nothing is known."""
    known = OUTLOOKS.get(process["program"])
    return Outlook() if known is None else known(keyword_arguments(program, process))


def _redis(a: Mapping[str, Any]) -> Outlook:
    names = ("dataset_bytes", "value_bytes", "key_bytes", "fragmentation", "version")
    heap = redis_heap(**{name: a[name] for name in names})
    save_ns = heap.used_bytes * S / a["save_speed_bytes_per_s"]
    rate = 0.0 if a["arrivals"] == "file" else a["writes_per_s"]
    return Outlook(
        round(a["saves"] * (a["save_every_ns"] + save_ns)),
        heap.pages * PAGE_BYTES,
        rate * a["request_cpu_ns"] / S,
        threads=1,
    )


def _prefork_web(a: Mapping[str, Any]) -> Outlook:
    rate = 0.0 if a["arrivals"] == "file" else a["requests_per_s"]
    requests = a["workers"] * rate * a["duration_ns"] / S
    if a["arrivals"] == "poisson":
        requests = max(0.0, requests - CHANCE * math.sqrt(requests))
    # One that is replaced gives back what it has leaked: that may be all before the end.
    leaked = 0 if a["max_requests"] else int(requests) * a["leak_bytes"]
    return Outlook(
        a["duration_ns"],
        (1 if a["preload"] else a["workers"]) * a["app_bytes"]
        + a["workers"] * a["worker_heap_bytes"]
        + leaked,
        a["workers"] * rate * a["request_cpu_ns"] / S,
        threads=a["workers"],
    )


def _build_storm(a: Mapping[str, Any]) -> Outlook:
    side_by_side = min(a["concurrency"], a["jobs"])
    return Outlook(
        -(-a["jobs"] // side_by_side) * a["job_cpu_ns"],
        a["parent_bytes"] + (a["job_heap_bytes"] if side_by_side else 0),
    )


def _heap_growth(a: Mapping[str, Any]) -> Outlook:
    touched = a["steps"] * int(a["step_bytes"] // PAGE_BYTES * a["touched_fraction"]) * PAGE_BYTES
    cycle_ns = a["steps"] * a["step_cpu_ns"] + a["hold_ns"]
    return Outlook(a["cycles"] * cycle_ns, touched)


def _shell_pipeline(a: Mapping[str, Any]) -> Outlook:
    blocks = -(-a["stream_bytes"] // a["block_bytes"])
    stream_ns = max(0, blocks - 1) * a["block_every_ns"]
    return Outlook(
        a["pipelines"] * (stream_ns + a["think_ns"]), a["shell_bytes"] + a["stage_heap_bytes"]
    )


def _steps(a: Mapping[str, Any]) -> Outlook:
    """Add up what one process does in turn; children work beside it, each with its own load."""
    return _of_steps(a["steps"])


def _of_steps(steps: list[Any]) -> Outlook:
    lasts_ns, cpus = 0, 0.0
    for step in steps:
        for verb, arguments in step.items():
            if verb in ("compute", "sleep"):
                lasts_ns += next(iter(arguments.values()))
            elif verb == "sleep_until":
                lasts_ns = max(lasts_ns, arguments["time"])
            elif verb in ("read", "write"):
                takes_ns, load = _access(arguments)
                lasts_ns += takes_ns
                cpus = max(cpus, load)
            elif verb == "repeat":
                inner = _of_steps(arguments["steps"])
                lasts_ns += arguments["times"] * inner.lasts_ns
                started = arguments["times"] if _only_starts(arguments["steps"]) else 1
                cpus += started * inner.cpus
            elif verb in ("fork", "vfork", "posix_spawn", "thread"):
                cpus += _of_steps(arguments["steps"]).cpus
    return Outlook(lasts_ns, cpus=cpus)


def _only_starts(steps: list[Any]) -> bool:
    """Whether steps only start children, so that those of all repetitions work side by side."""
    return all(verb in ("fork", "thread") for step in steps for verb in step)


def _access(arguments: Mapping[str, Any]) -> tuple[int, float]:
    """Return how long an access takes at least, in ns, and the CPUs that its arrivals keep busy."""
    pattern = arguments["pattern"]
    if isinstance(pattern, str):
        accesses = (arguments.get("pages") or 0) // arguments["span"]
    elif "hot_cold" in pattern:
        accesses = pattern["hot_cold"]["count"]
    else:
        accesses = pattern["uniform"] if "uniform" in pattern else len(pattern["listed"])
    takes_ns = accesses * arguments["cpu"]
    arrivals = arguments.get("arrivals") or {}
    rate_per_s = arrivals.get("poisson", 0.0)
    if arrivals.get("every"):
        rate_per_s = S / arrivals["every"]
    return takes_ns, rate_per_s * arguments["per_request"] * arguments["cpu"] / S


OUTLOOKS: Final[Mapping[str, Callable[[Mapping[str, Any]], Outlook]]] = {
    "build_storm": _build_storm,
    "heap_growth": _heap_growth,
    "prefork_web": _prefork_web,
    "redis": _redis,
    "shell_pipeline": _shell_pipeline,
    "steps": _steps,
}
"""By program."""
