"""Page tables of every process, to the page, beside what the kernel charges (VmPTE).

Measured as a difference from the same script without its regions, at equal addresses, so that the
tables of the driver itself drop out.
"""

import pytest

from sim.host.conditions import cannot_run
from sim.host.kernel import KernelRunner
from sim.host.random_scripts import random_script, script_generator
from sim.host.script import Operation, Verb
from sim.host.validity import parse_script
from sim.units import PAGE_BYTES
from tests.truth.reference_model import Machine

pytestmark = [pytest.mark.truth, pytest.mark.kernel]


@pytest.fixture(scope="module")
def runner() -> KernelRunner:
    reason = cannot_run()
    if reason is not None:
        pytest.skip(f"unchecked: {reason}")
    return KernelRunner()


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
    machine = Machine()
    tables = []
    for operation in script:
        machine.perform(operation)
        tables.append({name: space.table_pages() for name, space in machine.spaces.items()})
    return tables


def test_tables_after_fork(runner: KernelRunner):
    script = parse_script(
        "P fork X\nX exit\nP map A 2000\nP write A 0 1\nP write A 512 600\nP hugepage A\n"
        "P write A 1024 1025\nP fork C\nP dontneed A 0 512\nC unmap A\nC exec\n"
    )
    expected = [{"P": 0}, {"P": 3}, {"P": 4}, {"P": 4}, {"P": 5}, {"P": 5, "C": 5}]
    assert measured(runner, script)[2:8] == expected
    assert measured(runner, script)[2:] == modelled(script)[2:]


def test_tables_of_random_scripts(runner: KernelRunner):
    for index in range(40):
        script = random_script(script_generator(31, index), operations=25)
        machine = Machine()
        if any(machine.perform(operation).ending == "SIGSEGV" for operation in script):
            continue
        compared = [
            (operation, real, model)
            for operation, real, model in zip(
                script, measured(runner, script), modelled(script), strict=True
            )
            if real
        ]
        assert all(real == model for _, real, model in compared), (index, compared)
