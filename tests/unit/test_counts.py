import pytest

from sim.base.counts import counted, is_or_are, out_of
from sim.study.answer import books_sentences
from sim.study.trials import Books


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (1234, "1,234 runs")]
)
def test_one_of_something_has_no_plural(number, text):
    assert counted(number, "run") == text


def test_words_go_with_the_number_of_what_they_are_about():
    assert counted(2, "pair of runs") == "2 pairs of runs"
    assert (out_of(1, 3, "shard"), is_or_are(1)) == ("1 of 3 shards", "is")
    assert (out_of(0, 1, "run"), is_or_are(0)) == ("0 of 1 run", "are")


@pytest.mark.parametrize(
    ("agree", "runs", "text"),
    [
        (3, 3, "In all 3 trial runs,"),
        (1, 1, "In 1 trial run,"),
        (0, 1, "In 0 of 1 trial run,"),
        (2, 3, "In 2 of 3 trial runs,"),
    ],
)
def test_trial_runs_are_counted(agree, runs, text):
    (said,) = books_sentences(Books(agree, runs, 0))
    assert said.startswith(text)
