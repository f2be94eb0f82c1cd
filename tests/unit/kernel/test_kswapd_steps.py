"""kswapd, a step at a time: how far it looks, when it ends, when it gives up."""

import pytest
from support.kernel import DONE
from support.swapper import Swapper

from sim.kernel import ops
from sim.kernel.reclaim.memcg import try_to_free_pages
from sim.kernel.work import MORE, NO_ROOM_YET
from sim.machine.layout import F_LOCKED, SWAP_SOLID
from sim.machine.pool import wake_kswapd


def short(pages: int, by: int, locked: bool = False, **host: int) -> Swapper:
    """Return who has written so many pages where `by` frames are missing to the high watermark."""
    swapper = Swapper(pages, **host)
    if locked:
        for n in range(pages):
            swapper.page(n)["bits"] |= F_LOCKED
    zone = swapper.arrays.zones[0]
    zone.high_pages = int(zone.free) + by
    swapper.begin(swapper.row, ops.OP_KSWAPD)
    swapper.arrays.pool[0].kswapd_failures = 3
    return swapper


def statuses(swapper: Swapper) -> list[int]:
    """Return how each step ended, up to the one that was not to be followed by another."""
    told = [swapper.one_step(swapper.row)]
    while told[-1] == MORE:
        told.append(swapper.one_step(swapper.row))
    return told


def test_at_the_high_watermark_nothing_is_left_to_do() -> None:
    swapper = short(62, 0)
    assert statuses(swapper) == [DONE]
    assert swapper.vec().pgscan_kswapd == 0
    assert swapper.arrays.pool[0].kswapd_failures == 0


def test_it_looks_farther_only_after_a_step_in_vain() -> None:
    """Of 62 pages none at priorities 12 to 6, and 1 at 5 as long as there are 32: 31 steps.

    Then 31 are left: 1 at a step at priority 4 down to 16 pages, that is 16 times; 6 more are 53.
    """
    swapper = short(62, 53)
    told = statuses(swapper)
    assert len(told) == 7 + 31 + 1 + 16 + 1 + 6 + 1
    assert told[-1] == DONE
    vec = swapper.vec()
    assert (vec.pgscan_kswapd, vec.pgsteal_kswapd, vec.pgscan_direct) == (53, 53, 0)
    assert swapper.arrays.pool[0].kswapd_failures == 0


def test_a_round_in_vain_goes_to_priority_1_and_is_a_failure() -> None:
    """8 pages at priorities 3, 2 and 1: 1, 2 and 4; not all of them, as at priority 0."""
    swapper = short(8, 1, locked=True)
    assert statuses(swapper) == [MORE] * 11 + [DONE]
    assert swapper.vec().pgscan_kswapd == 1 + 2 + 4
    assert swapper.arrays.pool[0].kswapd_failures == 4


def test_a_round_that_freed_anything_is_none() -> None:
    """Of three pages one goes at priority 1; of two another, and of one none."""
    swapper = short(3, 10)
    assert statuses(swapper)[-1] == DONE
    assert swapper.vec().pgsteal_kswapd == 2
    assert swapper.arrays.pool[0].kswapd_failures == 3


@pytest.mark.parametrize(("failures", "wakes"), [(15, 1), (16, 0)])
def test_it_gives_up_after_sixteen_rounds(failures: int, wakes: int) -> None:
    """Until a task that reclaims has more luck."""
    swapper = Swapper(62)
    pool = swapper.arrays.pool[0]
    pool.kswapd_failures, pool.kswapd_awake = failures, 0
    wake_kswapd(swapper.arrays)
    assert pool.kswapd_awake == wakes
    assert try_to_free_pages(swapper.arrays, 0, 1) > 0
    assert pool.kswapd_failures == 0


def test_it_waits_for_a_device_that_has_enough_to_do() -> None:
    swapper = short(62, 10, kind=SWAP_SOLID)
    m = swapper.arrays
    m.files[int(m.swap_area[0].file)].writing = 256
    assert statuses(swapper) == [NO_ROOM_YET]
    assert swapper.vec().pgscan_kswapd == 0
