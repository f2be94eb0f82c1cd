"""Where mmap puts large anonymous mappings, on the running kernel."""

import ctypes
import mmap
import platform
import sys

import pytest

from sim.host.conditions import THP_FOLDER, assumed_release
from sim.machine.rules import R_ALIGN_LARGE, R_ALIGN_WHOLE, rules_of

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

MIB = 1 << 20
MANY = 8


def places(size: int) -> list[int]:
    """Map `size` bytes some times; return where, in bytes behind a 2 MiB boundary."""
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    held = [mmap.mmap(-1, size, flags=private) for _ in range(MANY)]
    views = [ctypes.c_char.from_buffer(memory) for memory in held]
    return [ctypes.addressof(view) % (2 * MIB) for view in views]


@pytest.mark.skipif(sys.platform != "linux", reason="unchecked: this is not Linux")
@pytest.mark.skipif(not THP_FOLDER.exists(), reason="unchecked: a kernel without huge pages")
def test_large_mappings_begin_at_2_mib_as_the_rules_say():
    rules = rules_of(assumed_release(platform.release()))
    aligned = bool(rules & R_ALIGN_LARGE)
    assert (set(places(4 * MIB)) == {0}) == aligned
    assert set(places(MIB)) != {0}
    # one page more than a multiple; mappings lie against each other, so hardly any is aligned
    assert (set(places(4 * MIB + mmap.PAGESIZE)) == {0}) == (aligned and not rules & R_ALIGN_WHOLE)
