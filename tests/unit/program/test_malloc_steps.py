"""malloc and free in a list of steps."""

import pytest

from sim.base.errors import ScenarioError
from sim.base.units import in_base_units
from sim.engine.run import simulate
from sim.program.steps.grammar import normal_steps
from sim.program.steps.runner import StepsError
from sim.scenario.resolve import resolve

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
        ([{"thread": [A]}, {"sbrk": {"grow": "4 KiB"}}], "either `sbrk` or malloc"),
        ([{"sbrk": {"grow": "4 KiB"}}, {"thread": [A]}], "either `sbrk` or malloc"),
        ([{"thread": [A]}, {"free": "a"}], "unknown block 'a'"),
        ([A, {"exec": {}}, {"free": "a"}], "unknown block 'a'"),
    ],
)
def test_what_is_wrong_is_said(steps, message):
    with pytest.raises(StepsError, match=message):
        normal_steps(steps)


def ran(steps, **keys):
    process = {"program": "steps", "steps": steps, **keys}
    scenario = {
        "version": 1,
        "host": {"memory": "256 MiB", "cpus": 2, "overcommit": 1},
        "processes": {"p": process},
    }
    document = simulate(resolve(scenario), seed=1, check=True).to_json()
    assert document["ending"] == "idle"
    return document["processes"][0]


POOL = [
    {"repeat": {"times": 6, "steps": [
        {"malloc": {"name": "x", "size": "100000 B"}}, {"write": "x"},
        {"malloc": {"name": "y", "size": "500 B"}}, {"free": "x"}, {"free": "y"},
    ]}},
    {"malloc": {"name": "kept", "size": "100000 B"}}, {"write": "kept"},
]  # fmt: skip


def test_threads_of_a_pool_allocate():
    """Each names its blocks alike; no one frees another's."""
    found = ran([{"thread": {"name": f"t{n}", "steps": POOL}} for n in range(9)] + [
        {"join": f"t{n}"} for n in range(9)])  # fmt: skip
    assert found["ended"] == "exit 0"
    assert found["peak_rss_bytes"] > 9 * 100_000


def test_arenas_can_be_limited_and_then_less_is_kept():
    threads = [{"thread": [*POOL, {"free": "kept"}, {"sleep": "1 s"}]} for _ in range(8)]
    own, two = (
        ran([*threads, {"sleep": "500 ms"}], malloc_arena_max=most)["unique_bytes"]
        for most in (0, 2)
    )
    assert own > 2 * two


def test_jemalloc_is_not_simulated_in_threads():
    inner = {"fork": [{"thread": [{"repeat": {"times": 2, "steps": [A, {"free": "a"}]}}]}]}
    with pytest.raises(ScenarioError, match="in threads only glibc's malloc is simulated"):
        ran([inner], malloc="jemalloc")
    thread = {"thread": {"name": "t", "steps": [{"write": "a"}, {"fork": [A]}, "wait"]}}
    assert ran([A, thread, {"join": "t"}], malloc="jemalloc")["ended"] == "exit 0"


def test_only_glibc_has_a_limit_of_arenas():
    with pytest.raises(ScenarioError, match="`malloc_arena_max` is glibc's"):
        ran([], malloc="jemalloc", malloc_arena_max=2)


def test_a_thread_forks_with_its_own_arena():
    child = {"fork": [A, {"write": "a"}, {"free": "a"}]}
    found = ran([{"thread": {"name": "t", "steps": [*POOL, child, "wait"]}}, *POOL, {"join": "t"}])
    assert found["ended"] == "exit 0"


def test_a_lock_is_given_to_who_has_waited_longest():
    turn = [{"lock": "l"}, {"compute": "1 ms"}, {"mark": "has-it"}, {"unlock": "l"}]
    scenario = {
        "version": 1,
        "host": {"memory": "64 MiB", "cpus": 8},
        "processes": {"p": {"program": "steps", "steps": [
            {"thread": {"name": f"t{n}", "steps": turn}} for n in range(5)
        ] + [{"join": f"t{n}"} for n in range(5)]}},
    }  # fmt: skip
    document = simulate(resolve(scenario), seed=1).to_json()
    marks = [mark for mark in document["marks"] if mark["kind"] == "has-it"]
    assert [mark["name"] for mark in marks] == [f"p/t{n}" for n in range(5)]
    assert document["simulated_ns"] > 5e6


def test_a_lock_that_nobody_gives_back_is_a_deadlock():
    steps = [{"lock": "l"}, {"thread": {"name": "t", "steps": [{"lock": "l"}]}}, {"join": "t"}]
    scenario = {"version": 1, "processes": {"p": {"program": "steps", "steps": steps}}}
    document = simulate(resolve(scenario), seed=1).to_json()
    assert document["ending"] == "deadlock"


def test_a_lock_of_another_cannot_be_given_back():
    assert ran([{"unlock": "l"}])["ended"].startswith("failed: EINVAL")
