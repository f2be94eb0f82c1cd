"""What a program hands to read, write, compute and sleep is looked at before it is carried out."""

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.machines import flat_prices, machine, run

from sim.base.errors import KernelPanicError, Refused
from sim.base.units import PAGE_BYTES
from sim.engine.lists import ListStore
from sim.engine.verbs.process import Process
from sim.program.patterns import Every, HotCold, Listed, Uniform

Life = Generator[Any, Any, None]
HOST = {"memory_pages": 400, "cpus": 1}


def listed(*pages: int) -> Listed:
    return Listed(np.array(pages, dtype=np.int64))


def times(*ns: int) -> Any:
    return np.array(ns, dtype=np.int64)


def ends(size: int, **how: Any) -> str:
    """Return how a process ends that writes once to a region of `size` pages."""

    def program(task: Process) -> Life:
        region = yield from task.mmap(size * PAGE_BYTES)
        guard = yield from task.mmap(PAGE_BYTES)
        yield from task.write(region, **how)
        yield from task.munmap(guard)

    return str(run({"p": program}, host=HOST, prices=flat_prices())["processes"][0]["ended"])


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"pattern": listed(5)}, "page 5 of the list is not in a region of 4 pages"),
        ({"pattern": listed(0, 3), "span": 2}, "page 3 of the list and the 1 behind it"),
        ({"pattern": listed(4), "span": 1}, "page 4 of the list"),
        ({"pattern": Uniform(3), "span": 5}, "an access spans 5 pages, in a range of 4"),
        ({"pattern": HotCold(3, 0.5, 0.5), "span": 9}, "an access spans 9 pages"),
        ({"first": -1}, "first must be >= 0, got -1"),
        ({"first": 5}, "first must be <= 4, got 5"),
        ({"first": 2, "pages": 3}, "pages must be <= 2, got 3"),
        ({"pages": -1}, "pages must be >= 0, got -1"),
        ({"span": 0}, "span must be >= 1, got 0"),
        ({"per_request": 0}, "per_request must be >= 1, got 0"),
        ({"cpu_ns": -1}, "cpu_ns must be >= 0, got -1"),
        ({"arrivals": times(5, 4, 3, 2)}, "arrivals must never decrease"),
        ({"arrivals": times(-1, 0, 1, 2)}, "arrivals must be >= 0 ns, got -1"),
        ({"arrivals": times(1, 2)}, "4 requests need as many arrivals, got 2"),
        ({"arrivals": times(1), "per_request": 3}, "2 requests need as many arrivals, got 1"),
        ({"arrivals": np.array([1.5])}, "arrivals needs a one-dimensional int64 array"),
        ({"arrivals": [1, 2, 3, 4]}, "arrivals needs an int64 array, got list"),
        ({"arrivals": Every(0, 1 << 59)}, "the last of 4 arrivals"),
        ({"arrivals": times(0, 0, 0, 1 << 61)}, "arrivals must be <="),
    ],
)
def test_a_number_out_of_range_is_refused_and_named(how: dict[str, Any], why: str) -> None:
    ended = ends(4, **how)
    assert ended.startswith("failed: EINVAL (write: "), ended
    assert why in ended


@pytest.mark.parametrize(
    ("how", "error", "what"),
    [
        ({"span": 1.5}, TypeError, "span must be a whole number"),
        ({"cpu_ns": "1 ms"}, TypeError, "cpu_ns must be a whole number"),
        ({"per_request": 1 << 70}, ValueError, "too large"),
        ({"pattern": "uniform"}, TypeError, "pattern must be one of"),
    ],
)
def test_what_no_kernel_could_be_asked_is_a_mistake(
    how: dict[str, Any], error: type[Exception], what: str
) -> None:
    with pytest.raises(error, match=what):
        ends(4, **how)


def test_a_refused_stream_leaves_nothing_behind() -> None:
    """Page numbers and arrivals are put away only once all of the stream is known to be right."""

    def program(task: Process) -> Life:
        region = yield from task.mmap(4 * PAGE_BYTES)
        for how in ({"arrivals": times(3, 2)}, {"cpu_ns": -1}, {"arrivals": times()}):
            with pytest.raises(Refused):
                yield from task.write(region, pattern=listed(1, 2), **how)
        assert len(task.system.lists) == 0

    run({"p": program}, host=HOST, prices=flat_prices())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    pages=st.integers(1, 40),
    span=st.integers(1, 12),
    count=st.integers(1, 30),
    hot=st.floats(0.01, 1.0),
    share=st.floats(0.0, 1.0),
)
def test_hot_and_cold_groups_lie_in_the_range(
    pages: int, span: int, count: int, hot: float, share: float
) -> None:
    ended = ends(pages, pattern=HotCold(count, hot, share), span=span)
    assert ended == "exit 0" if span <= pages else ended.startswith("failed: EINVAL")


def test_hot_groups_are_hot() -> None:
    """All accesses hot: of 10 pages in groups of 4 only the first group is touched."""

    def program(task: Process) -> Life:
        region = yield from task.mmap(10 * PAGE_BYTES)
        yield from task.write(region, pattern=HotCold(60, 0.1, 1.0), span=4)

    document = run({"p": program}, host=HOST, prices=flat_prices())
    assert document["metrics"]["zero_fills"] == 4


def test_lists_are_given_back_whatever_their_order() -> None:
    store = ListStore(box := machine(memory_pages=64))
    first, second, third = store.put(times(1, 2, 3)), store.put(times(4)), store.put(times(5, 6))
    lists = box.arrays.lists
    assert lists[first : first + 3].tolist() == [1, 2, 3]
    assert (lists[second], lists[third : third + 2].tolist()) == (4, [5, 6])
    store.free(first)
    assert (len(store), store.put(times(6, 7, 8, 9))) == (2, first)
    with pytest.raises(KernelPanicError, match="an empty list"):
        store.put(times())
