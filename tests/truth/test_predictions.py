"""What the simulated machine predicts, against the kernel's recorded answers and the model.

Against the running kernel: `test_kernel_conformance`.
"""

import pytest

from sim.host.compare import compare, count_differences
from sim.script.grammar import Operation
from sim.script.predict import predict
from sim.script.random import random_script, script_generator
from sim.script.record import format_records
from sim.script.validity import load_script, parse_script
from tests.truth import reference_model
from tests.truth.record_scripts import SCRIPTS, comparable, expected_path

pytestmark = pytest.mark.truth


def drawn(seed: int, count: int) -> list[list[Operation]]:
    return [random_script(script_generator(seed, index)) for index in range(count)]


def differ(script: list[Operation]) -> int:
    return count_differences(compare(predict(script), reference_model.predict(script)))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_predictions_are_what_the_kernel_said(path):
    records = comparable(predict(load_script(path), audit=True))
    assert format_records(records) == expected_path(path).read_text(encoding="utf-8")


@pytest.mark.parametrize("seed", range(10))
def test_two_implementations_predict_the_same(seed):
    for script in drawn(seed, 12):
        assert differ(script) == 0


def test_the_books_balance_after_every_operation():
    for script in drawn(99, 10):
        predict(script, audit=True)


@pytest.mark.parametrize(("name", "wrong"), [("AROUND", 15), ("TABLE", 256)])
def test_a_wrong_rule_is_noticed_by_the_machine(monkeypatch, name, wrong):
    """Negative control."""
    monkeypatch.setattr(reference_model, name, wrong)
    assert any(differ(script) for script in drawn(1, 40))


def test_a_region_that_was_moved_may_grow_to_its_first_size():
    script = parse_script(
        "P map A 1025\nP resize A 1\nP move A\nP resize A 1213\nP map B 1\nP write B 0 1\n"
    )
    assert [record.ending for record in predict(script)] == [""] * 6


def test_times_come_from_prices():
    from sim.cli.conforming import host_prices

    script = parse_script("P map A 4\nP write A 0 4\nP fork C\n")
    assert [record.ns for record in predict(script)] == [None] * 3
    timed = predict(script, prices=host_prices(None))
    assert [record.ns for record in timed] == [
        record.ns for record in predict(script, prices=host_prices(None))
    ]
    assert all(record.ns > 0 for record in timed)
