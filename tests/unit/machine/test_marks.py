"""What compiled code is told of the machine's addresses holds: see `sim.machine.native`."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numba.core import types

from sim.base.jit import compiled
from sim.engine.build import build_machine
from sim.machine.layout import COLUMNS, Arrays
from sim.machine.native import ARRAYS
from sim.machine.spec import HostSpec


@compiled
def write_twice(m: Arrays, first: int, second: int) -> int:
    """Return what is in one frame, and in an array, after two writes to what may be the same."""
    m.frames[first].refs = 1
    m.frames[second].refs = 2
    m.receipt[first, 0] = 10
    m.receipt[second, 0] = 20
    return int(m.frames[first].refs + m.receipt[first, 0])


@compiled
def changed(m: Arrays, pfn: int) -> None:
    """Read a field, and write it."""
    m.frames[pfn].refs += 1


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return build_machine(HostSpec(memory_pages=2000)).arrays


def test_a_write_through_another_index_is_seen(arrays: Arrays) -> None:
    assert write_twice(arrays, 5, 5) == 2 + 20
    assert write_twice(arrays, 5, 6) == 1 + 10


def test_no_two_arrays_and_no_two_fields_lie_in_the_same_place(arrays: Arrays) -> None:
    places = []
    for name, (dtype, _) in COLUMNS.items():
        array: Any = np.asarray(getattr(arrays, name))
        places.append((array.ctypes.data, array.ctypes.data + array.nbytes))
        fields = sorted((o, o + kind.itemsize) for kind, o in (dtype.fields or {}).values())
        assert all(before[1] <= after[0] for before, after in pairwise(fields)), name
    places.append((arrays.address, arrays.address + 16 * len(COLUMNS)))
    assert all(before[1] <= after[0] for before, after in pairwise(sorted(places)))


@pytest.mark.skipif(not hasattr(changed, "lower"), reason="nothing is compiled")
def test_reads_and_writes_say_what_they_are_of() -> None:
    code = str(changed.lower((ARRAYS, types.int64)).library._final_module)
    marked = [line for line in code.splitlines() if "!tbaa" in line]
    assert sum(" load i32" in line for line in marked) == 1
    assert sum(" store i32" in line for line in marked) == 1
    assert '!"frames.refs"' in code
    assert '!"operations.at"' not in code  # negative control
