import numpy as np
import pytest

from sim.stats.sequential import characteristic, sequential_test

LEVELS = [(0.9, 0.95), (0.95, 0.9), (0.95, 0.95)]


@pytest.mark.parametrize(("share", "confidence"), LEVELS)
def test_both_errors_are_kept(share, confidence):
    test = sequential_test(share=share, confidence=confidence)
    assert characteristic(test, test.refuted).enough <= 1 - confidence
    assert characteristic(test, test.hoped).not_enough <= 1 - confidence


@pytest.mark.parametrize(("share", "confidence"), LEVELS)
def test_its_lines_are_no_further_out_than_they_have_to_be(share, confidence):
    test = sequential_test(share=share, confidence=confidence)
    assert characteristic(test, test.refuted).enough > 0.8 * (1 - confidence)


@pytest.mark.parametrize("share_failing", [0.0, 0.02, 0.05, 0.1, 0.3])
def test_the_recursion_is_what_a_simulation_shows(share_failing):
    test = sequential_test(share=0.9, confidence=0.95)
    foretold = characteristic(test, share_failing)
    random, tries = np.random.default_rng(7), 20_000
    failures = np.cumsum(random.random((tries, test.most)) < share_failing, axis=1)
    n = np.arange(1, test.most + 1)
    ratios = (
        test.log_ratio(0, 0)
        + failures * test.log_ratio(1, 1)
        + (n - failures) * (test.log_ratio(1, 0))
    )
    below, above = ratios <= test.low, ratios >= test.high
    first_below = np.where(below.any(axis=1), below.argmax(axis=1), test.most)
    first_above = np.where(above.any(axis=1), above.argmax(axis=1), test.most)
    enough = (first_below < first_above).mean()
    ends = np.minimum(np.minimum(first_below, first_above) + 1, test.most)
    assert enough == pytest.approx(foretold.enough, abs=5 * 0.5 / np.sqrt(tries))
    assert ends.mean() == pytest.approx(foretold.runs, abs=5 * ends.std() / np.sqrt(tries) + 1e-9)


def test_chances_add_up():
    told = characteristic(sequential_test(share=0.9, confidence=0.95), 0.07)
    assert told.enough + told.not_enough + told.cannot_tell == pytest.approx(1)


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
