"""Page tables of every process, to the page, beside what the kernel charges (VmPTE).

Both the simulated kernel and the reference model are held to it.  Measured, and simulated, as a
difference from the same script without its regions, at equal addresses, so that the tables of the
driver itself drop out.
"""

import random
from collections.abc import Callable

import pytest
from support.samples import sample

from sim.base.units import PAGE_BYTES
from sim.host.kernel import KernelRunner
from sim.machine.layout import NONE
from sim.machine.tables import find_table
from sim.script.grammar import Operation, Verb
from sim.script.predict import predict, roomy_host
from sim.script.random import random_script, script_generator
from sim.script.run import HEAP_VPN, Scripted
from sim.script.validity import parse_script
from tests.truth.reference_model import Machine

pytestmark = [pytest.mark.truth, pytest.mark.kernel]


@pytest.fixture(scope="module")
def runner() -> KernelRunner:
    return KernelRunner()


FORKED = (
    "P fork X\nX exit\nP map A 2000\nP write A 0 1\nP write A 512 600\nP hugepage A\n"
    "P write A 1024 1025\nP fork C\nP dontneed A 0 512\nC unmap A\nC exec\n"
)
EMPTIED = (
    "P fork X\nX exit\nP map A 512\nP write A 0 1\nP dontneed A 0 512\nP fork C\nC read A 0 1\n"
)


def is_bare(operation: Operation) -> bool:
    return bool(operation.child) or operation.verb in (Verb.EXIT, Verb.EXEC)


def measured(runner: KernelRunner, script: list[Operation]) -> list[dict[str, int]]:
    """Return table pages per process after each operation; empty until something is forked."""
    bare = iter(runner.table_bytes([operation for operation in script if is_bare(operation)]))
    driver: dict[str, int] = {}
    tables = []
    for operation, sizes in zip(script, runner.table_bytes(script), strict=True):
        if is_bare(operation):
            driver = next(bare)
        tables.append(
            {name: (sizes[name] - driver[name]) // PAGE_BYTES for name in sizes if driver}
        )
    return tables


def modelled(script: list[Operation]) -> list[dict[str, int]]:
    """Return what the reference model says of each process, driver left out."""
    machine = Machine()
    tables = []
    for operation in script:
        machine.perform(operation)
        tables.append({name: space.table_pages() for name, space in machine.spaces.items()})
    return tables


def counted(script: list[Operation]) -> list[dict[str, int]]:
    """Return what the simulated kernel counts for each process, all of its tables."""
    scripted = Scripted(roomy_host(script))
    tables = []
    for operation in script:
        scripted.perform(operation)
        found = {}
        for name, process in scripted.processes.items():
            m, space = scripted.machine.arrays, scripted.space(process)
            # In the driver the heap lies beside the program, and shares its upper tables.
            upper = sum(find_table(m, space, HEAP_VPN, level) != NONE for level in (1, 2))
            found[name] = int(m.spaces[space].tables) - upper
        tables.append(found)
    return tables


def simulated(script: list[Operation]) -> list[dict[str, int]]:
    """Return what the simulated kernel says of each process, as a difference, as measured."""
    bare = iter(counted([operation for operation in script if is_bare(operation)]))
    driver: dict[str, int] = {}
    tables = []
    for operation, sizes in zip(script, counted(script), strict=True):
        if is_bare(operation):
            driver = next(bare)
        tables.append({name: size - driver[name] for name, size in sizes.items() if driver})
    return tables


Model = Callable[[list[Operation]], list[dict[str, int]]]
MODELS = [pytest.param(simulated, id="simulated"), pytest.param(modelled, id="reference")]


def is_told(script: list[Operation]) -> bool:
    """Whether no process dies of SIGSEGV: the script without its regions would let it live."""
    machine = Machine()
    return not any(machine.perform(operation).ending == "SIGSEGV" for operation in script)


def hold(found: object, expected: object) -> None:
    if found != expected:
        pytest.fail(f"{found}, but expected {expected}", pytrace=False)


@pytest.mark.parametrize("model", MODELS)
def test_tables_after_fork(runner: KernelRunner, model: Model):
    script = parse_script(FORKED)
    expected = [{"P": 0}, {"P": 3}, {"P": 4}, {"P": 4}, {"P": 5}, {"P": 5, "C": 5}]
    assert model(script)[2:8] == expected
    hold(measured(runner, script)[2:], model(script)[2:])


@pytest.mark.parametrize("model", MODELS)
def test_fork_copies_upper_tables_that_are_empty(runner: KernelRunner, model: Model):
    """MADV_DONTNEED gives back the leaf table (since Linux 6.14), not the two above it."""
    script = parse_script(EMPTIED)
    expected = [{"P": 3}, {"P": 2}, {"P": 2, "C": 2}, {"P": 2, "C": 3}]
    assert model(script)[3:] == expected
    hold(measured(runner, script)[3:], expected)


def first_difference(runner: KernelRunner, model: Model, seed: int, scripts: int) -> str:
    """Return the first operation of random scripts after which tables differ; "" if none.

    No further than to where pages depend on the device: they take what tables they need.
    """
    for index in range(scripts):
        script = random_script(script_generator(seed, index), operations=25)
        if not is_told(script):
            continue
        compared = zip(predict(script), measured(runner, script), model(script), strict=True)
        for record, real, ours in compared:
            if record.unsure:
                break
            operation = record.operation
            if real and real != ours:
                return f"script {index} of seed {seed}, {operation}: {real}, simulated {ours}"
    return ""


@pytest.mark.parametrize("model", MODELS)
def test_tables_of_random_scripts(runner: KernelRunner, model: Model):
    hold(first_difference(runner, model, 31, sample(30, 150)), "")


def test_tables_of_random_scripts_of_a_fresh_seed(runner: KernelRunner):
    seed = random.SystemRandom().randrange(10**6)
    hold(first_difference(runner, simulated, seed, sample(10, 100)), "")


def without_set_aside(script: list[Operation]) -> list[dict[str, int]]:
    """A kernel that sets no table aside for a huge entry."""
    scripted = Scripted(roomy_host(script))
    without = []
    for operation, sizes in zip(script, simulated(script), strict=True):
        scripted.perform(operation)
        huge = {figures.process: 0 for figures in scripted.figures()}
        for figures in scripted.figures():
            huge[figures.process] += figures.thp // 512
        without.append({name: size - huge.get(name, 0) for name, size in sizes.items()})
    return without


def test_a_table_that_is_not_counted_would_show(runner: KernelRunner):
    """Negative control."""
    script = parse_script(FORKED)
    assert measured(runner, script)[2:] != without_set_aside(script)[2:]
