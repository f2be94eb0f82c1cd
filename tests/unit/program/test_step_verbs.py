"""Lists of steps can say what programs can: the same verbs, with the same words."""

import inspect

import pytest

from sim.engine.run import simulate
from sim.engine.verbs.files import FILE_ADVICE as ENGINE_FILE_ADVICE
from sim.engine.verbs.memory import ACCESS_BITS, ADVICE_BITS, ADVICE_OPS, POPULATE
from sim.program.api import Process
from sim.program.heap import Heap
from sim.program.steps import readers
from sim.program.steps.grammar import VERBS
from sim.program.steps.runner import StepsError, normal_steps
from sim.scenario.resolve import resolve

CALLED = {"pread": "read_file", "pwrite": "write_file", "madvise": "advise", "trim": "malloc_trim"}
"""Verbs of programs that steps call otherwise."""
OF_HEAPS = {"alone", "end_thread"}
"""What the library does by itself, at a fork and when a thread ends."""
OF_LISTS = {"repeat", "mark"}
"""What only a list needs; a program has `mark` too, which asks the kernel for nothing."""


def verbs_of(kind):
    """Return the names of public methods that are entered with ``yield from``."""
    return {
        CALLED.get(name, name)
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if str(inspect.signature(member).return_annotation).startswith("Verb")
        and not name.startswith("_")
    }


def test_steps_have_the_verbs_of_programs_and_of_their_heaps():
    assert set(VERBS) == verbs_of(Process) | verbs_of(Heap) - OF_HEAPS | OF_LISTS


def test_a_verb_that_steps_had_not_would_be_noticed():
    class More(Process):
        def splice(self, file: str) -> "Verb[None]":  # noqa: F821
            """Nobody wrote this one."""

    assert verbs_of(More) - set(VERBS) == {"splice"}


def test_their_words_are_those_of_the_kernel():
    assert set(readers.ADVICE) == {*ADVICE_BITS, *ADVICE_OPS, *POPULATE}
    assert set(readers.FILE_ADVICE) == set(ENGINE_FILE_ADVICE)
    assert set(readers.ACCESS) == set(ACCESS_BITS)


def ran(steps, **host):
    host = {"memory": "64 MiB", "cpus": 2, **host}
    scenario = {
        "version": 1,
        "host": host,
        "processes": {"p": {"program": "steps", "steps": steps}},
    }
    return simulate(resolve(scenario), seed=1).to_json()


A = {"mmap": {"name": "A", "size": "4 MiB"}}


@pytest.mark.parametrize(
    ("steps", "metric", "count"),
    [
        ([A, {"mlock": {"region": "A", "pages": 9}}], "zero_fills", 9),
        ([A, {"advise": {"region": "A", "advice": "populate_write"}}], "zero_fills", 1024),
        ([A, {"advise": {"region": "A", "advice": "dontfork"}}, {"write": "A"},
          {"fork": [{"compute": "1 ms"}]}, {"write": "A"}], "cow_reuses", 0),
        ([A, {"write": "A"}, {"mremap": {"region": "A", "size": "8 MiB"}}, {"write": "A"}],
         "zero_fills", 2048),
        ([A, {"mprotect": {"region": "A", "access": "r"}}, {"write": "A"}], "segfaults", 1),
        ([{"read_file": {"file": "f", "pages": 64}},
          {"fadvise": {"file": "f", "advice": "dontneed"}},
          {"mmap": {"name": "F", "size": "256 KiB", "file": "f"}},
          {"advise": {"region": "F", "advice": "random"}}, {"read": "F"}], "major_faults", 64),
        ([{"mmap": {"name": "S", "size": "64 KiB", "file": "g", "shared": True}}, {"write": "S"},
          {"msync": "S"}, {"write": "S"}], "minor_faults", 32),
    ],
)  # fmt: skip
def test_new_verbs_do_what_programs_can_do(steps, metric, count):
    assert ran(steps)["metrics"][metric] == count


@pytest.mark.parametrize("thp", ["always", "never"])
def test_a_process_can_go_without_huge_pages_and_so_do_its_children(thp):
    off = {"prctl": {"option": "thp_disable", "value": 1}}
    on = {"prctl": {"option": "thp_disable", "value": 0}}
    fill = [A, {"write": "A"}]
    child = [{"fork": fill}, "wait", {"fork": [{"exec": "true"}, *fill]}, "wait"]
    assert "huge_zero_fill" not in ran([off, *fill, *child], thp=thp)["work"]
    work = ran([off, on, *fill], thp=thp)["work"]
    assert ("huge_zero_fill" in work) == (thp == "always")


def test_a_nice_value_has_bounds():
    with pytest.raises(StepsError, match="-39 .. 39"):
        normal_steps([{"nice": 60}])


@pytest.mark.parametrize("before", [[], [{"sleep": "1 ms"}], [{"compute": "1 ms"}]])
@pytest.mark.parametrize("others", [1, 3])
@pytest.mark.parametrize(
    ("increment", "share"), [(5, 335), (0, 1024), (-5, 3121), (19, 15), (-20, 88761)]
)
def test_a_process_that_is_nicer_gets_less_of_its_cpu(increment, share, others, before):
    """Under EEVDF by weight: 1024 for nice 0, 335 for 5; whether it sleeps then or computes."""
    nicer = [*before, {"nice": increment}, {"compute": "5 s"}]
    processes = {
        "nicer": {"program": "steps", "steps": nicer},
        "other": {"program": "steps", "copies": others, "steps": [{"compute": "5 s"}]},
    }
    scenario = {
        "version": 1,
        "host": {"memory": "64 MiB", "cpus": 1},
        "policy": {"scheduler": {"kind": "eevdf"}},
        "processes": processes,
        "run": {"horizon": "4 s"},
    }
    rows = simulate(resolve(scenario), seed=1).to_json()["processes"]
    whole_ns = sum(row["cpu_ns"] for row in rows)
    (nicers_ns,) = (row["cpu_ns"] for row in rows if row["name"] == "nicer")
    assert nicers_ns / whole_ns == pytest.approx(share / (share + 1024 * others), abs=0.01)


POSTMASTER = [
    {"mmap": {"name": "buffers", "size": "16 MiB", "shared": True}},
    {"write": "buffers"},
    {"repeat": {"times": 4, "steps": [{"fork": {"steps": [
        {"oom_score_adj": 0},
        {"mmap": {"name": "work", "size": "20 MiB"}}, {"write": "work"}, {"sleep": "1 s"},
    ]}}]}},
    {"sleep": "5 s"},
]  # fmt: skip


def ends_of(steps):
    scenario = {
        "version": 1,
        "host": {"memory": "64 MiB", "cpus": 2},
        "processes": {"postmaster": {"program": "steps", "oom_score_adj": -1000, "steps": steps}},
    }
    document = simulate(resolve(scenario), seed=1).to_json()
    return document["ending"], {p["name"]: p["ended"] for p in document["processes"]}


def test_children_that_go_back_to_zero_are_killed_and_their_postmaster_is_not():
    ending, ends = ends_of(POSTMASTER)
    assert ending == "idle"
    assert ends.pop("postmaster") == "exit 0"
    assert sorted(ends.values()) == ["exit 0", "exit 0", "oom-killed", "oom-killed"]


def test_children_that_keep_what_they_inherit_cannot_be_killed():
    """Negative control: as it was before there was the step."""
    fork = POSTMASTER[2]["repeat"]["steps"][0]["fork"]["steps"]
    keep = [*POSTMASTER[:2], {"repeat": {"times": 4, "steps": [{"fork": fork[1:]}]}}]
    _, ends = ends_of(keep)
    assert "oom-killed" not in ends.values()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"oom_score_adj": 1001}, "must be a whole number in -1000 .. 1000, got 1001"),
        ({"prctl": {"option": "name", "value": 1}}, "unknown option 'name'; there are"),
        ({"mprotect": {"region": "A", "access": "rwx"}}, "unknown access 'rwx'"),
        ({"mremap": {"region": "B", "size": "4 KiB"}}, "unknown region 'B'"),
        ({"fadvise": {"file": "f", "advice": "collapse"}}, "unknown advice about a file"),
    ],
)
def test_what_is_wrong_is_said(step, message):
    with pytest.raises(StepsError, match=message):
        normal_steps([A, step])


def test_advice_about_a_file_that_nobody_knows_is_refused():
    document = ran([{"fadvise": {"file": "nobody", "advice": "willneed"}}])
    assert document["processes"][0]["ended"].startswith("failed: EINVAL")


def test_a_child_has_what_its_parent_had_at_the_fork():
    """The parent goes on first, on the only CPU, and frees the block."""
    child = [{"realloc": {"block": "B", "size": "40 KiB"}}, {"write": "R"}]
    told = [
        {"malloc": {"name": "B", "size": "5000 B"}},
        {"mmap": {"name": "R", "size": "9 pages"}},
        {"fork": {"name": "c", "steps": child}},
        {"free": "B"},
        {"munmap": "R"},
        {"wait": "c"},
    ]
    document = simulate(
        resolve(
            {
                "version": 1,
                "host": {"memory": "16 MiB", "kernel_reserve": "1 MiB", "cpus": 1},
                "processes": {"p": {"program": "steps", "steps": told}},
            }
        ),
        seed=1,
    ).document
    assert [process["ended"] for process in document["processes"]] == ["exit 0", "exit 0"]
