"""Anonymous memory beyond a limit, with swap in memory (zram): what the kernel counted, predicted.

Recorded on Linux 6.18 (version 1 of control groups, swappiness 60, addresses not random) by
`sim.host.pressure`, three times each: the same figures.  Version and limits are the conditions; the
program flushes its TLB before each access, see A55 in docs/model.md.
"""

import pytest
from support import broken_swap
from support.broken import assert_noticed
from support.pressure_answers import NAMES, predicted, recorded
from support.samples import sample

from sim.script.pressure.grammar import Line, PressureScript, Verb
from sim.script.pressure.predict import IN_MEMORY, touch_pages

pytestmark = pytest.mark.truth

IN_ORDER = ("pswpin", "pswpout", "pgscan_anon", "pgsteal_anon")
RECORDED = {
    # limit and pages of the region: written in order, read in order; then how many stay
    (2048, 3000): ((0, 994, 3035, 994), (3000, 2975, 4992, 2975), (2006, 2031)),
    (16384, 24576): ((0, 8243, 24592, 8243), (24576, 24576, 57187, 24576), (16333, 16333)),
}


@pytest.mark.parametrize("name", NAMES)
def test_scripts_by_hand_do_what_they_did(name: str) -> None:
    """Every page of every process and every count, after each line: see `pressure_answers`."""
    assert predicted(name) == recorded(name)


@pytest.mark.stress
@pytest.mark.slow
def test_each_rule_that_is_broken_is_noticed() -> None:
    """Negative control: a model with one rule of swap wrong, and one with none, a script each."""
    names = list(broken_swap.BROKEN)
    assert_noticed(broken_swap, names[: sample(2, len(names))])


def written_and_read(limit: int, pages: int, swappiness: int = 60) -> PressureScript:
    """Return a script that maps a region, writes it in order, and reads it in order."""
    every = tuple(range(pages))
    lines = (
        Line("P", Verb.MAP, "A", (pages,)),
        Line("P", Verb.WRITE, "A", every),
        Line("P", Verb.READ, "A", every),
    )
    return PressureScript(limit, swappiness, lines)


@pytest.mark.parametrize(("limit", "pages"), RECORDED)
def test_what_is_scanned_and_swapped(limit: int, pages: int) -> None:
    told = touch_pages(written_and_read(limit, pages)).told[1:]
    *rounds, stay = RECORDED[limit, pages]
    assert [tuple(one.counts[name] for name in IN_ORDER) for one in told] == rounds
    resident = [one.maps[0, 0] == IN_MEMORY for one in told]
    assert tuple(int(pages.sum()) for pages in resident) == stay
    assert not resident[0][: pages - stay[0]].any()  # the oldest are out
    assert resident[0][pages - stay[0] :].all()


@pytest.mark.parametrize("broken", [{"swappiness": 0}, {"swap_pages": 512}])
def test_with_less_swap_it_would_be_killed(broken: dict[str, int]) -> None:
    """Negative control: where not enough may go out the group is full."""
    assert touch_pages(written_and_read(2048, 3000)).killed is None
    script = written_and_read(2048, 3000, broken.get("swappiness", 60))
    assert touch_pages(script, swap_pages=broken.get("swap_pages", 1 << 19)).killed is not None
