"""A task may be killed at any moment: its waits are cancelled, its pages return, the run ends."""

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest
from support.machines import Program, flat_prices, run
from support.samples import sample

from sim.base.units import PAGE_BYTES
from sim.engine.system import System
from sim.engine.task import Signal, State, Task
from sim.engine.verbs.process import Process
from sim.kernel import ops
from sim.machine.layout import KIND_FILE, NONE, ROOT
from sim.program.api import Image
from sim.program.patterns import Every, Listed

Life = Generator[Any, Any, None]

PRICES = flat_prices(
    access=100,
    zero_fill=900,
    cow_copy=1900,
    fork_base=1000,
    fork_area=500,
    fork_table=1000,
    fork_pte=50,
    fork_flush=2000,
    vfork_base=2000,
    exec_base=3000,
    exit_base=3000,
    munmap_call=1500,
    unmap_pte=20,
    context_switch=100,
)
IMAGE = Image(4 * PAGE_BYTES, 0, 0, 64 * PAGE_BYTES)
LAST_NS = 120_000
"""The last moment at which somebody is killed."""


def asleep(task: Process) -> Life:
    yield from task.write((yield from task.mmap(4 * PAGE_BYTES)))
    yield from task.sleep(10_000_000_000)


def computing(task: Process) -> Life:
    yield from task.compute(200_000)


def touching(task: Process) -> Life:
    region = yield from task.mmap(60 * PAGE_BYTES)
    yield from task.write(region)
    yield from task.read(region, pattern=Listed(np.arange(60)), drop=True)


def forking(task: Process) -> Life:
    yield from task.write((yield from task.mmap(20 * PAGE_BYTES)))
    while True:
        yield from task.fork(brief)
        yield from task.wait()


def brief(task: Process) -> Life:
    yield from task.compute(500)


def waiting_for_a_child(task: Process) -> Life:
    yield from task.write((yield from task.mmap(4 * PAGE_BYTES)))
    child = yield from task.fork(asleep)
    yield from task.wait(child)


def executing(task: Process) -> Life:
    while True:
        yield from task.write((yield from task.mmap(20 * PAGE_BYTES)))
        yield from task.exec(IMAGE)


def lending(task: Process) -> Life:
    while True:
        yield from task.write((yield from task.mmap(4 * PAGE_BYTES)))
        yield from task.vfork(borrowing)


def borrowing(task: Process) -> Life:
    yield from task.compute(2_000)
    yield from task.exec(IMAGE)
    yield from task.compute(2_000)


def unmapping(task: Process) -> Life:
    while True:
        region = yield from task.mmap(1100 * PAGE_BYTES)
        for page in (0, 520, 1099):
            yield from task.write(region, first=page, pages=1)
        yield from task.munmap(region)


def paced(task: Process) -> Life:
    region = yield from task.mmap(20 * PAGE_BYTES)
    arrivals = np.arange(20) * 9_000 + 20_000
    yield from task.write(region, arrivals=arrivals)
    yield from task.write(region, arrivals=Every(10_000_000_000, 1))


def napping(task: Process) -> Life:
    """Use the CPU a little, often: a neighbour that the paced one has to give way to."""
    for _ in range(40):
        yield from task.sleep(3_500)
        yield from task.compute(1_500)


def hoarding(task: Process) -> Life:
    yield from task.write((yield from task.mmap(50 * PAGE_BYTES)))
    yield from task.sleep(200_000)


def late(task: Process) -> Life:
    yield from task.sleep_until(70_000)
    yield from task.write((yield from task.mmap(40 * PAGE_BYTES)))
    yield from task.sleep(100_000)


def hungry(task: Process) -> Life:
    yield from task.write((yield from task.mmap(60 * PAGE_BYTES)))
    yield from task.sleep(100_000)


def state_of(system: System, victim: Task) -> str:
    """Say in a word what the victim was doing."""
    t = system.machine.arrays.tasks[victim.row]
    o = system.machine.arrays.operations[victim.row]
    if int(system.machine.arrays.entities[victim.row].queue) != NONE:
        return "in the run queue"
    if victim in system.memory_waits.tasks:
        return "short of memory"
    if victim.wait is not None:
        return " ".join(victim.wait.what.split()[:2])
    if int(system.machine.arrays.entities[victim.row].timer) != NONE:
        return "its next"
    if int(t.cpu) != NONE:
        cpu = system.machine.arrays.cpus[int(t.cpu)]
        if cpu.idle_from_ns >= 0 and cpu.next_ns > system.clock.now_ns:
            return "idle on its CPU"
        done = " done" if int(o.op) == ops.OP_NONE else ""
        if victim.building is not None:
            return f"building a child{done}"
        if int(t.old_space) >= 0:
            return "dropping its old image"
        if int(o.op) == ops.OP_MUNMAP and int(o.stage) == 1:
            return "unmapping"
        return "running"
    return "between two calls"


def kill_at(
    at_ns: int, program: Program, others: dict[str, Program], **host: Any
) -> tuple[str, dict[str, Any], System]:
    """Run `program` and kill it at `at_ns`; return what it was doing, the result, the system."""
    seen: list[tuple[str, System]] = []

    def assassin(task: Process) -> Life:
        yield from task.sleep_until(at_ns)
        system = task.system
        victim = next((t for t in system.table.living() if t.name == "victim"), None)
        if victim is None or victim.state is not State.ALIVE:
            seen.append(("gone", system))
        else:
            seen.append((state_of(system, victim), system))
            system.signals.kill(victim, Signal.OOM_KILL)

    programs = {"assassin": assassin, "victim": program, **others}
    document = run(
        programs,
        host={"memory_pages": 400, "cpus": 2, "hz": 250_000, **host},
        prices=PRICES,
        quantum_ns=4_000,
        check=True,
        pins={"assassin": 1, **dict.fromkeys(["victim", *others], 0)},
    )
    return *seen[0], document  # type: ignore[return-value]


@pytest.mark.stress
@pytest.mark.parametrize(
    ("program", "others", "host", "states"),
    [
        (asleep, {}, {}, {"a timer"}),
        (computing, {"other": computing}, {}, {"running", "in the run queue"}),
        (touching, {}, {}, {"running"}),
        (forking, {}, {}, {"building a child", "building a child done"}),
        (waiting_for_a_child, {}, {}, {"its child"}),
        (executing, {}, {}, {"dropping its old image"}),
        (lending, {}, {}, {"building a child done", "its vfork"}),
        (unmapping, {}, {"overcommit": 1}, {"unmapping"}),
        (paced, {}, {}, {"idle on its CPU"}),
        (paced, {"other": napping}, {}, {"its next"}),
        (late, {"other": hoarding}, {"memory_pages": 100}, {"short of memory"}),
        (hungry, {"other": hungry}, {"memory_pages": 100, "queueing": True}, {"short of memory"}),
        (forking, {"other": hungry}, {"memory_pages": 105, "queueing": True}, {"short of memory"}),
    ],
)
def test_wherever_it_is(
    program: Program, others: dict[str, Program], host: dict[str, Any], states: set[str]
) -> None:
    met = set()
    for at_ns in range(0, LAST_NS, LAST_NS // sample(23, 71)):
        state, system, document = kill_at(at_ns, program, others, **host)
        met.add(state)
        if state == "gone":
            continue
        victim = next(p for p in document["processes"] if p["name"] == "victim")
        assert victim["ended"] == "oom-killed"
        assert document["ending"] == "idle", document["deadlock"]
        # what was executed stays in the page cache
        cached = int(system.machine.arrays.charged[ROOT, KIND_FILE])
        free = document["metrics"]["free_pages"]["end"]
        assert free + cached == system.machine.free_at_start_pages
        assert document["littles_law_residual"] == 0
        assert len(system.lists) == 0
        assert int(system.machine.arrays.pool[0].reserved) == 0
        assert (system.machine.arrays.tasks.state == 0).all()
        if not others and program not in (waiting_for_a_child, lending):
            assert victim["ended_ns"] <= at_ns + 20_000  # and not when a timer would have rung
            assert document["simulated_ns"] <= at_ns + 20_000
    assert states <= met


def test_a_child_that_was_never_born_is_not_in_the_results() -> None:
    for at_ns in range(20_000, 60_000, 700):
        state, _, document = kill_at(at_ns, forking, {})
        metrics = document["metrics"]
        assert metrics["exits"] == len(document["processes"]) == 2 + metrics["forks"]
        if state == "building a child done":
            return
    raise AssertionError("no fork was met at its last step")


def test_the_killer_spares_the_next_while_an_unborn_child_gives_back_its_frames() -> None:
    """What the child of a fork under way holds is on its way back as well."""

    def forker(task: Process) -> Life:
        yield from task.write((yield from task.mmap(40 * PAGE_BYTES)))
        yield from task.fork(brief)
        yield from task.sleep(1_000_000)

    midway = 0
    for wakes_ns in range(10_000, 60_000, 900):

        def grabber(task: Process, wakes_ns: int = wakes_ns) -> Life:
            yield from task.sleep_until(wakes_ns)
            yield from task.write((yield from task.mmap(45 * PAGE_BYTES)))

        document = run(
            {"forker": forker, "grabber": grabber},
            host={"memory_pages": 96, "cpus": 2},
            prices=PRICES,
            check=True,
        )
        assert document["ending"] == "idle"
        if document["metrics"]["forks"] == 0:
            assert document["metrics"]["oom_kills"] == 1
            midway += any(mark["kind"] == "fork_start" for mark in document["marks"])
    assert midway > 3


def test_a_killed_task_cannot_be_killed_again() -> None:
    def twice(task: Process) -> Life:
        yield from task.sleep_until(50_000)
        victim = next(t for t in task.system.table.living() if t.name == "victim")
        task.system.signals.kill(victim, Signal.OOM_KILL)
        task.system.signals.kill(victim, Signal.SEGFAULT)
        yield from task.sleep(500)
        task.system.signals.kill(victim, Signal.OOM_KILL)

    document = run(
        {"twice": twice, "victim": touching},
        host={"memory_pages": 400, "cpus": 2},
        prices=PRICES,
        check=True,
    )
    assert document["metrics"]["oom_kills"] == 1
    assert document["metrics"]["segfaults"] == 0


@pytest.mark.parametrize("call", ["fork", "vfork"])
def test_the_parent_of_a_killed_child_goes_on(call: str) -> None:
    statuses = []

    def parent(task: Process) -> Life:
        start: Callable[..., Any] = getattr(task, call)
        yield from start(asleep, name="victim")
        statuses.append((yield from task.wait()).status)

    def assassin(task: Process) -> Life:
        yield from task.sleep_until(90_000)
        victim = next(t for t in task.system.table.living() if t.name == "victim")
        task.system.signals.kill(victim, Signal.OOM_KILL)

    document = run(
        {"parent": parent, "assassin": assassin},
        host={"memory_pages": 400, "cpus": 2},
        prices=PRICES,
        check=True,
    )
    assert statuses == [-9]
    assert document["ending"] == "idle"
    assert document["simulated_ns"] < 200_000


def test_the_killer_takes_all_that_share_the_memory() -> None:
    """A process that has lent its memory dies, and with it the borrower, which cannot be chosen."""

    def lender(task: Process) -> Life:
        yield from task.write((yield from task.mmap(40 * PAGE_BYTES)))
        yield from task.vfork(asleep)

    def grabber(task: Process) -> Life:
        yield from task.sleep(200_000)
        yield from task.write((yield from task.mmap(39 * PAGE_BYTES)))

    document = run(
        {"lender": lender, "grabber": grabber},
        host={"memory_pages": 96, "cpus": 1},
        prices=PRICES,
        check=True,
    )
    ended = {p["name"]: p["ended"] for p in document["processes"]}
    assert ended == {"lender": "oom-killed", "lender/1": "oom-killed", "grabber": "exit 0"}
    assert document["simulated_ns"] < 1_000_000
