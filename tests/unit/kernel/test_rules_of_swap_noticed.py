"""Negative control of tests of single rules of reclaim and swap-in: each, broken, is noticed."""

import pytest
from support import broken_reclaim
from support.broken import assert_noticed
from support.samples import spread


@pytest.mark.stress
def test_each_rule_that_is_broken_is_noticed() -> None:
    """By the test that is of it alone; and a model with nothing broken by none."""
    assert_noticed(broken_reclaim, spread(list(broken_reclaim.BROKEN), 2))
