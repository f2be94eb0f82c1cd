"""malloc and free in a list of steps."""

import pytest

from sim.base.units import in_base_units
from sim.program.steps.grammar import normal_steps
from sim.program.steps.runner import StepsError

A = {"malloc": {"name": "a", "size": "100 KiB"}}


def test_a_block_is_a_region_of_the_pages_it_may_lie_in():
    normal = normal_steps([A, {"write": "a"}, {"free": "a"}])
    assert normal[0] == {"malloc": {"name": "a", "size": 102400}}
    assert normal[1]["write"]["pages"] == 26
    assert normal[2] == {"free": {"block": "a"}}
    assert normal_steps(in_base_units(normal)) == normal


@pytest.mark.parametrize(
    "steps",
    [
        [A, {"fork": [{"free": "a"}]}, {"free": "a"}],
        [A, {"realloc": {"block": "a", "size": "1 MiB"}}, {"write": {"region": "a", "pages": 250}}],
        [{"repeat": {"times": 3, "steps": [A, {"write": "a"}, {"free": "a"}, "malloc_trim"]}}],
        [A, {"exec": {}}, {"sbrk": {"grow": "4 KiB"}}],
        [
            {"calloc": {"name": "a", "size": "1 B"}},
            {"mmap": {"name": "a", "size": "1 B"}},
            {"munmap": "a"},
        ],
    ],
)
def test_what_may_be_said(steps):
    normal_steps(steps)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"free": "a"}], "unknown block 'a'"),
        ([A, {"free": "a"}, {"write": "a"}], "unknown region 'a'"),
        ([A, {"free": "a"}, {"free": "a"}], "unknown block 'a'"),
        ([A, {"munmap": "a"}], "block 'a' is malloc's; it can be read, written and freed"),
        ([{"malloc": {"name": "a"}}], "needs `size`"),
        ([{"malloc": {"name": "a", "size": 0}}], "must be at least 1"),
        ([A, {"write": {"region": "a", "pages": 27}}], "has 26 pages from 0 on"),
        ([A, {"sbrk": {"grow": "4 KiB"}}], "either `sbrk` or malloc"),
        ([{"sbrk": {"grow": "4 KiB"}}, A], "either `sbrk` or malloc"),
        ([{"thread": [A]}], "malloc is not simulated in threads"),
        ([A, {"exec": {}}, {"free": "a"}], "unknown block 'a'"),
    ],
)
def test_what_is_wrong_is_said(steps, message):
    with pytest.raises(StepsError, match=message):
        normal_steps(steps)
