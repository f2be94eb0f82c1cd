"""Whom a group's limit kills, what is counted and logged, and what the run says of it."""

from __future__ import annotations

from typing import Any

import pytest

from sim.cli.groups import lines_of_kills
from sim.engine.run import simulate
from sim.scenario.resolve import resolve

MIB = 2**20
WRITES = [{"mmap": {"name": "A", "size": "SIZE"}}, {"write": "A"}, {"sleep": "20 ms"}]


def process(mib: int, group: str | None = "pod", **more: Any) -> dict[str, Any]:
    steps = [{"mmap": {"name": "A", "size": mib * MIB}}, {"write": "A"}, {"sleep": 20_000_000}]
    return {"program": "steps", "steps": steps, **more} | ({"group": group} if group else {})


def run(
    processes: dict[str, Any], groups: dict[str, Any], *, check: bool = True, **host: Any
) -> dict[str, Any]:
    data = {
        "version": 1,
        "host": {"memory": 256 * MIB, "cpus": 2, "kernel": "6.18", **host},
        "groups": groups,
        "processes": processes,
    }
    return simulate(resolve(data), seed=1, check=check).document


def killed(document: dict[str, Any]) -> list[str]:
    return [p["name"] for p in document["processes"] if p["ended"] == "oom-killed"]


def test_alone_in_a_full_group_a_process_is_killed_at_the_limit() -> None:
    """Counts of events are those of the running kernel (v1: 36, v2: 35)."""
    document = run({"a": process(80)}, {"pod": {"memory_max": 64 * MIB}})
    pod = document["groups"]["pod"]
    assert killed(document) == ["a"]
    assert pod["peak_bytes"] == pod["max_bytes"] == 64 * MIB
    assert pod["events"] == {
        "low": 0, "high": 0, "max": 35, "oom": 1, "oom_kill": 1, "oom_group_kill": 0, "failcnt": 36,
        "swap_max": 0, "swap_fail": 0,
    }  # fmt: skip
    (kill,) = document["kills"]
    assert (kill["process"], kill["group"], kill["limit_of"]) == ("a", "pod", "pod")
    assert kill["limit_bytes"] == kill["usage_bytes"] == 64 * MIB
    assert kill["anon_rss_bytes"] < 64 * MIB < kill["total_vm_bytes"]
    assert document["metrics"]["first_oom_ns"] == kill["t_ns"] > 0
    (found,) = (f for f in document["validity"] if f["code"] == "killed")
    assert found["what"] == "killed because group pod was at its limit, 64 MiB"


def test_the_largest_in_the_group_is_killed_and_not_a_larger_one_outside() -> None:
    document = run(
        {"outside": process(90, None), "large": process(30), "small": process(40, start=1_000_000)},
        {"pod": {"memory_max": 64 * MIB}},
    )
    assert len(killed(document)) == 1
    assert killed(document)[0] in ("large", "small")
    assert document["groups"]["pod"]["events"]["oom_kill"] == 1


def test_a_limit_above_reaches_all_groups_in_it() -> None:
    document = run(
        {"first": process(50, "one"), "second": process(20, "two", start=30_000_000)},
        {"all": {"memory_max": 64 * MIB}, "one": {"parent": "all"}, "two": {"parent": "all"}},
    )
    assert killed(document) == []  # the first has ended by then
    document = run(
        {"first": process(50, "one"), "second": process(20, "two", start=5_000_000)},
        {"all": {"memory_max": 64 * MIB}, "one": {"parent": "all"}, "two": {"parent": "all"}},
    )
    assert killed(document) == ["first"]  # the victim may sit in the sibling of who asks
    assert document["kills"][0]["limit_of"] == "all"
    assert document["groups"]["one"]["events"]["oom_kill"] == 1
    assert document["groups"]["two"]["events"]["oom_kill"] == 0
    assert document["groups"]["all"]["events"]["oom_kill"] == 1


@pytest.mark.parametrize("at", ["outer", "inner"])
@pytest.mark.parametrize(("version", "above"), [("v2", 1), ("v1", 0)])
def test_version_1_counts_a_kill_in_the_group_of_its_victim_alone(
    version: str, above: int, at: str
) -> None:
    groups: dict[str, dict[str, Any]] = {"outer": {}, "inner": {"parent": "outer"}}
    groups[at]["memory_max"] = 8 * MIB
    told = run({"a": process(20, "inner")}, groups, cgroup=version)["groups"]
    assert told["inner"]["events"]["oom_kill"] == 1
    assert told["outer"]["events"]["oom_kill"] == above
    assert told["inner"]["events"]["max" if at == "inner" else "failcnt"] == (35 * (at == "inner"))
    assert told[at]["events"]["failcnt"] > 0


@pytest.mark.parametrize(("together", "dead", "counted"), [(True, 3, 4), (False, 1, 1)])
def test_one_or_all(together: bool, dead: int, counted: int) -> None:
    """With oom_group all die, and the kernel counts the victim twice; -1000 is spared."""
    document = run(
        {
            **{f"w{n}": process(25) for n in range(3)},
            "kept": process(1, oom_score_adj=-1000),
        },
        {"pod": {"memory_max": 64 * MIB, "oom_group": together}},
    )
    events = document["groups"]["pod"]["events"]
    assert len(killed(document)) == len(document["kills"]) == dead
    assert (events["oom_kill"], events["oom_group_kill"]) == (counted, int(together))
    assert "kept" not in killed(document)


def test_oom_group_acts_when_the_machine_is_short_too() -> None:
    document = run(
        {"a": process(60), "b": process(60), "c": process(150, None)},
        {"pod": {"oom_group": True}},
        overcommit={"mode": 1},
    )
    assert document["kills"][0]["limit_of"] is None
    dead = set(killed(document))
    assert {"a", "b"} <= dead or dead == {"c"}


def test_a_group_in_which_nobody_may_be_killed_waits_and_says_so() -> None:
    document = run({"a": process(80, oom_score_adj=-1000)}, {"pod": {"memory_max": 64 * MIB}})
    assert document["ending"] == "deadlock"
    assert "its control group is full, and no process in it may be killed" in document["deadlock"]


def test_a_huge_page_that_does_not_fit_the_limit_is_done_without() -> None:
    steps: list[Any] = [{"mmap": {"name": "A", "size": 8 * MIB}}]
    steps += [{"write": {"region": "A", "first": 512 * n, "pages": 1}} for n in range(4)]
    process = {"program": "steps", "group": "pod", "steps": steps}
    document = run({"a": process}, {"pod": {"memory_max": 7 * MIB}}, thp="always")
    assert killed(document) == []
    assert 6 * MIB < document["processes"][0]["peak_rss_bytes"] < 6.5 * MIB


def test_children_are_charged_to_the_group_of_their_parent() -> None:
    steps = [
        {"mmap": {"name": "A", "size": 20 * MIB}}, {"write": "A"},
        {"fork": {"steps": [{"write": "A"}]}}, {"wait": {}},
    ]  # fmt: skip
    document = run({"a": {"program": "steps", "group": "pod", "steps": steps}}, {"pod": {}})
    assert 40 * MIB < document["groups"]["pod"]["peak_bytes"] < 41 * MIB


@pytest.mark.parametrize("burst", [1, 7, 0])
def test_bursts_of_any_length_kill_alike(burst: int) -> None:
    data = {
        "version": 1,
        "host": {"memory": 256 * MIB, "cpus": 2},
        "groups": {"all": {"memory_max": 40 * MIB}, "one": {"parent": "all", "oom_group": True}},
        "processes": {"a": process(15, "one", copies=3), "b": process(20, "all")},
    }
    whole = simulate(resolve(data), seed=1, burst=0).document
    assert simulate(resolve(data), seed=1, burst=burst).document == whole


def held(pages: int, *more: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"mmap": {"name": "A", "size": f"{pages} pages"}}, {"write": "A"}, *more]


def test_a_group_full_of_dirty_pages_has_them_written_and_goes_on() -> None:
    """The step that is refused asks for the flusher, and no other step comes after it."""
    steps = [
        {"mmap": {"name": "F", "file": "f", "size": "300 pages", "shared": True, "cold": True}},
        {"write_file": {"file": "f", "pages": 150}},
        *held(180),
    ]
    process = {"program": "steps", "group": "pod", "steps": steps}
    document = run({"a": process}, {"pod": {"memory_max": MIB}}, cgroup="v1")
    assert document["ending"] == "idle"
    assert killed(document) == []
    assert document["disk"]["pages_written"] > 0


@pytest.mark.parametrize("bandwidth", ["10 MB/s", "2 GB/s"])
def test_who_waits_for_writeback_does_not_look_at_all_of_it_again(bandwidth: str) -> None:
    """A writer of four times the limit, beside half of it: as slow as its disk, not busier."""
    steps = [*held(1024), {"write_file": {"file": "f", "pages": 8192}}]
    host = {"memory": 256 * MIB, "cpus": 2, "disk": {"latency": "1 ms", "bandwidth": bandwidth}}
    metrics = {}
    for version in ("v1", "v2"):
        data = {
            "version": 1,
            "host": {**host, "cgroup": version},
            "groups": {"pod": {"memory_max": 8 * MIB}},
            "processes": {"a": {"program": "steps", "group": "pod", "steps": steps}},
        }
        document = simulate(resolve(data), seed=1).document
        assert document["ending"] == "idle"
        assert killed(document) == []
        metrics[version] = document["metrics"]
    one, two = metrics["v1"], metrics["v2"]
    assert two["pages_scanned"] < one["pages_scanned"] < 6 * one["pages_stolen"]


def test_who_cannot_be_killed_goes_on_when_there_is_room() -> None:
    """Nobody exits: another process in the group gives memory back."""
    given = held(150, {"sleep": "10 ms"}, {"dontneed": "A"}, {"sleep": "10 ms"})
    document = run(
        {
            "gives": {"program": "steps", "group": "pod", "steps": given, "oom_score_adj": -1000},
            "takes": {
                "program": "steps", "group": "pod", "start": "1 ms", "oom_score_adj": -1000,
                "steps": held(200),
            },
        },
        {"pod": {"memory_max": MIB}},
    )  # fmt: skip
    assert document["ending"] == "idle"
    assert killed(document) == []
    gives, takes = document["processes"]
    assert 10_000_000 < takes["ended_ns"] < gives["ended_ns"]


def test_who_is_killed_before_it_has_a_stack_has_none_to_give_back() -> None:
    """A process that has not begun is killed with its group: it was charged for nothing."""
    document = run(
        {
            "large": process(80),
            "late": process(1, start="1 h"),
        },
        {"pod": {"memory_max": 64 * MIB, "oom_group": True}},
    )
    assert killed(document) == ["large", "late"]
    assert document["groups"]["pod"]["slab_bytes"] == 0


@pytest.mark.parametrize(
    ("kernel", "ended", "in_place_of"),
    [("6.18", "parent", None), ("5.1", "parent", None), ("5.0", "parent/1", "parent")],
)
@pytest.mark.parametrize("group", ["pod", None])
def test_before_5_1_the_saver_goes_in_place_of_the_server(
    kernel: str, ended: str, in_place_of: str | None, group: str | None
) -> None:
    """A child that copies pages of its parent, which is larger, until there is no room."""
    copies = {"write": {"region": "A", "pages": 20 * MIB // 4096}}
    steps = [
        {"mmap": {"name": "B", "size": 10 * MIB}},
        {"write": "B"},
        {"mmap": {"name": "A", "size": 40 * MIB}},
        {"write": "A"},
        {"fork": [{"munmap": "B"}, {"sleep": "1 ms"}, copies, {"sleep": "20 ms"}]},
        {"sleep": "10 ms"},
        {"wait": None},
    ]
    parent = {"program": "steps", "steps": steps} | ({"group": group} if group else {})
    document = run(
        {"parent": parent},
        {"pod": {"memory_max": 64 * MIB}},
        kernel=kernel,
        overcommit=1,  # before 5.2 mode 0 refuses the fork
        **({} if group else {"memory": 80 * MIB, "kernel_reserve": 16 * MIB}),
    )
    assert killed(document) == [ended]
    (kill,) = document["kills"]
    assert kill.get("in_place_of") == in_place_of
    assert kill["badness_pages"] > 0
    (line,) = lines_of_kills(document["kills"])
    assert ("in place of its parent parent" in line) == (in_place_of is not None)


def test_the_limit_of_memory_and_swap_is_named_where_it_is_what_kills() -> None:
    """Version 1 limits both together: 2 + 1 MiB here, and either key raises that."""
    process = {"program": "steps", "group": "pod", "steps": held(1024)}
    limits = {"memory_max": 2 * MIB, "swap_max": MIB, "swappiness": 100}
    document = run({"a": process}, {"pod": limits}, cgroup="v1", swap=64 * MIB)
    (kill,) = document["kills"]
    assert (kill["limit_bytes"], kill["of_memory_and_swap"]) == (3 * MIB, True)
    assert kill["usage_bytes"] > 2 * MIB
    (found,) = (f for f in document["validity"] if f["code"] == "killed")
    assert found["what"].endswith("at its limit of memory and swap together, 3 MiB")
    assert found["remedy"].startswith("raise groups.pod.memory_max or swap_max,")
    assert "group pod at its limit of 3 MiB of memory and swap:" in lines_of_kills([kill])[0]
    more = run({"a": process}, {"pod": {**limits, "swap_max": 4 * MIB}}, cgroup="v1", swap=64 * MIB)
    assert killed(more) == []


def test_what_is_swapped_out_of_a_group_is_told_beside_its_limit() -> None:
    process = {"program": "steps", "group": "pod", "steps": held(1024)}
    limits = {"memory_max": 2 * MIB, "swap_max": MIB}
    told = run({"a": process}, {"pod": limits}, swap=64 * MIB)["groups"]["pod"]
    assert (told["swap_peak_bytes"], told["swap_max_bytes"], told["memsw_bytes"]) == (
        MIB, MIB, None,
    )  # fmt: skip
    assert told["events"]["swap_max"] > 0
    told = run({"a": process}, {"pod": limits}, swap=64 * MIB, cgroup="v1")["groups"]["pod"]
    assert told["memsw_bytes"] == 3 * MIB
