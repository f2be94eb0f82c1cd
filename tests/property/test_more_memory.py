"""One knob at a time: memory, and the version of control groups, row by row of their table.

What processes ask for, and when, is fixed: at points of time that are far apart beside the time
that making room takes.  With random demands, or with ones that follow each other, it would not
hold: who is slowed down by reclaim asks for less by the same time.  Files are read a few pages at a
time: what a device is reading cannot be dropped, and more memory has more of that.  What is written
is written back at once: reclaim does not write files, it has them written, so that who met a limit
earlier has clean pages later.  Sizes are further apart than the batches of reclaim.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

import pytest
from support.net_steps import Dice, Steps
from support.samples import sample

from sim.base.errors import ScenarioError
from sim.base.units import MIB
from sim.cli.groups import tables_of_groups
from sim.engine.run import simulate
from sim.machine.rules.cgroup import DIFFERENCES
from sim.scenario.resolve import resolve

Test = TypeVar("Test", bound=Callable[..., None])
VERSIONS: Final = ("v1", "v2")

SLOT_MS = 200
SLOTS = 8
FILE_PAGES = 1100
FEWEST_PAGES = 800
"""Of the machine; limits that are tried begin at half of that."""
SIZES = 5
APART_PAGES = 64
"""Least from one size to the next: two batches of reclaim."""


def demands(dice: Dice) -> Steps:
    """Return steps that take memory, and now and then give some back, at fixed times."""
    steps: Steps = [{"mmap": {"name": "F", "file": "c", "size": f"{FILE_PAGES} pages",
                              "shared": True, "cold": True}}]  # fmt: skip
    held: list[str] = []
    for slot in range(1, SLOTS + 1):
        steps.append({"sleep_until": f"{slot * SLOT_MS + dice.below(50)} ms"})
        kind = dice.weighted({"write": 5, "fork": 2, "file": 2, "munmap": 1, "dirty": 1})
        name, pages = f"R{slot}", dice.between(20, 300)
        if kind == "write":
            steps += [{"mmap": {"name": name, "size": f"{pages} pages"}}, {"write": name}]
            held.append(name)
        elif kind == "fork" and held:
            hold = [{"write": dice.one(held)}, {"sleep_until": "10 s"}]
            steps.append({"fork": {"steps": hold}})
        elif kind == "file":
            steps.append({"read_file": {"file": "c", "pages": dice.between(1, 60)}})
        elif kind == "dirty":
            steps.append({"write_file": {"file": "c", "pages": dice.between(1, 60)}})
            steps.append({"fsync": "c"})
        elif kind == "munmap" and held:
            steps.append({"munmap": held.pop(dice.below(len(held)))})
    return [*steps, {"sleep_until": "10 s"}]


def scenario(number: int, pages: int, knob: str) -> dict[str, Any]:
    """Return scenario `number` with so many pages of what the knob sets."""
    dice = Dice(f"cowpool more memory {number}")
    host = {
        "memory": f"{pages if knob == 'host' else 40 * FEWEST_PAGES} pages",
        "kernel_reserve": "400 KiB",
        "cpus": dice.one((1, 2, 3)),
        "kernel": dice.one(("5.15", "6.1", "6.12", "6.18")),
        "cgroup": dice.one(("v1", "v2")),
        "overcommit": {"mode": 1},
        "disk": {"latency": "20 us", "read_ahead": dice.one(("0 B", "128 KiB"))},
    }
    inner = {"parent": "outer", "oom_group": dice.chance(0.5)}
    if host["cgroup"] == "v1":
        del inner["oom_group"]
    groups: dict[str, Any] = {"outer": {}, "inner": inner}
    if knob != "host":
        groups[knob]["memory_max"] = f"{pages} pages"
    processes = {
        f"p{at}": {
            "program": "steps",
            "steps": demands(dice),
            "group": dice.one(("inner", "inner", "outer")),
        }
        for at in range(dice.between(1, 3))
    }
    return {
        "version": 1, "host": host, "groups": groups, "processes": processes,
        "run": {"horizon": "12 s"},
    }  # fmt: skip


def apart(sizes: list[int]) -> list[int]:
    """Return sizes without those that are too close to the one before."""
    kept = sizes[:1]
    for size in sizes[1:]:
        if size - kept[-1] >= APART_PAGES:
            kept.append(size)
    return kept


def first_kill_ms(document: dict[str, Any]) -> float:
    """Return the millisecond of the first kill: demands begin at whole ones, and take less.

    Within a demand more memory may well bring it earlier: less was reclaimed on the way.
    """
    found = simulate(resolve(document), seed=1).document["metrics"]["first_oom_ns"]
    return math.inf if found is None else found // 1_000_000


@pytest.mark.stress
@pytest.mark.parametrize("knob", ["host", "outer", "inner"])
def test_more_memory_never_brings_the_first_kill_earlier(knob: str) -> None:
    moved = 0
    for number in range(sample(5, 500)):
        dice = Dice(f"cowpool sizes {number} {knob}")
        fewest = FEWEST_PAGES if knob == "host" else FEWEST_PAGES // 2
        sizes = apart(sorted(dice.between(fewest, 4 * fewest) for _ in range(SIZES)))
        kills = [first_kill_ms(scenario(number, pages, knob)) for pages in sizes]
        assert kills == sorted(kills), (number, sizes, kills)
        moved += len(set(kills)) > 1
    assert moved >= 3, "the knob turns nothing"


def test_less_memory_would_be_noticed() -> None:
    """Negative control: the other way round the times are out of order."""
    kills = [first_kill_ms(scenario(0, pages, "host")) for pages in (4000, 1600, 900)]
    assert kills != sorted(kills)


# -- versions of control groups ------------------------------------------------------------------


TESTED: set[str] = set()


def differs(row: str) -> Callable[[Test], Test]:
    """Say of a test which row of the table of differences it shows."""

    def noted(test: Test) -> Test:
        assert DIFFERENCES[row].simulated
        TESTED.add(row)
        return test

    return noted


def ended(document: dict[str, Any]) -> list[str]:
    return [process["ended"] for process in document["processes"]]


def under(
    version: str,
    groups: dict[str, Any],
    steps: dict[str, Steps],
    group_of: Mapping[str, str | None] = MappingProxyType({}),
    **host: Any,
) -> dict[str, Any]:
    """Run lists of steps, in group `g` unless `group_of` says another."""
    data = {
        "version": 1,
        "host": {"memory": "64 MiB", "cpus": 2, "kernel": "6.12", "cgroup": version, **host},
        "groups": groups,
        "processes": {
            name: {"program": "steps", "group": group_of.get(name, "g"), "steps": told}
            for name, told in steps.items()
        },
        "run": {"horizon": "20 s"},
    }
    return simulate(resolve(data), seed=1).document


def hold(pages: int) -> Steps:
    return [
        {"mmap": {"name": "A", "size": f"{pages} pages"}},
        {"write": "A"},
        {"sleep": "100 ms"},
    ]


def read(file: str, pages: int) -> Steps:
    return [
        {"mmap": {"name": "F", "file": file, "size": f"{pages} pages", "cold": True}},
        {"read_file": {"file": file, "pages": pages}},
    ]


def refuses(version: str, key: str, value: Any) -> None:
    """Assert that a scenario is refused in which a group of a version has `key`, and says why."""
    words = {"v1": "version 1 have no such thing", "v2": "only version 1"}
    with pytest.raises(ScenarioError, match=words[version]):
        under(version, {"g": {key: value}}, {"a": hold(1)})


@differs("V1_MEMSW")
def test_a_limit_of_swap_is_its_own_in_version_2_and_one_of_the_sum_in_version_1() -> None:
    """The machine is short, so that a group swaps below its own limit of memory."""
    groups = {"g": {"memory_max": "8 MiB", "swap_max": "2 MiB"}}
    rests: Steps = [*hold(1700), {"sleep": "3 s"}]
    crowds: Steps = [
        {"sleep": "20 ms"},
        {"mmap": {"name": "B", "size": "4800 pages"}},
        {"repeat": {"times": 4, "steps": [{"write": "B"}]}},
    ]
    host = {"memory": "24 MiB", "kernel_reserve": "1 MiB", "swap": "256 MiB"}
    v1, v2 = (
        under(version, groups, {"a": rests, "b": crowds}, {"b": None}, **host)
        for version in VERSIONS
    )
    assert ended(v1) == ended(v2) == ["exit 0", "exit 0"]
    one, two = (document["groups"]["g"] for document in (v1, v2))
    assert two["swap_peak_bytes"] == 2 * MIB
    assert 3 * MIB < one["swap_peak_bytes"] < one["memsw_bytes"] == 10 * MIB
    assert two["memsw_bytes"] is None
    for version in VERSIONS:
        more = under(version, groups, {"a": hold(2700)}, swap="256 MiB")
        assert ended(more) == ["oom-killed"], "neither has more than 10 MiB of both"


@differs("V1_SWAPPINESS")
def test_swappiness_is_the_groups_in_version_1_and_the_hosts_in_version_2() -> None:
    limit = {"memory_max": "4 MiB"}
    steps, group_of = {"a": hold(1500), "b": hold(1500)}, {"b": "h"}
    groups = {"g": limit, "h": limit}
    never = {"g": {**limit, "swappiness": 0}, "h": limit}
    for version in VERSIONS:
        told = [
            ended(under(version, groups, steps, group_of, swap="256 MiB", swappiness=host))
            for host in (0, 60)
        ]
        assert told == [["oom-killed"] * 2, ["exit 0"] * 2]
    assert ended(under("v1", never, steps, group_of, swap="256 MiB")) == ["oom-killed", "exit 0"]
    refuses("v2", "swappiness", 0)


@differs("V1_NO_HIGH")
def test_memory_high_slows_down_in_version_2_and_is_refused_by_version_1() -> None:
    steps = {"a": hold(1500)}
    v1, v2 = (under(version, {"g": {}}, steps) for version in VERSIONS)
    high = under("v2", {"g": {"memory_high": "4 MiB"}}, steps)
    assert v1["processes"][0]["ended_ns"] == v2["processes"][0]["ended_ns"]
    assert high["processes"][0]["ended_ns"] > 2 * v2["processes"][0]["ended_ns"]
    assert high["groups"]["g"]["high_sleeps"] > v1["groups"]["g"]["high_sleeps"] == 0
    refuses("v1", "memory_high", "4 MiB")
    assert ended(under("v1", {"g": {"memory_high": "max"}}, steps)) == ["exit 0"]


@differs("V1_NO_PROTECTION")
@pytest.mark.parametrize("key", ["memory_low", "memory_min"])
def test_what_is_protected_stays_in_version_2_and_version_1_refuses_to(key: str) -> None:
    def scanned(version: str, **protected: Any) -> int:
        groups = {
            "p": {"memory_max": "8 MiB", **protected},
            "g": {"parent": "p", **protected},
            "h": {"parent": "p"},
        }
        steps = {
            "a": [*read("f", 900), {"sleep": "10 s"}],
            "b": [{"sleep": "1 s"}, *read("h", 5000), {"sleep": "9 s"}],
        }
        document = under(version, groups, steps, {"b": "h"})
        assert document["groups"]["p"]["pages_scanned"] > 3000
        return int(document["groups"]["g"]["pages_scanned"])

    v1, v2 = (scanned(version) for version in VERSIONS)
    assert v1 == v2 > 2 * scanned("v2", **{key: "4 MiB"})
    refuses("v1", key, "4 MiB")
    assert scanned("v1", **{key: 0}) == v1


@differs("V1_NO_OOM_GROUP")
def test_oom_group_is_of_version_2() -> None:
    limit = {"memory_max": "8 MiB"}
    steps = {"a": hold(1200), "b": hold(1300)}
    v1 = ended(under("v1", {"g": limit}, steps))
    v2 = ended(under("v2", {"g": {**limit, "oom_group": True}}, steps))
    refuses("v1", "oom_group", True)
    assert sorted(v1) == ["exit 0", "oom-killed"]
    assert v2 == ["oom-killed", "oom-killed"]


@differs("V1_WRITEBACK_WAITS")
def test_dirty_limits_are_of_groups_of_version_2() -> None:
    """A group holds its writer back in version 2 long before the machine would."""
    write: Steps = [
        {"mmap": {"name": "F", "file": "f", "size": "900 pages", "cold": True}},
        {"write_file": {"file": "f", "pages": 900}},
    ]
    groups = {"g": {"memory_max": "4 MiB"}}
    v1, v2 = (under(version, groups, {"a": write}) for version in VERSIONS)
    assert ended(v1) == ended(v2) == ["exit 0"]
    assert v1["processes"][0]["ended_ns"] < v2["processes"][0]["ended_ns"] / 2


@differs("V1_FAILCNT")
def test_version_1_shows_refused_charges_and_version_2_events() -> None:
    """Both count 35 attempts to make room; the charge that ends in a kill is refused once more."""
    shown = {}
    for version in VERSIONS:
        groups = under(version, {"g": {"memory_max": "4 MiB"}}, {"a": hold(1500)})["groups"]
        events = groups["g"]["events"]
        assert (events["max"], events["failcnt"]) == (35, 36)
        heading, _, row = tables_of_groups(groups, version)[-1].lines(80)
        shown[version] = dict(zip(heading.split()[3:], row.split()[1:], strict=True))
    assert shown == {
        "v1": {"failcnt": "36", "oom_kill": "1"},
        "v2": {"max": "35", "oom": "1", "oom_kill": "1"},
    }


@differs("V1_NO_PSI")
def test_only_groups_of_version_2_have_pressure() -> None:
    found = {}
    for version in VERSIONS:
        document = under(version, {"g": {"memory_max": "4 MiB"}}, {"a": read("f", 3000)})
        group, series = document["groups"]["g"], document["series"]["groups"]["g"]
        assert document["psi"]["some"]["total_us"] > 0
        found[version] = {
            "psi": group["psi"] is not None,
            "share": (group["psi_memory_some"] or 0) > 0,
            "null": group["psi_memory_full"] is None,
            "over time": "psi_memory_some_us" in series,
        }
    assert found == {
        "v1": {"psi": False, "share": False, "null": True, "over time": False},
        "v2": {"psi": True, "share": True, "null": False, "over time": True},
    }


def test_every_row_of_the_table_has_a_test() -> None:
    assert set(DIFFERENCES) == TESTED


def test_nothing_else_differs_where_nothing_is_killed_or_written() -> None:
    groups = {"g": {"memory_max": "8 MiB"}}
    read = [
        {"mmap": {"name": "F", "file": "f", "size": "3000 pages", "cold": True}},
        {"read": "F"},
        *hold(500),
    ]
    v1, v2 = (under(version, groups, {"a": read}) for version in ("v1", "v2"))
    for document in (v1, v2):
        document["groups"]["g"].pop("events")
        document.pop("provenance", None)
    assert v1["groups"]["g"]["peak_bytes"] == v2["groups"]["g"]["peak_bytes"] == 8 * 2**20
    assert v1["metrics"] == v2["metrics"]
