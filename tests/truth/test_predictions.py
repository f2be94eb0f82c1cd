"""What the simulated machine predicts, against the kernel, its recorded answers and the model."""

import random

import pytest

from sim.host.compare import compare, count_differences
from sim.host.conditions import cannot_run, host_conditions, objections
from sim.host.kernel import KernelRunner
from sim.host.predict import predict
from sim.host.random_scripts import random_script, script_generator
from sim.host.record import format_records
from sim.host.script import Operation
from sim.host.validity import load_script, parse_script
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


@pytest.mark.kernel
def test_fresh_scripts_end_as_predicted(record_property):
    reason = cannot_run()
    if reason is not None:
        pytest.skip(f"unchecked: {reason}")
    runner, conditions = KernelRunner(), host_conditions()
    seed = random.SystemRandom().randrange(10**6)
    record_property("seed", seed)
    for index, script in enumerate(drawn(seed, 20)):
        if objections(conditions, script):
            continue
        predicted = predict(script)
        runs = (count_differences(compare(predicted, runner.run(script))) for _ in range(3))
        assert 0 in runs, f"cowpool conform --random {index + 1} --seed {seed} --kernel"


def test_times_come_from_prices():
    from sim.cli.conforming import host_prices

    script = parse_script("P map A 4\nP write A 0 4\nP fork C\n")
    assert [record.ns for record in predict(script)] == [None] * 3
    timed = predict(script, prices=host_prices(None))
    assert [record.ns for record in timed] == [
        record.ns for record in predict(script, prices=host_prices(None))
    ]
    assert all(record.ns > 0 for record in timed)
