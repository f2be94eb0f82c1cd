"""The pool of huge pages: what is reserved, who gets a page, and what if none is left."""

from typing import NamedTuple

import pytest
from support.machines import flat_prices

from sim.base.errors import KernelPanicError, ScenarioError
from sim.kernel.hugetlb.tables import GIB_PAGES
from sim.machine.layout import NONE
from sim.machine.machine import Machine
from sim.machine.spec import HostSpec
from sim.machine.tables import find_table
from sim.observe.footprint import footprint
from sim.script.predict import predict, roomy_host, with_pool
from sim.script.run import Scripted
from sim.script.validity import parse_script

HUGE = 512


class Counts(NamedTuple):
    """The pool as /proc/meminfo has it."""

    total: int
    free: int
    reserved: int


class Play:
    """A machine with a pool, a line of a script at a time; its books are looked at after each."""

    def __init__(self, pool: int, *lines: str) -> None:
        self.scripted = Scripted(with_pool(roomy_host(parse_script("\n".join(lines))), pool))
        self.machine = self.scripted.machine
        self.endings: list[str] = []
        self.faults: list[int] = []
        for operation in parse_script("\n".join(lines)):
            record = self.scripted.perform(operation)
            self.endings.append(record.ending)
            self.faults.append(record.minflt)
            self.machine.audit()

    @property
    def pool(self) -> Counts:
        return Counts(*self.machine.huge_pages().values())

    def space(self, name: str) -> int:
        return self.scripted.space(self.scripted.processes[name])

    def start(self, name: str, region: str) -> int:
        return self.scripted.processes[name].regions[region].start

    def figures(self, name: str, region: str) -> dict[str, int]:
        return next(
            figures.values()
            for figures in self.scripted.figures()
            if (figures.process, figures.region) == (name, region)
        )


# -- the pool itself ----------------------------------------------------------------------


def test_huge_pages_are_free_memory_for_nobody_else() -> None:
    without = Machine(HostSpec(memory_pages=8192), prices=flat_prices())
    machine = Machine(HostSpec(memory_pages=8192, nr_huge_pages=5), prices=flat_prices())
    machine.audit()
    assert without.free_at_start_pages - machine.free_at_start_pages == 5 * HUGE
    assert machine.huge_pages() == {
        "HugePages_Total": 5, "HugePages_Free": 5, "HugePages_Rsvd": 0,
    }  # fmt: skip
    assert machine.watermark_pages() == without.watermark_pages()  # of managed pages, as in Linux
    assert without.huge_pages() == {}


def test_a_pool_that_does_not_fit_makes_no_machine() -> None:
    with pytest.raises(KernelPanicError, match="do not fit"):
        Machine(HostSpec(memory_pages=4096, nr_huge_pages=9), prices=flat_prices())


# -- reservations -------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["maphugetlb", "mapshhugetlb"])
def test_a_mapping_reserves_its_pages_and_takes_none(verb: str) -> None:
    play = Play(4, f"P {verb} A 1536")
    assert play.pool == (4, 4, 3)
    assert play.figures("P", "A")["hugetlb"] == 0


@pytest.mark.parametrize("verb", ["maphugetlb", "mapshhugetlb"])
def test_what_cannot_be_reserved_is_refused(verb: str) -> None:
    play = Play(4, f"P {verb} A 1536", f"P {verb} B 1024", f"P {verb} C 512")
    assert play.endings == ["", "ENOMEM", ""]
    assert play.pool == (4, 4, 4)
    with pytest.raises(ScenarioError, match="refused"):
        Play(4, f"P {verb} A 1536", f"P {verb} B 1024", "P read B 0 1")


@pytest.mark.parametrize("verb", ["maphugetlb", "mapshhugetlb"])
def test_a_fault_uses_a_reservation_up(verb: str) -> None:
    play = Play(4, f"P {verb} A 1536", "P write A 0 600")
    assert play.faults[-1] == 2  # one for each 2 MiB
    assert play.pool == (4, 2, 1)
    assert play.figures("P", "A") == {
        "rss": 0, "anon": 0, "pdirty": 0, "sdirty": 0, "swap": 0, "thp": 0, "hugetlb": 1024,
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["maphugetlb", "mapshhugetlb"])
@pytest.mark.parametrize("end", ["P unmap A", "P exit", "P exec"])
def test_pages_and_reservations_go_back(verb: str, end: str) -> None:
    play = Play(4, f"P {verb} A 1536", "P write A 0 600", end)
    assert play.pool == (4, 4, 0)


def test_a_private_part_gives_back_what_it_has_not_used() -> None:
    lines = ("P maphugetlb A 2048", "P write A 0 1", "P write A 1024 1025")
    play = Play(8, *lines, "P unmap A 0 1024")
    assert play.pool == (8, 7, 1)


def test_a_shared_part_gives_nothing_back_before_the_file_goes() -> None:
    lines = ("P mapshhugetlb A 2048", "P write A 0 1", "P unmap A 0 1024")
    assert Play(8, *lines).pool == (8, 7, 3)
    assert Play(8, *lines, "P unmap A").pool == (8, 8, 0)


def test_noreserve_reserves_nothing_and_takes_what_nobody_has_reserved() -> None:
    lines = ("P maphugetlb A 1024", "P maphugetlb B 1024 noreserve", "P write B 0 512")
    play = Play(3, *lines)
    assert play.pool == (3, 2, 2)
    play = Play(3, *lines, "P write B 512 513")
    assert play.endings[-1] == "SIGBUS"
    assert play.pool == (3, 3, 0)


def test_populating_takes_all_and_stops_where_there_is_no_more() -> None:
    play = Play(3, "P maphugetlb A 1024 populate")
    assert (play.endings, play.pool) == ([""], (3, 1, 0))
    play = Play(3, "P maphugetlb A 2048 noreserve", "P populatewrite A 0 2048")
    assert (play.endings[-1], play.pool) == ("EFAULT", (3, 0, 0))


# -- faults: the table of `sim.kernel.hugetlb.fault`, a row a test -------------------------


def test_reading_takes_a_page_and_writing_it_faults_again_where_it_is_private() -> None:
    play = Play(2, "P maphugetlb A 512", "P read A 0 512", "P write A 0 512", "P write A 0 512")
    assert play.faults == [0, 1, 1, 0]
    play = Play(2, "P mapshhugetlb A 512", "P read A 0 512", "P write A 0 512")
    assert play.faults == [0, 1, 0]


def test_a_child_maps_the_pages_of_a_shared_file() -> None:
    play = Play(2, "P mapshhugetlb A 1024", "P write A 0 512", "P fork C", "C write A 0 1024")
    assert play.faults[-1] == 2
    assert play.pool == (2, 0, 0)  # one of them new: the file had it reserved
    assert play.figures("C", "A")["hugetlb"] == 1024


def test_fork_copies_entries_of_private_memory_only() -> None:
    lines = ("P {} A 1024", "P write A 0 1024", "P fork C")
    private = Play(4, *(line.format("maphugetlb") for line in lines))
    shared = Play(4, *(line.format("mapshhugetlb") for line in lines))
    assert private.figures("C", "A")["hugetlb"] == 1024
    assert shared.figures("C", "A")["hugetlb"] == 0


def test_a_write_after_fork_copies_2_mib() -> None:
    lines = ("P maphugetlb A 512", "P write A 0 1", "P fork C")
    play = Play(2, *lines, "C write A 0 512", "P write A 0 512")
    assert play.faults[-2:] == [1, 1]  # the second is the last owner: a reuse
    assert play.pool == (2, 0, 0)


def test_a_child_without_reservation_is_ended_where_no_page_is_left() -> None:
    lines = ("P maphugetlb A 1024", "P write A 0 512", "P fork C")
    missing = Play(2, *lines, "C read A 512 513")
    copying = Play(2, *lines, "C write A 0 1")
    for play in (missing, copying):
        assert play.endings[-1] == "SIGBUS"
        assert play.faults[-1] == 0
        assert play.pool == (2, 1, 1)
        assert list(play.scripted.processes) == ["P"]


def test_a_child_gets_what_nobody_has_reserved() -> None:
    play = Play(3, "P maphugetlb A 1024", "P fork C", "C write A 0 512")
    assert (play.endings[-1], play.pool) == ("", (3, 2, 2))


def test_the_owner_takes_the_page_from_its_children() -> None:
    lines = ("P maphugetlb A 1024", "P write A 0 1024", "P fork C", "C fork D", "P write A 0 1")
    play = Play(2, *lines)
    assert (play.endings[-1], play.faults[-1], play.pool) == ("", 1, (2, 0, 0))
    assert [play.figures(name, "A")["hugetlb"] for name in "PCD"] == [1024, 512, 512]
    assert Play(2, *lines, "C read A 512 513").endings[-1] == ""
    assert Play(2, *lines, "C read A 0 1").endings[-1] == "SIGBUS"


def test_who_lost_a_page_gets_none_in_its_place_though_there_be_some() -> None:
    lines = ("P maphugetlb A 512", "P write A 0 1", "P fork C", "P write A 0 1")
    play = Play(1, *lines, "P unmap A", "C read A 0 1")
    assert play.pool.free == 1
    assert play.endings[-1] == "SIGBUS"  # not zeros: that would look like data lost


# -- tables of level 1, shared --------------------------------------------------------------

GIB = f"P mapshhugetlb A {GIB_PAGES}"


def tables(play: Play, name: str) -> int:
    """Return the frame of the table that maps the first pages of A, NONE without one."""
    table = int(find_table(play.machine.arrays, play.space(name), play.start(name, "A"), 1))
    return NONE if table == NONE else int(play.machine.arrays.table_info[table].frame)


def test_one_table_maps_a_gib_for_all_who_share_it() -> None:
    lines = (GIB, "P write A 0 1024", "P fork C", "C read A 0 1")
    play = Play(GIB_PAGES // HUGE, *lines)
    assert tables(play, "C") == tables(play, "P") != NONE
    assert play.figures("C", "A")["hugetlb"] == 1024  # one fault, all that the table maps
    frames = [int(play.machine.arrays.spaces[play.space(name)].tables) for name in "PC"]
    assert frames[0] == frames[1]  # it counts in both, and is there once


@pytest.mark.parametrize(
    "script",
    [
        (GIB.replace(str(GIB_PAGES), str(GIB_PAGES - HUGE)), "P write A 0 1", "P fork C"),
        (GIB.replace("mapsh", "map"), "P write A 0 1", "P fork C"),
        (GIB, "P write A 0 1", "P fork C", "C protect A 0 512 r"),
    ],
    ids=["not the whole GiB", "private", "other flags"],
)
def test_no_table_is_shared_otherwise(script: tuple[str, ...]) -> None:
    play = Play(GIB_PAGES // HUGE, *script, "C read A 0 1")
    assert tables(play, "C") != tables(play, "P")


@pytest.mark.parametrize("what", ["C unmap A 0 512", "C protect A 0 512 r", "C exit"])
def test_who_changes_something_below_a_shared_table_lets_go_of_it(what: str) -> None:
    lines = (GIB, "P write A 0 1024", "P fork C", "C read A 0 1", what)
    play = Play(GIB_PAGES // HUGE, *lines, "P write A 0 1024")
    assert play.faults[-1] == 0
    assert play.figures("P", "A")["hugetlb"] == 1024


# -- what else counts, and what cannot be ----------------------------------------------------


def test_they_are_in_no_resident_set() -> None:
    play = Play(
        4, "P maphugetlb A 1024", "P mapshhugetlb B 1024", "P write A 0 1024", "P read B 0 1"
    )
    s = play.machine.arrays.spaces[play.space("P")]
    assert int(s.rss_file + s.rss_shmem) == 0
    assert footprint(play.machine.arrays, play.space("P"))[0] == int(s.rss_anon)
    assert play.machine.arrays.pool[0].committed == s.committed


@pytest.mark.parametrize(
    "line",
    [
        "P maphugetlb A 100",
        "P maphugetlb A 512 behind B",
        "P unmap A 0 100",
        "P protect A 10 512 r",
        "P dontneed A 0 512",
        "P free A 0 512",
        "P move A",
        "P resize A 512",
        "P hugepage A",
    ],
)
def test_a_script_is_refused_that_asks_for_parts_or_for_what_is_not_modelled(line: str) -> None:
    with pytest.raises(ScenarioError):
        parse_script(f"P map B 8\nP maphugetlb A 1024\n{line}")


def test_areas_of_the_pool_are_never_joined_again() -> None:
    lines = ("P maphugetlb A 1536", "P protect A 512 1024 r", "P protect A 512 1024 rw")
    play = Play(3, *lines)
    start = play.start("P", "A")
    slot = int(play.machine.arrays.spaces[play.space("P")].head)
    found = []
    while slot != NONE:
        a = play.machine.arrays.areas[slot]
        found += [(int(a.start) - start, int(a.end) - start)] if a.start >= start else []
        slot = int(a.next)
    assert found[:3] == [(0, 512), (512, 1024), (1024, 1536)]


def test_protecting_takes_the_right_to_write_and_gives_it_back_to_shared_memory_at_once() -> None:
    lines = ("P {} A 512", "P write A 0 1", "P protect A 0 512 r", "P protect A 0 512 rw")
    for verb, faults in (("maphugetlb", 1), ("mapshhugetlb", 0)):
        text = "\n".join((*(line.format(verb) for line in lines), "P write A 0 512"))
        assert predict(parse_script(text), audit=True)[-1].minflt == faults
