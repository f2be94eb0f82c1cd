"""Pages of files come and go, whatever is done with them: the books balance after each step."""

import random

import pytest
from support.kernel import DONE
from support.readers import Reader

from sim.kernel import ops
from sim.kernel.files.fadvise import DONTNEED, NORMAL, RANDOM
from sim.kernel.reclaim.vmscan import shrink_group
from sim.machine.layout import A_RANDOM, A_READ, A_SHARED, A_WRITE, ROOT
from sim.machine.lru import flush_stats

PAGES = 300
STEPS = 60


def do_one_thing(reader: Reader, draw: random.Random, groups: list[int], maps: list[int]) -> None:
    """Read, write, map, touch, advise, write back, reclaim, or change the group that is charged."""
    first = draw.randrange(PAGES)
    pages = draw.randrange(1, PAGES - first + 1)
    match draw.randrange(10):
        case 0 | 1 | 2:
            fields = {"file": reader.file, "file_page": first, "pages": pages}
            assert (
                reader.call(reader.row, ops.OP_FILE_READ, cpu=draw.randrange(2), **fields) == DONE
            )
        case 3:
            reader.pwrite(first, min(pages, 40))
        case 4:
            bits = A_READ | A_WRITE | A_SHARED
            maps.append(reader.map_file(bits=bits | draw.choice((0, A_RANDOM))))
        case 5 if maps:
            touch = draw.choice((reader.read, reader.write))
            touch(reader.row, draw.choice(maps) + first, min(pages, 30))
        case 6:
            reader.advise(draw.choice((NORMAL, RANDOM, RANDOM, DONTNEED)))
        case 7:
            assert reader.call(reader.row, ops.OP_FSYNC, file=reader.file) == DONE
            flush_stats(reader.arrays)
        case 8:
            reader.machine.process_of(reader.row).group = draw.choice(groups)
        case _:
            group = draw.choice([ROOT, *groups])
            shrink_group(reader.arrays, draw.randrange(2), group, draw.randrange(1, 300), 0)
            reader.advise(NORMAL)  # a step of its group, which settles what was freed


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kernel", ["6.12", "6.18"])
def test_every_page_is_where_it_belongs(seed: int, kernel: str) -> None:
    draw = random.Random(seed)
    reader = Reader(PAGES, kernel=kernel, read_ahead_pages=draw.choice((32, 512)))
    inner = reader.machine.new_group(reader.group)
    groups = [reader.group, inner, reader.machine.new_group()]
    maps: list[int] = []
    for _ in range(STEPS):
        do_one_thing(reader, draw, groups, maps)
        reader.machine.audit()
    reader.machine.process_of(reader.row).group = reader.group
    reader.exit(reader.row)
    while shrink_group(reader.arrays, 0, ROOT, 32, 0) > 0:
        reader.machine.audit()
