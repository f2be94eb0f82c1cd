"""One run: from a resolved scenario to its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import PAGE_BYTES, pages_for, parse_bytes
from sim.cost.catalogue import price_array
from sim.engine.burst import FOREVER
from sim.engine.disk import DiskSpec
from sim.engine.khugepaged import start_khugepaged
from sim.engine.result import Measurement, RunResult
from sim.engine.room import require_room
from sim.engine.system import System
from sim.engine.task import Task
from sim.engine.validity import LONGEST_RUN_NS, judged
from sim.machine.layout import (
    FORK_ASYNC,
    FORK_COW,
    FORK_EAGER,
    FORK_ON_DEMAND,
    THP_ALWAYS,
    THP_MADVISE,
    THP_NEVER,
)
from sim.machine.machine import HostSpec, Machine
from sim.policy.schedulers import SCHEDULERS, SchedulerPolicy
from sim.program import PROGRAMS
from sim.program.blame import blaming
from sim.program.signature import PROCESS_KEYS, keyword_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    import simpy

FIRST_IMAGE_PAGES: Final = 16
"""Data and bss of the image a process starts from: nothing to speak of."""
STACK_PAGES: Final = 2048
"""RLIMIT_STACK, 8 MiB."""
FORK_KINDS: Final = {
    "cow": FORK_COW,
    "eager": FORK_EAGER,
    "on_demand": FORK_ON_DEMAND,
    "async": FORK_ASYNC,
}
THP_MODES: Final = {"never": THP_NEVER, "madvise": THP_MADVISE, "always": THP_ALWAYS}


def host_spec(resolved: Mapping[str, Any]) -> HostSpec:
    """Return the shape of the machine that a resolved scenario describes."""
    host, policy = resolved["host"], resolved["policy"]
    memory_pages = host["memory"] // PAGE_BYTES
    kernel_pages = max(1, pages_for(host["kernel_reserve"]))
    overcommit = host["overcommit"]
    ram_pages = memory_pages - kernel_pages
    return HostSpec(
        memory_pages=memory_pages,
        cpus=host["cpus"],
        kernel_pages=kernel_pages,
        min_free_pages=host["min_free"] // PAGE_BYTES,
        scale_factor=host["watermark_scale_factor"],
        percpu_batch_pages=host["percpu_batch"],
        percpu_high_pages=host["percpu_high"],
        zones=tuple((zone["name"], zone["memory"] // PAGE_BYTES) for zone in host["zones"]),
        stack_pages=pages_for(host["kernel_stack"]),
        hz=host["hz"],
        overcommit=overcommit["mode"],
        commit_limit_pages=ram_pages * overcommit["ratio"] // 100 + host["swap"] // PAGE_BYTES,
        queueing=policy["memory"] == "wait",
        fork_kind=FORK_KINDS[policy["fork"]],
        eager_zero=policy["zeroing"] == "eager",
        thp=THP_MODES[host["thp"]],
        thp_sizes=tuple(
            (parse_bytes(size) // PAGE_BYTES, mode) for size, mode in host["thp_sizes"].items()
        ),
        kernel=host["kernel"],
        read_ahead_pages=host["disk"]["read_ahead"] // PAGE_BYTES,
        largest_read_pages=max(1, host["disk"]["largest_read"] // PAGE_BYTES),
    )


def simulate(
    resolved: Mapping[str, Any],
    *,
    seed: int,
    replication: int = 0,
    burst: int | None = None,
    check: bool = False,
    programs: Mapping[str, Callable[..., Any]] | None = None,
    schedulers: Mapping[str, Callable[[int], SchedulerPolicy]] | None = None,
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
    system = build_system(
        resolved,
        seed=seed,
        replication=replication,
        burst=burst,
        check=check,
        schedulers=schedulers,
    )
    system.tell = tell
    measurement = Measurement(system, resolved["host"]["stages"])
    warmup_ns = resolved["run"]["warmup"]
    if warmup_ns > 0:
        system.env.process(warm_up(system, measurement, warmup_ns))
    _populate(system, resolved["processes"], PROGRAMS if programs is None else programs)
    if resolved["host"]["khugepaged"]:
        start_khugepaged(system)
    driver = system.env.process(system.drive())
    with blaming():
        system.env.run(until=driver)
    document = measurement.result()
    system.machine.audit()
    system.machine.release()
    return RunResult({**judged(document, resolved), **document})


def build_system(
    resolved: Mapping[str, Any],
    *,
    seed: int,
    replication: int = 0,
    burst: int | None = None,
    check: bool = False,
    schedulers: Mapping[str, Callable[[int], SchedulerPolicy]] | None = None,
) -> System:
    """Return the machine of a resolved scenario, with nothing running on it yet."""
    run = resolved["run"]
    machine = Machine(host_spec(resolved), prices=price_array(resolved["host"]["prices"]))
    every_ns = run["sample_every"] or FOREVER
    machine.arrays.clock[0].sample_every_ns = every_ns
    machine.arrays.clock[0].sample_next_ns = 0 if run["sample_every"] else FOREVER
    scheduler = resolved["policy"]["scheduler"]
    return System(
        machine,
        scheduler=(schedulers or SCHEDULERS)[scheduler["kind"]],
        quantum_ns=scheduler["quantum"],
        seed=seed,
        replication=replication,
        burst_steps=run["burst"] if burst is None else burst,
        horizon_ns=LONGEST_RUN_NS if run["horizon"] is None else run["horizon"],
        check=check,
        disk=DiskSpec(
            latency_ns=resolved["host"]["disk"]["latency"],
            bandwidth_bytes_per_s=resolved["host"]["disk"]["bandwidth"],
            queue_depth=resolved["host"]["disk"]["queue_depth"],
        ),
    )


def warm_up(system: System, measurement: Measurement, warmup_ns: int) -> Generator[Any, Any, None]:
    """Forget what was measured, at the end of the warm-up."""
    yield system.env.timeout(warmup_ns)
    measurement.restart()


def _populate(
    system: System,
    processes: Mapping[str, Mapping[str, Any]],
    programs: Mapping[str, Callable[..., Any]],
) -> None:
    """Let the scenario's processes be born, in order."""
    for name, process in processes.items():
        program = programs[process["program"]]
        parameters = {key: value for key, value in process.items() if key not in PROCESS_KEYS}
        arguments = keyword_arguments(program, parameters)
        system.evidence.declare(
            name,
            getattr(program, "program_events", {}),
            arguments,
            endless=getattr(program, "program_endless", False),
        )
        for copy in range(process["copies"]):
            task = Task(
                system,
                name if process["copies"] == 1 else f"{name}.{copy + 1}",
                _first_program(program, arguments, process["start"]),
                pin=process["cpu"],
                oom_score_adj=process["oom_score_adj"],
                origin=name,
                source=program,
            )
            system.born(task)


def _first_program(
    program: Callable[..., Any], arguments: Mapping[str, Any], start_ns: int
) -> Callable[[Task], Generator[simpy.Event, Any, None]]:
    """Return `program` as init starts it: at its time, in an address space of its own."""

    def run(task: Task) -> Generator[simpy.Event, Any, None]:
        yield from task.sleep_until(start_ns)
        yield from task.begin_image(FIRST_IMAGE_PAGES, STACK_PAGES)
        yield from program(task, **arguments)

    return run
