"""Groups of processes that take turns on CPUs: what each takes is charged to its own."""

from collections.abc import Generator
from typing import Any

import pytest
from support.machines import flat_prices, run

from sim.engine.verbs.process import Process
from sim.machine.layout import KIND_ANON, ROOT

Life = Generator[Any, Any, None]
PAGES = 600


@pytest.mark.parametrize("burst", [0, 1])
@pytest.mark.parametrize("cpus", [1, 2])
def test_whoever_has_the_cpu_pays_for_its_own(cpus: int, burst: int) -> None:
    """Three, two of them in one group, write at the same time, by turns of a tick or together."""

    def writer(group: int) -> Any:
        def program(process: Process) -> Life:
            machine = process.system.machine
            while machine.arrays.pool[0].n_groups < 3:
                machine.new_group()
            machine.put_into_group(process.task.row, group)
            data = yield from process.mmap(PAGES * 4096)
            yield from process.write(data)
            yield from process.sleep(10_000_000_000)

        return program

    looked: list[bool] = []

    def looks(process: Process) -> Life:
        yield from process.sleep(5_000_000_000)
        m = process.system.machine.arrays
        anon = m.charged[:3, KIND_ANON].tolist()
        assert anon[1:] == [2 * PAGES, PAGES]
        assert 3 * PAGES < anon[ROOT] < 3 * PAGES + 20  # and what was there before: images, stacks
        looked.append(True)

    programs = {"one": writer(1), "two": writer(1), "three": writer(2), "looks": looks}
    host = {"memory_pages": 4000, "cpus": cpus}
    document = run(
        programs,
        host=host,
        prices=flat_prices(zero_fill=100_000),
        burst=burst,
        quantum_ns=4_000_000,
    )
    assert document["metrics"]["context_switches"] > 20
    assert looked == [True]
