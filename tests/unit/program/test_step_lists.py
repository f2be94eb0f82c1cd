import json

import pytest

from sim.base.errors import ScenarioError
from sim.base.units import KIB, MS, in_base_units
from sim.program.api import Image
from sim.program.patterns import Every, HotCold, Listed, Uniform
from sim.program.steps.grammar import VERBS, normal_image
from sim.program.steps.meant import said_image
from sim.program.steps.runner import StepsError, check_steps, normal_steps, steps
from sim.program.steps.words import ELSEWHERE

A = {"mmap": {"name": "A", "size": "8 KiB"}}
MALLOC = {"malloc": {"name": "b", "size": "1000 B"}}

EVERYTHING = [
    {"mmap": {"name": "A", "size": "64 KiB"}},
    {"write": "A"},
    {"read": {"region": "A", "pattern": {"uniform": 10}, "arrivals": {"poisson": "100/s"}}},
    {"read": {"region": "A", "first": 2, "pages": 4, "cpu": "5 us", "drop": True}},
    {"write": {"region": "A", "pattern": {"listed": [3, 0, 15]}, "arrivals": {"every": "1 ms"}}},
    {
        "write": {
            "region": "A",
            "pattern": {"hot_cold": {"count": 4, "hot_fraction": 0.5, "hot_share": 1}},
            "per_request": 2,
            "arrivals": {"at": ["0 ns", "2 ms"]},
        }
    },
    {"dontneed": {"region": "A", "pages": 2}},
    {"munmap": {"region": "A", "first": 8}},
    {"fork": {"name": "child", "steps": [{"write": {"region": "A", "pages": 3}}, "exit"]}},
    {"fork": [{"exec": {"text": "1 MiB"}}, {"sleep": "1 ms"}]},
    {"vfork": {"steps": [{"exit": 3}]}},
    {"posix_spawn": {"image": {"bss": "64 KiB"}, "steps": [{"compute": "1 ms"}]}},
    {"wait": "child"},
    {"wait": {}},
    "wait",
    {"sbrk": {"grow": "1 MiB", "name": "H"}},
    {"write": "H"},
    {"sbrk": {"shrink": "1 MiB"}},
    {"repeat": {"times": 3, "steps": [{"compute": "5 ms"}]}},
    {"mark": "half-way"},
    {"sleep_until": "1 s"},
    {"exit": 3},
]


PROGRAMS = [
    {"posix_spawn": {"program": "sh", "steps": []}},
    {"posix_spawn": {"image": "ls"}},
    {"fork": [{"exec": "true"}]},
    {"fork": [{"exec": {"text": "1 MiB", "touched": 0.5, "file": "mine"}}]},
]


def test_every_verb_has_a_normal_form_that_is_itself_a_list_of_steps():
    programs = normal_steps(PROGRAMS)
    assert normal_steps(in_base_units(json.loads(json.dumps(programs)))) == programs
    normal = normal_steps(EVERYTHING)
    assert normal_steps(in_base_units(json.loads(json.dumps(normal)))) == normal
    assert normal[1] == {
        "write": {
            "region": "A",
            "first": 0,
            "pages": 16,
            "pattern": "sequential",
            "span": 1,
            "per_request": 1,
            "cpu": 0,
            "drop": False,
        }
    }
    assert normal[9]["fork"]["steps"][1] == {"sleep": {"time": MS}}


@pytest.mark.parametrize(
    ("wrong", "path", "message"),
    [
        (5, (), "steps are a list, got 5"),
        ("write", (), "steps are a list"),
        ([5], (0,), "step 1: a step is one verb, such as `compute: 5 ms`; got 5"),
        ([None], (0,), "got nothing"),
        ([{"read": "A", "write": "A"}], (0,), "got a mapping of 2 keys"),
        ([{"wirte": "A"}], (0, "wirte"), "unknown verb 'wirte'; did you mean 'write'"),
        ([{1: 2}], (0, "1"), "unknown verb '1'; there are: advise, calloc, compute"),
        ([{"write": "A"}], (0, "write"), "unknown region 'A'; there are: none"),
        ([A, {"write": "B"}], (1, "write"), "step 2, write: unknown region 'B'; there are: A"),
        ([{"mmap": {"name": "A"}}], (0, "mmap"), "needs `size`"),
        (
            [{"mmap": 5}],
            (0, "mmap"),
            "takes `name`, `size`, `file`, `shared`, `cold`, `hugetlb`, `noreserve`, got 5",
        ),
        ([{"mmap": {"name": "A", "size": 0}}], (0, "mmap", "size"), "must be at least 1"),
        ([{"mmap": {"name": "A", "size": "1 QiB"}}], (0, "mmap", "size"), "unknown unit 'QiB'"),
        ([{"mmap": {"name": "A b", "size": "1 B"}}], (0, "mmap", "name"), "a name is letters"),
        ([{"mmap": {"nam": "A", "size": "1 B"}}], (0, "mmap", "nam"), "did you mean 'name'"),
        ([A, {"read": {"region": "A", "first": 3}}], (1, "read", "first"), "has 2 pages, not 3"),
        (
            [A, {"read": {"region": "A", "first": 1, "pages": 2}}],
            (1, "read", "pages"),
            "region 'A' has 1 pages from 1 on",
        ),
        (
            [A, {"fork": {"steps": ["exec", {"read": "A"}]}}],
            (1, "fork", "steps", 1, "read"),
            "step 2, fork.steps, step 2, read: unknown region 'A'",
        ),
        ([A, {"posix_spawn": {"steps": [{"read": "A"}]}}], None, "unknown region"),
        ([{"exec": "lss"}], (0, "exec"), "unknown program 'lss'; did you mean 'ls'"),
        ([{"exec": {"program": 5}}], (0, "exec", "program"), "unknown program '5'"),
        (
            [{"exec": {"program": "ls", "text": "1 B", "touched": 1}}],
            (0, "exec"),
            "`program` says it all; leave out `text`, `touched`",
        ),
        ([{"exec": {"touched": 2}}], (0, "exec", "touched"), "must be a number in 0 .. 1, got 2"),
        ([{"exec": {"file": ""}}], (0, "exec", "file"), "a file has a name"),
        ([{"posix_spawn": {"image": 5}}], (0, "posix_spawn", "image"), "unknown program '5'"),
        (
            [{"posix_spawn": {"image": "ls", "program": "ls"}}],
            (0, "posix_spawn"),
            "takes `program`, a name, or `image`, sizes; not both",
        ),
        ([{"wait": "kid"}], (0, "wait"), "unknown child 'kid'; there are: none"),
        ([{"fork": {"name": "kid", "steps": [{"wait": "kid"}]}}], None, "unknown child"),
        ([{"compute": -1}], (0, "compute"), "-1 is negative"),
        ([{"compute": True}], (0, "compute"), "True is not a quantity"),
        ([{"compute": {}}], (0, "compute"), "needs `cpu`"),
        ([{"exit": 300}], (0, "exit"), "must be a whole number in 0 .. 255, got 300"),
        ([{"sbrk": {}}], (0, "sbrk"), "needs either `grow` or `shrink`"),
        ([{"sbrk": {"grow": "1 B", "shrink": "1 B"}}], (0, "sbrk"), "needs either"),
        ([{"sbrk": {"shrink": "1 B", "name": "H"}}], (0, "sbrk", "name"), "only a heap that grows"),
        (
            [MALLOC, {"repeat": {"times": 2, "steps": [{"free": "b"}]}}],
            (1, "repeat", "steps", 0, "free", "block"),
            "unknown block 'b'; there are: none; in the second round",
        ),
        (
            [A, {"repeat": {"times": 2, "steps": [{"write": "A"}, {"exec": "sh"}]}}],
            (1, "repeat", "steps", 0, "write", "region"),
            "in the second round",
        ),
        (
            [{"repeat": {"times": 0, "steps": [A]}}, {"write": "A"}],
            (1, "write"),
            "unknown region 'A'",
        ),
        ([{"repeat": {"times": 1, "steps": {}}}], (0, "repeat", "steps"), "steps are a list"),
        ([{"repeat": {"times": -1, "steps": []}}], (0, "repeat", "times"), "whole number"),
        ([A, {"read": {"region": "A", "drop": 1}}], (1, "read", "drop"), "true or false"),
        (
            [A, {"read": {"region": "A", "pattern": {"unform": 3}}}],
            (1, "read", "pattern", "unform"),
            "unknown pattern 'unform'; did you mean 'uniform'",
        ),
        ([A, {"read": {"region": "A", "pattern": "all"}}], None, "must be `sequential`"),
        (
            [A, {"read": {"region": "A", "pattern": {"listed": [0, 2]}}}],
            (1, "read", "pattern", "listed"),
            "no page 2, only 2",
        ),
        (
            [
                A,
                {
                    "read": {
                        "region": "A",
                        "pattern": {"hot_cold": {"count": 1, "hot_fraction": 0, "hot_share": 0.5}},
                    }
                },
            ],
            (1, "read", "pattern", "hot_cold", "hot_fraction"),
            "must be more than 0",
        ),
        (
            [A, {"read": {"region": "A", "arrivals": {"at": ["1 ms"]}}}],
            (1, "read", "arrivals", "at"),
            "needs a time for each of 2, got 1",
        ),
        (
            [A, {"read": {"region": "A", "arrivals": {"at": ["2 ns", "1 ns"]}}}],
            None,
            "must not decrease",
        ),
        ([A, {"read": {"region": "A", "arrivals": {"poisson": 0}}}], None, "more than 0/s"),
        ([A, {"read": {"region": "A", "arrivals": {"often": 1}}}], None, "kind of arrivals"),
        ([A, {"read": {"region": "A", "arrivals": "1 ms"}}], None, "must be `{every: DURATION}`"),
        ([A, {"read": {"region": "A", "per_request": 3}}], None, "must divide the number"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(wrong, path, message):
    with pytest.raises(StepsError) as refused:
        check_steps(wrong)
    assert message in str(refused.value)
    assert isinstance(refused.value, ValueError)
    if path is not None:
        assert refused.value.args[0] == path


@pytest.mark.parametrize(("word", "verb"), [("touch", "write"), ("spawn", "posix_spawn")])
def test_verbs_that_others_have_lead_to_ours(word, verb):
    with pytest.raises(StepsError, match=f"unknown verb '{word}'; write `{verb}`"):
        check_steps([{word: "A"}])


def test_no_verb_of_ours_is_hidden_and_every_one_that_is_meant_exists():
    assert not ELSEWHERE.keys() & VERBS.keys()
    assert {verb for said in ELSEWHERE.values() for verb in said.split(", or ")} <= VERBS.keys()


def test_steps_may_not_lie_in_one_another_without_end():
    deep = []
    for _ in range(100):
        deep = [{"fork": {"steps": deep}}]
    with pytest.raises(StepsError, match="at most 40 lists deep"):
        check_steps(deep)


def test_a_range_in_pages_may_be_a_number_of_bytes_in_words():
    assert normal_steps([{"mmap": {"name": "A", "size": "3 pages"}}])[0]["mmap"]["size"] == 12 * KIB


def test_steps_become_verbs(fake_process):
    parent = fake_process().run(steps, steps=EVERYTHING)
    assert [call[0] for call in parent.calls] == [
        *("mmap", "write", "read", "read", "write", "write", "dontneed", "munmap"),
        *("fork", "fork", "vfork", "posix_spawn", "wait", "wait", "wait", "sbrk", "write"),
        *("sbrk", "compute", "compute", "compute", "sleep_until", "exit"),
    ]
    accesses = [call[2] for call in parent.said("read", "write")]
    assert accesses[1]["pattern"] == Uniform(10)
    assert accesses[1]["arrivals"].size == 10
    assert (accesses[2]["first"], accesses[2]["pages"], accesses[2]["cpu_ns"]) == (2, 4, 5000)
    assert accesses[2]["drop"]
    assert isinstance(accesses[3]["pattern"], Listed)
    assert isinstance(accesses[3]["arrivals"], Every)
    assert accesses[4]["pattern"] == HotCold(4, 0.5, 1.0)
    start_ns = accesses[3]["arrivals"].first_ns + 2 * MS
    assert accesses[4]["arrivals"].tolist() == [start_ns, start_ns + 2 * MS]
    assert parent.status == 3
    assert [child.name for child in parent.children] == ["P/child", "P/2", "P/3", "P/4"]
    assert parent.children[0].calls[0][1] == parent.calls[1][1]
    assert parent.children[2].status == 3
    assert parent.marks[0][1] == "half-way"


def test_a_child_started_again_has_a_name_of_its_own(fake_process):
    again = [
        {"repeat": {"times": 2, "steps": [{"fork": {"name": "kid", "steps": []}}, {"wait": "kid"}]}}
    ]
    parent = fake_process().run(steps, steps=again)
    assert [child.name for child in parent.children] == ["P/kid", "P/kid.2"]


def test_a_plain_error_has_a_plain_message():
    assert not issubclass(StepsError, ScenarioError)
    assert str(StepsError((), "steps are a list")) == "steps: steps are a list"


@pytest.mark.parametrize("said", [True, "true", {"program": True}, {"program": "true"}])
def test_yaml_takes_an_unquoted_true_for_a_truth_value(said):
    """The program of that name is meant."""
    assert normal_image(said) == said_image(normal_image(said)) == "true"


def test_an_image_that_is_not_named_is_described():
    nothing = {"text": 0, "data": 0, "bss": 0, "stack": 0, "touched": 1.0}
    assert normal_image({}) == nothing
    assert normal_steps(["exec"]) == [{"exec": nothing}]
    spawned = normal_steps([{"posix_spawn": {"program": "sh"}}, "posix_spawn"])
    assert [step["posix_spawn"]["image"] for step in spawned] == [{"program": "sh"}, nothing]
    assert said_image({**nothing, "text": 5, "file": "mine"}) == Image(5, 0, 0, 0, file="mine")


def test_a_round_may_take_away_what_it_made() -> None:
    normal_steps([{"repeat": {"times": 2, "steps": [MALLOC, {"free": "b"}]}}])
    normal_steps([MALLOC, {"repeat": {"times": 1, "steps": [{"free": "b"}]}}])
    deep = [{"exec": "sh"}]
    for _ in range(39):
        deep = [A, {"repeat": {"times": 2, "steps": deep}}]
    normal_steps(deep)  # each list is read twice at most, not once a round
