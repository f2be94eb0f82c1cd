import hypothesis
import pytest
from support import samples


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    monkeypatch.setattr(samples, "_whole", samples._whole)


def test_a_sample_or_the_whole_list():
    samples.take_whole_lists(False)
    assert samples.sample(3, 500) == 3
    samples.take_whole_lists(True)
    assert samples.sample(3, 500) == 500


@pytest.mark.parametrize(("few", "many"), [(0, 10), (11, 10)])
def test_no_list_is_left_out(few, many):
    with pytest.raises(ValueError, match="it takes at least one"):
        samples.sample(few, many)


def test_a_sample_is_spread_over_its_list():
    samples.take_whole_lists(False)
    assert samples.spread("abcdefg", 3) == ["a", "c", "e"]
    assert samples.spread("ab", 3) == ["a", "b"]
    samples.take_whole_lists(True)
    assert samples.spread("abcdefg", 3) == list("abcdefg")


def test_the_option_decides(request):
    few = samples.sample(1, 2)
    assert few == (2 if request.config.getoption("--whole") else 1)


def test_no_example_is_timed():
    assert hypothesis.settings().deadline is None
