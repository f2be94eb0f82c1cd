"""Attempts to make room in vain: how many, what each takes, how long Linux sleeps in between."""

import pytest
from support.kernel import SHORT
from support.readers import Reader

from sim.kernel import ops
from sim.kernel.reclaim.memcg import MAX_RECLAIM_RETRIES, NO_ROOM, ROOM, make_room, naps_jiffies
from sim.machine.layout import EV_FAILCNT, EV_MAX, F_LOCKED, NONE, ROOT
from sim.machine.work import RECLAIM_PAGE

LIMIT = 100


def full(**host: object) -> Reader:
    """Return a task whose group is full of pages of a file, and which is refused another."""
    reader = Reader(2 * LIMIT, **host)
    reader.arrays.groups[reader.group].limit = LIMIT
    page = 0
    fields = {"file": reader.file, "pages": 1}
    status = 0
    while status != SHORT:
        reader.begin(reader.row, ops.OP_FILE_READ, **fields, file_page=page)
        status = reader.one_step(reader.row, 0)
        reader.machine.arrays.pool[0].requests = 0
        page += 1
    reader.drain()
    return reader


def test_time_passes_between_attempts_in_vain() -> None:
    """Each looks at pages, and has its price; the last one of all says that there is no room."""
    reader = full()
    m = reader.arrays
    m.frames["bits"][m.frames["group"] == reader.group] |= F_LOCKED
    failed = int(m.events[reader.group, EV_FAILCNT])
    for attempt in range(1 + MAX_RECLAIM_RETRIES):
        m.clock[0].lines = 0
        assert make_room(m, 0, reader.row) == ROOM, attempt
        assert int(m.scans[0].scanned) > 0
        assert m.receipt[0].tolist() == [RECLAIM_PAGE, int(m.scans[0].scanned)]
        assert m.operations[reader.row].naps == 0
        assert reader.one_step(reader.row, 0) == SHORT
    assert make_room(m, 0, reader.row) == NO_ROOM
    assert int(m.events[reader.group, EV_MAX]) == 2 + MAX_RECLAIM_RETRIES
    assert int(m.events[reader.group, EV_FAILCNT]) == failed + 1 + MAX_RECLAIM_RETRIES


def test_a_step_that_succeeds_begins_anew() -> None:
    reader = full()
    m = reader.arrays
    mine = m.frames["group"] == reader.group
    m.frames["bits"][mine] |= F_LOCKED
    for _ in range(5):
        assert make_room(m, 0, reader.row) == ROOM
    assert int(m.operations[reader.row].attempts) == 5
    m.frames["bits"][mine] &= ~F_LOCKED
    assert make_room(m, 0, reader.row) == ROOM
    assert int(m.operations[reader.row].attempts) == 5
    assert reader.one_step(reader.row, 0) != SHORT
    assert int(m.operations[reader.row].attempts) == 0


@pytest.mark.parametrize(
    ("kernel", "cgroup", "everywhere", "dirty", "writeback", "jiffies"),
    [
        ("6.12", "v2", True, 50, 0, 1),
        ("6.12", "v2", True, 2, 0, 0),  # most are clean: it does not sleep
        ("5.15", "v1", True, 50, 0, 25),
        ("6.12", "v2", False, 0, 80, 1),
        ("6.12", "v2", False, 1, 80, 0),  # one may be written yet
        ("5.15", "v2", False, 0, 80, 0),
        ("6.12", "v1", False, 0, 2, NONE),
        ("6.12", "v1", False, 0, 0, 0),
    ],
)
def test_how_long_linux_sleeps(
    kernel: str, cgroup: str, everywhere: bool, dirty: int, writeback: int, jiffies: int
) -> None:
    reader = full(kernel=kernel, cgroup=cgroup, hz=250)
    m = reader.arrays
    for group in (ROOT, reader.group):
        m.groups[group].dirty, m.groups[group].writeback = dirty, writeback
    assert naps_jiffies(m, 0, ROOT if everywhere else reader.group) == jiffies
    m.pool[0].kswapd_failures = MAX_RECLAIM_RETRIES
    if jiffies == 1:
        assert naps_jiffies(m, 0, ROOT if everywhere else reader.group) == 0
