import random

import pytest

from sim.script.grammar import HUGETLB_VERBS, Operation, Verb, format_script
from sim.script.random import CONTRACT_VERBS, WEIGHTS, random_script, script_generator
from sim.script.shrink import shrink
from sim.script.validity import is_valid, parse_script

SCRIPTS = [random_script(script_generator(7, index)) for index in range(150)]


def test_every_script_can_happen():
    assert all(is_valid(script) for script in SCRIPTS)


def test_every_script_comes_back_from_its_text():
    assert all(parse_script(format_script(script)) == script for script in SCRIPTS)


def test_every_verb_occurs():
    assert (
        {operation.verb for script in SCRIPTS for operation in script}
        == set(WEIGHTS) - HUGETLB_VERBS
        == set(Verb) - HUGETLB_VERBS
    )


def test_the_same_seed_gives_the_same_script():
    assert random_script(script_generator(7, 3)) == SCRIPTS[3]
    assert random_script(script_generator(8, 3)) != SCRIPTS[3]


def test_verbs_can_be_chosen():
    scripts = [random_script(script_generator(1, i), verbs=CONTRACT_VERBS) for i in range(40)]
    assert {operation.verb for script in scripts for operation in script} <= CONTRACT_VERBS
    assert not any(operation.mode == "populate" for script in scripts for operation in script)


def writes_after_fork(script: list[Operation]) -> bool:
    verbs = [operation.verb for operation in script]
    return Verb.FORK in verbs and Verb.WRITE in verbs[verbs.index(Verb.FORK) :]


def test_shrinking_finds_the_shortest_script():
    start = next(script for script in SCRIPTS if writes_after_fork(script) and len(script) > 30)
    shortest = shrink(start, writes_after_fork)
    assert sorted(map(str, shortest)) == sorted(["P map A 1", "P fork C", f"{shortest[-1]}"])
    assert str(shortest[-1]) in ("P write A 0 1", "C write A 0 1")


def test_shrinking_keeps_a_large_size_that_matters():
    def wide_write(script: list[Operation]) -> bool:
        return any(op.process == "P" and op.verb is Verb.WRITE and op.first >= 500 for op in script)

    start = next(script for script in SCRIPTS if wide_write(script))
    shortest = shrink(start, wide_write)
    assert len(shortest) == 2
    assert shortest[1].pages == 1
    assert shortest[1].first >= 500


@pytest.mark.parametrize("seed", range(6))
def test_every_script_on_the_way_down_is_valid(seed):
    rng = random.Random(seed)
    tried = []

    def fails(script: list[Operation]) -> bool:
        tried.append(script)
        return rng.random() < 0.5

    shortest = shrink(SCRIPTS[seed], fails, max_trials=200)
    assert all(is_valid(script) for script in [*tried, shortest])
    assert len(tried) <= 200
