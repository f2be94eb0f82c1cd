"""Whatever scripts do with the pool of huge pages: its books balance, and it is whole again."""

import pytest

from sim.script.grammar import FIRST_PROCESS, HUGETLB_VERBS
from sim.script.predict import possible, roomy_host, with_pool
from sim.script.random import ALL_VERBS, random_script, script_generator
from sim.script.run import Scripted

SCRIPTS = 120
POOLS = (0, 1, 2, 3, 5, 9)


@pytest.mark.parametrize("pool", POOLS)
def test_no_huge_page_is_lost_in_random_scripts(pool: int) -> None:
    endings = set()
    for index in range(SCRIPTS // len(POOLS)):
        drawn = random_script(script_generator(11 + pool, index), verbs=ALL_VERBS | HUGETLB_VERBS)
        script = possible(drawn, hugetlb_pages=pool)
        scripted = Scripted(with_pool(roomy_host(script), pool))
        for operation in script:
            endings.add(scripted.perform(operation).ending)
            scripted.machine.audit()  # reservations add up, and every page is somewhere
        for name in list(scripted.processes):
            scripted.end(name)
        scripted.machine.audit()
        counts = scripted.machine.huge_pages()
        assert list(counts.values()) == ([pool, pool, 0] if pool else [])
    assert "ENOMEM" in endings


def test_scripts_that_do_not_ask_for_it_are_drawn_as_ever() -> None:
    script = random_script(script_generator(1, 1))
    assert script[0].process == FIRST_PROCESS
    assert not {operation.verb for operation in script} & HUGETLB_VERBS
    for index in range(50):
        drawn = random_script(script_generator(1, index), verbs=ALL_VERBS)
        assert not {operation.verb for operation in drawn} & HUGETLB_VERBS
