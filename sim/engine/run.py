"""One run: from a resolved scenario to its result."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sim.base.units import PAGE_BYTES, pages_for, parse_bytes
from sim.cost.catalogue import price_array, price_spec
from sim.engine.build import KHUGEPAGED, EngineSpec, Simulation, build_machine
from sim.engine.devices import DeviceSpec
from sim.engine.eviction import Eviction, Pod
from sim.engine.groups import GroupSpec
from sim.engine.replicas import names_of, replicated, starts_of
from sim.engine.result import RunResult
from sim.engine.room import require_room
from sim.engine.validity import LONGEST_RUN_NS, judged
from sim.machine.layout import (
    FOREVER,
    FORK_ASYNC,
    FORK_COW,
    FORK_EAGER,
    FORK_ON_DEMAND,
    HUGE_PAGES,
    REPLACE_CLOCK,
    REPLACE_FIFO,
    REPLACE_LINUX,
    REPLACE_LRU,
    REPLACE_MGLRU_LIKE,
    REPLACE_RANDOM,
    SWAP_IN_MEMORY,
    SWAP_ROTATING,
    SWAP_SOLID,
    THP_ALWAYS,
    THP_MADVISE,
    THP_NEVER,
    ZERO_AT_FREE,
    ZERO_IN_FAULTS,
    ZERO_WHEN_IDLE,
)
from sim.machine.spec import HostSpec, zram_page_bytes
from sim.policy.schedulers import SCHEDULERS, Scheduler
from sim.program import PROGRAMS
from sim.program.signature import PROCESS_KEYS, keyword_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FORK_KINDS: Final = {
    "cow": FORK_COW,
    "eager": FORK_EAGER,
    "on_demand": FORK_ON_DEMAND,
    "async": FORK_ASYNC,
}
REPLACEMENTS: Final = {
    "linux": REPLACE_LINUX,
    "fifo": REPLACE_FIFO,
    "clock": REPLACE_CLOCK,
    "lru": REPLACE_LRU,
    "mglru_like": REPLACE_MGLRU_LIKE,
    "random": REPLACE_RANDOM,
}
THP_MODES: Final = {"never": THP_NEVER, "madvise": THP_MADVISE, "always": THP_ALWAYS}


SWAP_KINDS: Final = {
    "nvme": SWAP_SOLID,
    "ssd": SWAP_SOLID,
    "disk": SWAP_ROTATING,
    "zram": SWAP_IN_MEMORY,
}
"""What the kernel makes of each swap device."""


def _device(resolved: Mapping[str, Any], name: str) -> DeviceSpec:
    return DeviceSpec(
        latency_ns=resolved["latency"],
        latency_sd_ns=resolved.get("latency_sd", 0),
        bandwidth_bytes_per_s=resolved["bandwidth"],
        queue_depth=resolved["queue_depth"],
        name=name,
    )


def _zeroing(said: Any, prices: Mapping[str, Any]) -> dict[str, int]:
    """Return who zeroes frames, as a `HostSpec` has it."""
    if isinstance(said, dict):
        zero_ns = max(1, round(price_spec(prices["page_zero"]).mean_ns))
        stock = said["idle"] // PAGE_BYTES
        return {"zeroing": ZERO_WHEN_IDLE, "zero_stock_pages": stock, "zero_ns": zero_ns}
    return {"zeroing": ZERO_AT_FREE if said == "at_free" else ZERO_IN_FAULTS}


def _swap(host: Mapping[str, Any]) -> dict[str, int]:
    """Return what swap there is, as a `HostSpec` has it."""
    if host["swap"] == 0:
        return {}
    device = host["swap_device"]
    ratio = device.get("compression_ratio")
    return {
        "swap_pages": host["swap"] // PAGE_BYTES,
        "swap_kind": SWAP_KINDS[device["device"]],
        "zram_page_bytes": 0 if ratio is None else zram_page_bytes(ratio),
        "swap_zeros": device.get("zeros", 0.0),
        "swappiness": host["swappiness"],
        "page_cluster": host["page_cluster"],
    }


def host_spec(resolved: Mapping[str, Any]) -> HostSpec:
    """Return the shape of the machine that a resolved scenario describes."""
    host, policy = resolved["host"], resolved["policy"]
    memory_pages = host["memory"] // PAGE_BYTES
    kernel_pages = max(1, pages_for(host["kernel_reserve"]))
    overcommit = host["overcommit"]
    ram_pages = memory_pages - kernel_pages
    huge_pages = host["nr_hugepages"]
    may_promise = ram_pages - huge_pages * HUGE_PAGES
    return HostSpec(
        memory_pages=memory_pages,
        cpus=host["cpus"],
        kernel_pages=kernel_pages,
        min_free_pages=host["min_free"] // PAGE_BYTES,
        scale_factor=host["watermark_scale_factor"],
        dirty_ratio=host["dirty_ratio"],
        dirty_background_ratio=host["dirty_background_ratio"],
        percpu_batch_pages=host["percpu_batch"],
        percpu_high_pages=host["percpu_high"],
        zones=tuple((zone["name"], zone["memory"] // PAGE_BYTES) for zone in host["zones"]),
        stack_pages=pages_for(host["kernel_stack"]),
        hz=host["hz"],
        overcommit=overcommit["mode"],
        commit_limit_pages=may_promise * overcommit["ratio"] // 100 + host["swap"] // PAGE_BYTES,
        queueing=policy["memory"] == "wait",
        fork_kind=FORK_KINDS[policy["fork"]],
        eager_zero=policy["zeroing"] == "eager",
        **_zeroing(policy["zeroing"], host["prices"]),
        thp=THP_MODES[host["thp"]],
        thp_sizes=tuple(
            (parse_bytes(size) // PAGE_BYTES, mode) for size, mode in host["thp_sizes"].items()
        ),
        kernel=host["kernel"],
        cgroup=host["cgroup"],
        read_ahead_pages=host["disk"]["read_ahead"] // PAGE_BYTES,
        largest_read_pages=max(1, host["disk"]["largest_read"] // PAGE_BYTES),
        nr_huge_pages=huge_pages,
        **_swap(host),
        replacement=REPLACEMENTS[policy["replacement"]],
    )


def group_spec(name: str, parent: str | None, group: Mapping[str, Any]) -> GroupSpec:
    """Return a control group of a resolved scenario, its limits in pages."""
    pages = {
        key: FOREVER if group[key] is None else group[key] // PAGE_BYTES
        for key in ("memory_max", "memory_high", "memory_low", "memory_min", "swap_max")
    }
    both = FOREVER if FOREVER in (pages["memory_max"], pages["swap_max"]) else 0
    return GroupSpec(
        name,
        parent,
        pages["memory_max"],
        group["oom_group"],
        high_pages=pages["memory_high"],
        low_pages=pages["memory_low"],
        min_pages=pages["memory_min"],
        swap_pages=pages["swap_max"],
        memsw_pages=both or pages["memory_max"] + pages["swap_max"],
        swappiness=group["swappiness"],
    )


def simulate(
    resolved: Mapping[str, Any],
    *,
    seed: int,
    replication: int = 0,
    burst: int | None = None,
    check: bool = False,
    programs: Mapping[str, Callable[..., Any]] | None = None,
    schedulers: Mapping[str, Scheduler] | None = None,
    tell: Callable[[int], None] | None = None,
) -> RunResult:
    """Carry out one run of a resolved scenario and return its result.

    `burst` is the most steps between two SimPy events (0: no limit; None: as the scenario says); it
    changes nothing but the speed.  `check` audits the machine at every event.  `programs` and
    `schedulers` are those a scenario may name, by default those that ship.  `tell` is called now
    and then with the simulated time.

    Raises `ScenarioError` if this machine has no room for it, or for what a plug-in has done, and
    `KernelPanicError` if the books do not balance: the result would be worthless.
    """
    require_room(resolved)
    simulation = build_simulation(
        resolved,
        seed=seed,
        replication=replication,
        burst=burst,
        check=check,
        schedulers=schedulers,
    )
    simulation.system.driver.tell = tell
    populate(simulation, resolved, PROGRAMS if programs is None else programs)
    document = simulation.run()
    simulation.machine.release()
    return RunResult({**judged(document, resolved), **document})


def build_simulation(
    resolved: Mapping[str, Any],
    *,
    seed: int,
    replication: int = 0,
    burst: int | None = None,
    check: bool = False,
    schedulers: Mapping[str, Scheduler] | None = None,
) -> Simulation:
    """Return the machine of a resolved scenario, with nothing running on it yet."""
    run, host = resolved["run"], resolved["host"]
    scheduler = resolved["policy"]["scheduler"]
    spec = EngineSpec(
        scheduler=(schedulers or SCHEDULERS)[scheduler["kind"]],
        quantum_ns=scheduler["quantum"],
        seed=seed,
        replication=replication,
        burst_steps=run["burst"] if burst is None else burst,
        horizon_ns=LONGEST_RUN_NS if run["horizon"] is None else run["horizon"],
        warmup_ns=run["warmup"],
        sample_every_ns=run["sample_every"] or 0,
        check=check,
        devices=(
            _device(host["disk"], "the disk"),
            *([_device(host["swap_device"], "the swap device")] if host["swap"] else []),
        ),
        groups=tuple(
            group_spec(name, parent, group)
            for name, parent, group in replicated(resolved["groups"])
        ),
        eviction=_eviction(resolved),
        khugepaged=KHUGEPAGED if host["khugepaged"] else None,
        stages=host["stages"],
    )
    return Simulation(build_machine(host_spec(resolved), price_array(host["prices"])), spec)


def _eviction(resolved: Mapping[str, Any]) -> Eviction | None:
    said = resolved["policy"].get("eviction")
    if said is None:
        return None
    pods = tuple(
        Pod(name, group["memory_request"] // PAGE_BYTES, group["priority"])
        for name, _, group in replicated(resolved["groups"])
        if group["memory_request"] is not None
    )
    return Eviction(said["memory_available"] // PAGE_BYTES, pods)


def start_of(own_name: str, process: Mapping[str, Any], luck_of: Callable[[str], float]) -> int:
    """Return when one of the processes that one of a resolved scenario stands for starts, in ns.

    With `start_within` at a random time, the same for the same name whatever else there is.
    """
    start_ns: int = process["start"]
    within_ns: int = process.get("start_within", 0)
    return start_ns + int(within_ns * luck_of(own_name)) if within_ns else start_ns


def populate(
    simulation: Simulation,
    resolved: Mapping[str, Any],
    programs: Mapping[str, Callable[..., Any]],
) -> None:
    """Let the scenario's processes be born, in order."""
    table = simulation.system.table
    later_ns = starts_of(resolved["groups"], table.luck_of_group)
    for name, process in resolved["processes"].items():
        program = programs[process["program"]]
        parameters = {key: value for key, value in process.items() if key not in PROCESS_KEYS}
        arguments = keyword_arguments(program, parameters)
        simulation.system.evidence.declare(
            name,
            getattr(program, "program_events", {}),
            arguments,
            endless=getattr(program, "program_endless", False),
        )
        for own_name, group in names_of(name, process, resolved["groups"]):
            simulation.add(
                own_name,
                partial(program, **arguments),
                start_ns=later_ns[group] + start_of(own_name, process, table.luck_of_start),
                pin=process["cpu"],
                oom_score_adj=process["oom_score_adj"],
                nice=process["nice"],
                cap_sys_admin=process["cap_sys_admin"],
                group=group,
                origin=name,
                source=program,
            )
