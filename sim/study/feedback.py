"""Where nothing feeds back on memory: when a run that passed is the same run where there is more.

How much memory there is changes a run by two things only, if nothing can be reclaimed and nobody
asks how much is free: an allocation that finds too little is refused, and one that finds every zone
below its low watermark wakes kswapd, which takes CPU time though it finds nothing.  A run that met
neither goes on in the same way, to the last event, wherever it would meet neither.

What a host keeps free grows by less than the host does.  The lists of CPUs are what is left: frames
on them are not free to kswapd, and how long they are depends on the size of the host.  All events
being the same, two lists of one CPU differ in length by at most one batch, and by what one of them
may be longer (`sim.machine.pool`); lists with other batches by all that a list may hold.

A group's limit does the same by itself: a charge that was never refused, not even a batch of it, is
not refused by a larger limit.
"""

from collections.abc import Mapping
from typing import Any, Final

from sim.base.units import PAGE_BYTES
from sim.engine.names import kind_of
from sim.machine.layout import STOCK_PAGES
from sim.machine.rules import rules_of
from sim.machine.rules.limits import R_GUESS_TOTAL
from sim.program import PROGRAMS
from sim.program.declared import touches_no_file
from sim.scenario.hosts import host_watermarks, managed_pages
from sim.study.need import kept_bytes

_BY_SIZE: Final = frozenset(
    {"memory", "kernel_reserve", "min_free", "percpu_batch", "percpu_high", "zones"}
)
"""Keys of a host that its size decides."""
_NEVER: Final = ("oom_kills", "allocation_stalls", "pages_scanned", "pages_stolen", "major_faults")
"""Metrics that are 0 where nothing was short."""
_OF_FREE: Final = "free_pages."
"""Metrics that tell the size of the host, in whatever run."""
_IN_A_STEP: Final = 64
"""Frames that a step may have taken and given back: lows of free memory are those between steps."""


def nothing_feeds_back(scenario: Mapping[str, Any]) -> bool:
    """Return whether memory changes nothing in a run of a resolved scenario until it is short.

    That is known of few scenarios; of others it may be so.
    """
    host, policy = scenario["host"], scenario["policy"]
    promises = host["overcommit"]["mode"] == 1 or (
        host["overcommit"]["mode"] == 0 and rules_of(host["kernel"]) & R_GUESS_TOTAL
    )
    return bool(
        promises
        and not host["swap"]
        and host["thp"] == "never"
        and not host["thp_sizes"]
        and not host["khugepaged"]
        and not host["nr_hugepages"]
        and len(host["zones"]) == 1
        and policy["memory"] == "oom"
        and policy["eviction"] is None
        and policy["replacement"] == "linux"
        and policy["fork"] == "cow"
        and policy["zeroing"] == "demand"
        and not scenario["run"]["warmup"]
        and not scenario["run"]["expect"]
        and all(group["memory_high"] is None for group in scenario["groups"].values())
        and all(
            touches_no_file(PROGRAMS.get(process["program"]), process)
            for process in scenario["processes"].values()
        )
    )


def is_about_size(metric: str) -> bool:
    """Return whether a metric is another one on a larger host though the run is the same."""
    return metric.startswith(_OF_FREE)


def differ_in_room(small: Mapping[str, Any], large: Mapping[str, Any]) -> bool:
    """Return whether two resolved scenarios are one but for memory, or limits.

    And `large` has as much of each at least.
    """
    if _without_room(small) != _without_room(large):
        return False
    limits = zip(small["groups"].values(), large["groups"].values(), strict=True)
    return managed(small) <= managed(large) and all(
        more["memory_max"] is None
        or (less["memory_max"] is not None and less["memory_max"] <= more["memory_max"])
        for less, more in limits
    )


def _without_room(scenario: Mapping[str, Any]) -> Mapping[str, Any]:
    host = {key: value for key, value in scenario["host"].items() if key not in _BY_SIZE}
    groups = {name: {**group, "memory_max": 0} for name, group in scenario["groups"].items()}
    # the kubelet gives it by the size of the node, and only a kill reads it
    processes = {name: {**p, "oom_score_adj": 0} for name, p in scenario["processes"].items()}
    return {**scenario, "host": host, "groups": groups, "processes": processes}


def managed(scenario: Mapping[str, Any]) -> int:
    """Return how many pages the page allocator has, in use or free."""
    return managed_pages(scenario["host"]["memory"], scenario["host"]["kernel_reserve"])


def is_same_run(
    scenario: Mapping[str, Any], result: Mapping[str, Any], more: Mapping[str, Any]
) -> bool:
    """Return whether a run whose objectives were met is, event by event, that of `more` as well.

    `result` is that of the run of `scenario`, and both scenarios have nothing that feeds back.
    False where that is not known.
    """
    metrics = result["metrics"]
    if any(metrics.get(name, 1) for name in (*_NEVER, "fork_failures")):
        return False
    if was_near_a_limit(result):
        return False
    if not differ_in_room(scenario, more):
        return False
    if scenario["host"] == more["host"]:
        return True
    least_free = metrics["free_pages"]["min"] - _IN_A_STEP
    if least_free < _low(scenario):
        return False
    added = managed(more) - managed(scenario) - _longer_lists(scenario["host"], more["host"])
    return bool(least_free + added >= _low(more))


def _low(scenario: Mapping[str, Any]) -> int:
    return host_watermarks(scenario["host"]).low_pages


def _longer_lists(host: Mapping[str, Any], more: Mapping[str, Any]) -> int:
    """Return by how much the lists of all CPUs may be longer on another host in the same run."""
    batch, high = max(1, more["percpu_batch"]), more["percpu_high"]
    if host["percpu_batch"] != more["percpu_batch"]:
        return int(host["cpus"] * (high + batch))
    return int(host["cpus"] * (max(0, high - host["percpu_high"]) + 2 * batch))


def was_near_a_limit(result: Mapping[str, Any]) -> bool:
    """Return whether a group's limit was in the way of a charge, if only of a batch.

    Its peak is then what the limit left of it.
    """
    return any(group["events"]["failcnt"] for group in result["groups"].values())


def fits(scenario: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Return whether what a run held at its peak fits the host and the groups of a scenario.

    A guess at whether it passes there: it is nearly so.  What CPUs have charged ahead is not
    counted, as far as no limit was in its way.
    """
    room = scenario["host"]["memory"] - kept_bytes(scenario)
    if result["metrics"]["memory_need_bytes"]["total"] > room:
        return False
    ahead = 0 if was_near_a_limit(result) else scenario["host"]["cpus"] * STOCK_PAGES * PAGE_BYTES
    return all(
        (limit := scenario["groups"][kind_of(name)]["memory_max"]) is None
        or group["peak_bytes"] - ahead <= limit
        for name, group in result["groups"].items()
    )
