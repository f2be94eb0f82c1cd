"""Anonymous memory beyond a limit, with swap on a disk: what the kernel counted, predicted.

Recorded on Linux 6.18 with a swap file and with a loop device, twelve runs each; live, the same is
asked as `cowpool conform --claim swapfile --claim swaploop --kernel`.
"""

import pytest
from support.samples import sample

from sim.host.claims.swap import (
    LIMIT,
    PAGES,
    REGION,
    SWAP_FILE,
    SWAP_LOOP,
    Medium,
    at_random,
    predict,
    touched,
)
from sim.host.pressure import swap
from sim.script.pressure import timed
from sim.script.pressure.predict import IN_MEMORY, touch_pages

pytestmark = pytest.mark.truth

IN_SWAP = (8274, 8425)
"""After writing in order; least and most of both devices, as of the majors below."""
AT_RANDOM = (8292, 8387)
IN_ORDER = (3069, 3074)
BAND = 0.02
ROTATING = pytest.mark.parametrize("rotating", [True, False])


def outside(count: int, recorded: tuple[int, int]) -> float:
    """Return by which share a count lies outside of what was recorded."""
    low, high = recorded
    return max(low - count, count - high, 0) / high


@ROTATING
def test_written_and_read_in_order(rotating: bool) -> None:
    written, read = predict(touched(), PAGES, rotating)
    assert outside(written["in_swap"], IN_SWAP) <= BAND
    assert IN_ORDER[0] - 2 <= read["major"] <= IN_ORDER[1] + 2
    assert read["pswpin"] == REGION  # nothing that is being read ahead is reclaimed for the rest


@ROTATING
def test_read_at_random(rotating: bool) -> None:
    """Within twice the spread of the runs, as far as that is from their least and most."""
    _, read = predict(at_random(0), PAGES, rotating)
    assert outside(read["major"], AT_RANDOM) * AT_RANDOM[1] <= 2 * (AT_RANDOM[1] - AT_RANDOM[0])


@pytest.mark.parametrize(("pages", "killed"), [(LIMIT // 4, True), (REGION, False)])
def test_a_full_device_kills(pages: int, killed: bool) -> None:
    assert (predict(touched(), pages, True) is None) == killed


def test_other_read_ahead_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: page by page, as from memory, each page is a fault."""
    resolve = timed.resolve

    def page_by_page(scenario):
        scenario["host"]["page_cluster"] = 0
        return resolve(scenario)

    monkeypatch.setattr(timed, "resolve", page_by_page)
    _, read = predict(touched(), PAGES, True)
    assert read["major"] > 2 * IN_ORDER[1]


def test_a_device_is_not_memory() -> None:
    """Negative control: what zram keeps of the same script is another thing."""
    told = touch_pages(touched()).told[2]
    assert told.counts["major"] == REGION
    assert (told.maps[0, 0] == IN_MEMORY).sum() < REGION


@pytest.mark.kernel
@pytest.mark.slow
@pytest.mark.parametrize("claim", [SWAP_FILE, SWAP_LOOP], ids=lambda claim: claim.name)
def test_the_running_kernel_swaps_as_predicted(claim) -> None:
    if sample(1, 2) == 1:
        pytest.skip("unchecked: swap is the whole machine's, so that only --whole switches it on")
    if reason := claim.why_not():
        pytest.skip(f"unchecked: {reason}")
    found = list(claim.check(claim.cases, 0, True))
    assert [case for case in found if not case.held] == []


@pytest.mark.parametrize("medium", Medium)
def test_where_swap_is_on_already_nothing_is_asked(
    medium: Medium, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "no_group", str)
    monkeypatch.setattr(swap, "read_setting", lambda _: None)
    monkeypatch.setattr(swap, "swaps", lambda: ["/dev/sda2"])
    assert swap.why_not(medium) == "swap is on already: /dev/sda2"
