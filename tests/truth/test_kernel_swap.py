"""Anonymous memory beyond a limit, with swap in memory (zram): what the kernel counted, predicted.

Recorded on Linux 6.18 (version 1 of control groups, swappiness 60, addresses not random) by
`sim.host.pressure`, three times each: the same figures.  Version and limits are the conditions; the
program flushes its TLB before each access, see A55 in docs/model.md.
"""

import pytest

from sim.script.pressure import MAP, PAUSE, READ, TELL, WRITE, touch_pages, word

pytestmark = pytest.mark.truth

IN_ORDER = ("pswpin", "pswpout", "pgscan_anon", "pgsteal_anon")
RECORDED = {
    # limit and pages of the region: written in order, read in order; then how many stay
    (2048, 3000): ((0, 994, 3035, 994), (3000, 2975, 4992, 2975), (2006, 2031)),
    (16384, 24576): ((0, 8243, 24592, 8243), (24576, 24576, 57187, 24576), (16333, 16333)),
}


def written_and_read(pages: int) -> list[int]:
    """Return a script that maps a region, writes it in order, and reads it in order."""
    written = [word(WRITE, 0, page) for page in range(pages)]
    read = [word(READ, 0, page) for page in range(pages)]
    told = [word(PAUSE), word(TELL)]
    return [word(MAP, 0, pages), word(PAUSE), *written, *told, *read, *told]


@pytest.mark.parametrize(("limit", "pages"), RECORDED)
def test_what_is_scanned_and_swapped(limit: int, pages: int) -> None:
    found = touch_pages(written_and_read(pages), limit_pages=limit)
    *rounds, stay = RECORDED[limit, pages]
    counts = [tuple(counted[name] for name in IN_ORDER) for counted in found.counts[1:]]
    assert counts == rounds
    assert tuple(int(resident.sum()) for resident in found.resident) == stay
    first = found.resident[0]
    assert not first[: pages - stay[0]].any()  # the oldest are out
    assert first[pages - stay[0] :].all()


@pytest.mark.parametrize("broken", [{"swappiness": 0}, {"swap_pages": 512}])
def test_with_less_swap_it_would_be_killed(broken: dict[str, int]) -> None:
    """Negative control: where not enough may go out the group is full."""
    pages = written_and_read(3000)
    assert touch_pages(pages, limit_pages=2048).killed is None
    assert touch_pages(pages, limit_pages=2048, **broken).killed is not None
