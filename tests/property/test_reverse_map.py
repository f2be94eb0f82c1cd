"""The reverse map finds each entry that maps a page, and no other, whatever happened before."""

from collections import defaultdict
from typing import Any

import pytest
from support.entries import area_of, spaces_in_use, translations
from support.samples import sample
from support.scripted import forking_scripts, on_host

from sim.base.errors import KernelPanicError
from sim.kernel.rmap import next_mapper
from sim.machine.layout import (
    FORK_ASYNC,
    FORK_COW,
    FORK_EAGER,
    FORK_ON_DEMAND,
    NONE,
    THP_ALWAYS,
    THP_NEVER,
)
from sim.script.grammar import Operation
from sim.script.run import Scripted
from sim.script.validity import parse_script

Mapper = tuple[int, int, int, int]


def mappers(m: Any, pfn: int) -> list[Mapper]:
    """Return area, page, table and entry of all that map a frame, as the reverse map has it."""
    found = []
    at = tuple(map(int, next_mapper(m, pfn, NONE)))
    while at[0] != NONE:
        found.append(at)
        at = tuple(map(int, next_mapper(m, pfn, at[0])))
    return found


def all_mappers(m: Any) -> dict[int, list[Mapper]]:
    """Return the same of every frame that is mapped, by looking at every entry there is."""
    found = defaultdict(list)
    for space in spaces_in_use(m):
        for t in translations(m, space):
            if t.pfn != 0:
                found[t.pfn].append((area_of(m, space, t.vpn), t.vpn, t.table, t.at))
    return found


def missed(m: Any) -> list[int]:
    """Return the frames whose mappers the reverse map does not find, or does not find alone."""
    return [pfn for pfn, them in all_mappers(m).items() if sorted(them) != sorted(mappers(m, pfn))]


def after(script: list[Operation], **host: Any) -> tuple[Scripted, int]:
    """Carry out a script; the reverse map must be right after each operation.

    Returns the machine, and how many entries mapped one frame at most.
    """
    scripted = on_host(script, **host)
    most = 0
    for operation in script:
        scripted.perform(operation)
        m = scripted.machine.arrays
        assert missed(m) == [], operation
        most = max([most, *map(len, all_mappers(m).values())])
    return scripted, most


@pytest.mark.parametrize("thp", [THP_NEVER, THP_ALWAYS])
@pytest.mark.parametrize("fork", [FORK_COW, FORK_EAGER, FORK_ON_DEMAND, FORK_ASYNC])
def test_it_finds_what_a_look_at_all_entries_finds(fork: int, thp: int) -> None:
    scripts = forking_scripts(5 + 10 * fork + thp, sample(2, 60))
    most = max(after(script, fork_kind=fork, thp=thp)[1] for script in scripts)
    assert fork == FORK_EAGER or most > 1


FORKED = """\
P map A 8
P write A 0 8
P mapshfile B 8
P write B 0 8
P fork C
C read A 0 8
C write B 0 8
"""


def shared_pages() -> tuple[Scripted, Any, Any]:
    """Return a machine on which two processes map pages, and the lists that lead to them.

    The lists are that of a family and that of a file.
    """
    scripted, _ = after(parse_script(FORKED))
    m = scripted.machine.arrays
    child = scripted.processes["C"]
    rows = [area_of(m, scripted.space(child), child.regions[name].start) for name in "AB"]
    family, file = int(m.areas[rows[0]].anon_root), int(m.areas[rows[1]].file)
    return scripted, m.anon_roots[family], m.files[file]


def test_what_two_processes_map_is_found_twice() -> None:
    scripted, *lists = shared_pages()
    m = scripted.machine.arrays
    twice = [them for them in all_mappers(m).values() if len(them) == 2]
    assert len(twice) == 8 + 8 + 1  # and the stack's
    assert {int(row.areas) for row in lists} <= {area for them in twice for area, *_ in them}


@pytest.mark.parametrize(("which", "link"), [(0, "anon_next"), (1, "file_next")])
def test_an_area_off_its_list_is_missed(which: int, link: str) -> None:
    """Negative control, of the comparison and of the audit."""
    scripted, *lists = shared_pages()
    m = scripted.machine.arrays
    lists[which].areas = m.areas[int(lists[which].areas)][link]
    assert len(missed(m)) == 8
    with pytest.raises(KernelPanicError, match="not linked with the others"):
        scripted.machine.audit()
