import numpy as np
import pytest

from sim.stats.proportion import exact_limits
from sim.stats.sequential import characteristic, sequential_test

LEVELS = [(0.9, 0.95), (0.95, 0.9), (0.95, 0.95)]


@pytest.mark.parametrize(("share", "confidence"), LEVELS)
def test_both_errors_are_kept(share, confidence):
    test = sequential_test(share=share, confidence=confidence)
    assert characteristic(test, test.refuted).enough <= 1 - confidence
    at_hoped = characteristic(test, test.hoped)
    assert at_hoped.not_enough + at_hoped.not_shown <= 1 - confidence


@pytest.mark.parametrize(("share", "confidence"), [*LEVELS, (0.99, 0.95), (0.5, 0.9)])
def test_more_than_the_risk_is_told_of_no_more_than_the_risk_as_seldom(share, confidence):
    test = sequential_test(share=share, confidence=confidence)
    for part in (0.25, 0.5, 0.75, 1):
        assert characteristic(test, part * test.refuted).not_enough <= 1 - confidence
    assert characteristic(test, min(1, 4 * test.refuted)).not_enough > 0.95


def test_failures_that_lie_between_are_not_called_too_many():
    """9.3 % of runs failed where 10 % may: more than 2.5 % do, and that is all."""
    test = sequential_test(share=0.9, confidence=0.95)
    assert test.log_ratio(54, 5) >= test.high
    assert test.verdict(54, 5) == "not shown"
    assert test.verdict(54, 14) == "not enough"
    for n in (10, 54, test.most):
        assert exact_limits(test.refuting[n], n).low > 0.1


@pytest.mark.parametrize(("share", "confidence"), LEVELS)
def test_its_lines_are_no_further_out_than_they_have_to_be(share, confidence):
    test = sequential_test(share=share, confidence=confidence)
    assert characteristic(test, test.refuted).enough > 0.8 * (1 - confidence)


@pytest.mark.parametrize("share_failing", [0.0, 0.02, 0.05, 0.1, 0.2, 0.3])
def test_the_recursion_is_what_a_simulation_shows(share_failing):
    test = sequential_test(share=0.9, confidence=0.95)
    foretold = characteristic(test, share_failing)
    random, tries = np.random.default_rng(7), 4_000
    verdicts = np.array(
        [
            [test.verdict(n, k) or "" for k in range(n + 1)] + [""] * (test.most - n)
            for n in range(1, test.most + 1)
        ]
    )
    failures = np.cumsum(random.random((tries, test.most)) < share_failing, axis=1)
    told = verdicts[np.arange(test.most), failures]
    ends = (told != "").argmax(axis=1)
    last = told[np.arange(tries), ends]
    for verdict, chance in (
        ("enough", foretold.enough),
        ("not enough", foretold.not_enough),
        ("not shown", foretold.not_shown),
        ("cannot tell", foretold.cannot_tell),
    ):
        assert (last == verdict).mean() == pytest.approx(chance, abs=5 * 0.5 / np.sqrt(tries))
    runs = ends + 1
    assert runs.mean() == pytest.approx(foretold.runs, abs=5 * runs.std() / np.sqrt(tries) + 1e-9)


def test_chances_add_up():
    told = characteristic(sequential_test(share=0.9, confidence=0.95), 0.07)
    ended = told.enough + told.not_enough + told.not_shown + told.cannot_tell
    assert ended == pytest.approx(1)


def test_verdicts_row_by_row():
    test = sequential_test(share=0.9, confidence=0.95)
    assert test.verdict(1, 0) is None
    assert test.verdict(test.most, test.most // 20) in ("enough", "cannot tell")
    assert test.verdict(40, 0) == "enough"
    assert test.verdict(10, 8) == "not enough"
    between = round(test.most * 0.057)
    assert test.verdict(test.most, between) == "cannot tell"


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_lies_between_0_and_1(share):
    with pytest.raises(ValueError, match="share"):
        sequential_test(share=share, confidence=0.95)
