"""Where mmap puts large mappings, on the running kernel."""

import ctypes
import mmap
import platform
import tempfile

import pytest
from support.kernel import DONE, Kernel

from sim.host.conditions import assumed_release, file_folder
from sim.kernel import ops
from sim.machine.layout import A_READ, A_SHARED, A_WRITE, KIND_FILE, NONE
from sim.machine.rules import rules_of
from sim.machine.rules.areas import R_ALIGN_LARGE, R_ALIGN_WHOLE

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

MIB = 1 << 20
MANY = 8


def places(size: int) -> list[int]:
    """Map `size` bytes some times; return where, in bytes behind a 2 MiB boundary."""
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    held = [mmap.mmap(-1, size, flags=private) for _ in range(MANY)]
    views = [ctypes.c_char.from_buffer(memory) for memory in held]
    return [ctypes.addressof(view) % (2 * MIB) for view in views]


def test_large_mappings_begin_at_2_mib_as_the_rules_say():
    rules = rules_of(assumed_release(platform.release()))
    aligned = bool(rules & R_ALIGN_LARGE)
    assert (set(places(4 * MIB)) == {0}) == aligned
    assert set(places(MIB)) != {0}
    # one page more than a multiple; mappings lie against each other, so hardly any is aligned
    assert (set(places(4 * MIB + mmap.PAGESIZE)) == {0}) == (aligned and not rules & R_ALIGN_WHOLE)


def file_places(pages: int, offset: int, flags: int) -> set[int]:
    """Map a file some times; return where, in pages behind a 2 MiB boundary."""
    with tempfile.TemporaryFile(dir=file_folder()) as file:
        file.truncate((pages + offset) * mmap.PAGESIZE)
        where = {"flags": flags, "offset": offset * mmap.PAGESIZE}
        held = [mmap.mmap(file.fileno(), pages * mmap.PAGESIZE, **where) for _ in range(MANY)]
        views = [ctypes.c_char.from_buffer(memory) for memory in held]
        return {ctypes.addressof(view) % (2 * MIB) // mmap.PAGESIZE for view in views}


@pytest.mark.parametrize("flags", [mmap.MAP_PRIVATE, mmap.MAP_SHARED], ids=["private", "shared"])
@pytest.mark.parametrize(
    ("pages", "offset"), [(512, 0), (600, 0), (511, 0), (1100, 100), (700, 400), (1024, 512)]
)
def test_mappings_of_files_begin_where_the_simulated_machine_puts_them(
    pages: int, offset: int, flags: int
):
    kernel = Kernel(kernel=assumed_release(platform.release()), memory_pages=4000)
    row = kernel.process()
    bits = A_READ | A_WRITE | (A_SHARED if flags == mmap.MAP_SHARED else 0)
    seen = set()
    for _ in range(MANY):
        file = kernel.machine.new_file(KIND_FILE, pages + offset, known=True, cold=True)
        what = {
            "pages": pages,
            "start": NONE,
            "map_kind": KIND_FILE,
            "file": file,
            "file_page": offset,
        }
        assert kernel.call(row, ops.OP_MMAP, map_flags=bits, **what) == DONE
        seen.add(kernel.result(row) % 512)
    there = file_places(pages, offset, flags)
    if len(seen) == 1:
        assert there == seen
    else:  # one lies against the other, wherever the first one is
        assert len(there) > 1
