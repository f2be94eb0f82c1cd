"""The running kernel's reclaim of anonymous memory, page by page, with swap on a zram device."""

import pytest
from support.pressure_answers import NAMES, load
from support.samples import sample

from sim.host.pressure.compare import compare
from sim.host.pressure.swap import swap_on, why_not
from sim.script.pressure.random import random_script

pytestmark = [
    pytest.mark.truth,
    pytest.mark.kernel,
    pytest.mark.skipif(bool(why_not()), reason=f"unchecked: {why_not()}"),
]


def test_random_scripts_keep_the_pages_that_are_predicted() -> None:
    """As `cowpool conform --pressure --random N --seed 1 --kernel`."""
    if sample(1, 2) == 1:
        pytest.skip("unchecked: swap is the whole machine's, so that only --whole switches it on")
    with swap_on():
        found = [
            compare(f"script {index}", random_script(1, index), kernel=True)
            for index in range(sample(6, 100))
        ]
    assert [one.line() for one in found if not one.holds] == []


def test_scripts_by_hand_keep_the_pages_that_are_predicted() -> None:
    """As `cowpool conform --pressure SCRIPT --kernel`; the same are recorded."""
    if sample(1, 2) == 1:
        pytest.skip("unchecked: swap is the whole machine's, so that only --whole switches it on")
    with swap_on():
        found = [compare(name, load(name), kernel=True) for name in NAMES]
    assert [one.line() for one in found if not one.holds] == []


def test_another_script_would_not_be_as_predicted() -> None:
    """Negative control: the counts of one script are not those of another."""
    first, other = (compare("", random_script(1, index), kernel=False) for index in (0, 1))
    assert first.predicted.told[1].counts != other.predicted.told[1].counts
