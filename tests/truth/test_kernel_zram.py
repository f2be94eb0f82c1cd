"""What zram takes of memory, asked of a device of one's own: `cowpool conform --claim zram`."""

import pytest
from support.samples import sample

from sim.host.claims import zram
from sim.host.claims.zram import PAGES, RANDOM_BYTES, ZRAM, frames_for

pytestmark = pytest.mark.truth
CASES = sample(2, len(RANDOM_BYTES))


@pytest.mark.parametrize(
    ("pages", "ratio", "frames"),
    [(0, 2.0, 0), (1, 2.0, 1), (2, 2.0, 1), (3, 2.0, 2), (PAGES, 1.0, PAGES), (4096, 3.0, 1366)],
)
def test_frames_are_whole_and_pages_fill_them(pages, ratio, frames):
    assert frames_for(pages, ratio) == frames


def red():
    if reason := ZRAM.why_not():
        pytest.skip(f"unchecked: {reason}")
    return [case for case in ZRAM.check(CASES, 0, True) if not case.held]


@pytest.mark.kernel
def test_the_running_kernel_takes_as_much_as_is_claimed():
    assert red() == []


@pytest.mark.kernel
def test_a_wrong_rule_is_noticed(monkeypatch):
    """Negative control: a page takes a tenth more than it does."""
    right = zram.zram_page_bytes
    monkeypatch.setattr(zram, "zram_page_bytes", lambda ratio: right(ratio) * 11 // 10)
    assert red()
