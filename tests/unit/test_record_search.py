import numpy as np
import pytest
from support.searched import (
    N_SIZES,
    TRUTHS,
    asked_for,
    at_least,
    searched,
    threshold_found,
    thresholds_of,
)

from sim.stats.record_search import LAST_TRIALS, Found, Trial, record_search

HALVINGS = 8
"""It takes to find one threshold among 256 sizes."""


@pytest.mark.parametrize("truth", TRUTHS)
def test_it_finds_the_largest_threshold_and_whose_it_is(truth):
    for seed in range(20):
        thresholds = thresholds_of(truth, np.random.default_rng(seed), 40)
        found, _ = searched(at_least(thresholds), 40, n_probes=10)
        assert found.size == thresholds.max()
        assert found.holds
        assert not found.failed_at_answer
        assert all(thresholds[r] == thresholds.max() for r in found.decided_by)
        assert bool(found.decided_by) == (found.size > 0)


def test_all_replications_run_at_the_answer():
    thresholds = thresholds_of("normal", np.random.default_rng(1), 60)
    found, _ = searched(at_least(thresholds), 60)
    at_answer = {t.replication for t in found.passed if t.size == found.size}
    assert at_answer == set(range(60))


def test_no_trial_is_made_twice():
    _, made = searched(lambda t: t.size >= (7 * t.replication) % 60, 30, 9, n_sizes=64)
    assert len(made) == len(set(made))


def test_where_none_is_enough_it_says_who_fails_at_the_last_size():
    found, made = searched(lambda trial: trial.replication != 5, 20)
    assert (found.size, found.decided_by, found.holds) == (None, (5,), False)
    first, made_at_once = searched(lambda trial: False, 20)
    assert (first.size, len(made_at_once)) == (None, LAST_TRIALS)
    assert len(made) < 20 + HALVINGS + LAST_TRIALS


def test_the_first_size_may_be_enough():
    found, made = searched(lambda trial: True, 20)
    assert (found.size, found.decided_by, found.holds) == (0, (), True)
    assert len(made) == 20 + HALVINGS


@pytest.mark.parametrize(("n_sizes", "n"), [(0, 1), (1, 0)])
def test_without_sizes_or_replications_there_is_no_search(n_sizes, n):
    with pytest.raises(ValueError, match="needs a size and a replication"):
        next(record_search(n_sizes, n))


@pytest.mark.parametrize("truth", TRUTHS)
def test_it_takes_few_runs(truth):
    """Of 256 sizes the answer is found in about 350 runs; then half of them run there once more."""
    found_in, made = [], []
    for seed in range(50):
        thresholds = thresholds_of(truth, np.random.default_rng(seed), 299)
        _, asked = asked_for(at_least(thresholds), 299)
        found_in.append(sum(len(trials) for trials in asked[:-1]))
        made.append(sum(len(trials) for trials in asked))
    assert np.mean(found_in) < 360
    assert max(found_in) < 400
    assert np.mean(made) < 299 + 150 + 60


@pytest.mark.parametrize("threshold", [1, 97, 200, 255])
def test_the_hardest_sizes_are_left_alone(threshold):
    """A run that fails badly is dear: the first replication halves its way, and from there on."""
    _, made = searched(at_least(np.full(20, threshold)), 20)
    assert sum(trial.size < threshold for trial in made) <= HALVINGS
    assert sum(trial.size < threshold / 4 for trial in made) <= 2


def bump(thresholds, low, high, worse):
    """More makes it worse for the replications `worse` at sizes from `low` to `high`."""
    plain = at_least(thresholds)

    def passes(trial):
        hit = trial.replication in worse and low <= trial.size < high
        return plain(trial) and not hit

    return passes


def test_a_bump_at_the_answer_is_noticed_if_one_replication_meets_it():
    for seed in range(50):
        random = np.random.default_rng(seed)
        thresholds = thresholds_of("normal", random, 100)
        answer = thresholds.max()
        worse = {int(random.integers(100))}
        found, _ = searched(bump(thresholds, answer, answer + 1, worse), 100)
        assert not (found.holds and found.size == answer)


@pytest.mark.parametrize(("width", "share"), [(1.0, 0.05), (0.3, 0.2), (0.1, 0.5)])
def test_a_bump_beyond_the_answer_is_noticed_as_often_as_its_width_and_height_say(width, share):
    n, noticed, tries = 100, 0, 200
    for seed in range(tries):
        random = np.random.default_rng(seed)
        thresholds = thresholds_of("normal", random, n)
        above = N_SIZES - 1 - thresholds.max()
        low = thresholds.max() + 1 + int(random.uniform(0, (1 - width) * above))
        worse = set(np.flatnonzero(random.random(n) < share).tolist())
        passes = bump(thresholds, low, low + round(width * above), worse)
        found, _ = searched(passes, n, n_probes=n)
        noticed += not found.holds or found.size >= low  # or the answer lies beyond the bump
    foretold = 1 - (1 - width * share) ** n
    assert noticed / tries >= foretold - 4 * np.sqrt(foretold * (1 - foretold) / tries) - 0.01


def test_who_passes_below_and_fails_above_is_named():
    passed = {Trial(0, 3): True, Trial(0, 5): False, Trial(1, 4): False, Trial(1, 5): True}
    found = Found(5, (1,), 2, passed)
    assert found.worse == [(Trial(0, 3), Trial(0, 5))]
    assert found.failed_at_answer == [Trial(0, 5)]
    assert not found.holds


def test_a_threshold_is_found_from_wherever_it_is_looked_for():
    for n_sizes in (1, 2, 3, 17):
        for start in range(n_sizes):
            for threshold in range(n_sizes + 1):
                found, asked = threshold_found(lambda s, t=threshold: s >= t, n_sizes, start)
                assert found == (threshold if threshold < n_sizes else None)
                assert len(asked) == len(set(asked))


def guessing(thresholds, off):
    """Return the guess that is so many sizes off, or more than all of them or less than none."""
    return lambda replication: int(np.clip(thresholds[replication] + off, 0, N_SIZES - 1))


@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize("off", [0, 1, -1, 5, -9, 1000, -1000])
def test_however_bad_guesses_are_the_answer_is_that_of_halving(truth, off):
    for seed in range(10):
        thresholds = thresholds_of(truth, np.random.default_rng(seed), 40)
        passes = at_least(thresholds)
        halved, _ = searched(passes, 40, n_probes=10)
        found, made = searched(passes, 40, 10, guess=guessing(thresholds, off))
        assert (found.size, found.holds) == (halved.size, True)
        assert len(made) == len(set(made))
        decides = found.decided_by[0]
        assert {Trial(decides, found.size), Trial(decides, found.size - 1)} <= set(made)


@pytest.mark.parametrize("truth", TRUTHS)
def test_guesses_that_are_right_save_what_halving_takes(truth):
    saved = []
    for seed in range(20):
        thresholds = thresholds_of(truth, np.random.default_rng(seed), 299)
        passes, right = at_least(thresholds), guessing(thresholds, 0)
        counts = []
        for guess in (None, right):
            _, asked = asked_for(passes, 299, guess=guess)
            counts.append(sum(len(trials) for trials in asked[:-1]))
        saved.append(counts[0] - counts[1])
    assert min(saved) >= 6  # of the first threshold alone, which takes 8 halvings
    assert max(saved) < 60


def test_what_cannot_be_guessed_is_halved():
    thresholds = thresholds_of("normal", np.random.default_rng(3), 40)
    halved, _ = searched(at_least(thresholds), 40)
    found, _ = searched(at_least(thresholds), 40, guess=lambda replication: None)
    assert (found.size, found.holds) == (halved.size, True)


def test_a_threshold_is_found_next_to_a_guess_however_bad():
    for n_sizes in (1, 2, 3, 17):
        for start in range(n_sizes):
            for threshold in range(n_sizes + 1):
                for guess in (None, *range(n_sizes)):
                    found, asked = threshold_found(
                        lambda s, t=threshold: s >= t, n_sizes, start, lambda g=guess: g
                    )
                    assert found == (threshold if threshold < n_sizes else None)
                    assert len(asked) == len(set(asked))
    _, asked = threshold_found(lambda s: s >= 90, 256, 200, lambda: 90)
    assert asked == [200, 90, 89]
    _, asked = threshold_found(lambda s: s >= 90, 256, 20, lambda: 90)
    assert asked == [20, 21, 255, 90, 89]
