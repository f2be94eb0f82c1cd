"""With swap, too, where a burst ends leaves no trace, and no slot and no page is lost."""

import json
from itertools import product
from typing import Any

import pytest
from support.samples import sample

from sim.engine.run import simulate
from sim.scenario.resolve import resolve

DEVICES = ("zram", "ssd", "disk")
SETTINGS = [
    # swappiness, swap, version of control groups
    (60, "16 MiB", "v2"),
    (200, "3 MiB", "v1"),
    (0, "20 MiB", "v2"),
]
EACH = list(product(DEVICES, SETTINGS))
CASES = (EACH[::4] + EACH)[: sample(3, 12)]
"""Each device and each setting once, then all."""
ALGORITHMS = ("fifo", "clock", "lru", "random", "mglru_like")
TEXTBOOK = [
    *zip(ALGORITHMS, ("zram", "ssd", "zram", "ssd", "zram"), strict=True),
    *zip(ALGORITHMS, ("ssd", "zram", "ssd", "zram", "ssd"), strict=True),
]
"""Each way of replacement once, devices in turn, then the other device."""


def map_(name: str, size: str, **more: Any) -> dict[str, Any]:
    return {"mmap": {"name": name, "size": size, **more}}


def scenario(
    device: str, swappiness: int, size: str, version: str, replacement: str = "linux"
) -> dict[str, Any]:
    """Return parents and children, a group with limits and readers of files, short of memory."""
    some = {"uniform": 1500}
    child = [
        {"read": {"region": "A", "pages": 2000, "pattern": some}},
        {"write": {"region": "A", "first": 100, "pages": 900}},
    ]
    forks = [
        map_("A", "14 MiB"),
        {"write": "A"},
        {"fork": {"name": "child", "steps": child}},
        {"write": {"region": "A", "pages": 3000, "pattern": {"uniform": 2500}}},
        {"wait": "child"},
        {"munmap": "A"},
    ]
    limited = [
        map_("A", "8 MiB"),
        {"write": "A"},
        {"read": "A"},
        {"write": {"region": "A", "pages": 1000, "pattern": {"uniform": 3000}}},
    ]
    files = [
        map_("F", "3 MiB", file="f", cold=True),
        {"read": "F"},
        {"write_file": {"file": "f", "pages": 300}},
        map_("A", "3 MiB"),
        {"write": "A"},
    ]
    host = {
        "memory": "24 MiB", "kernel_reserve": "2 MiB", "cpus": 2, "cgroup": version,
        "swap": {"size": size, "device": device}, "swappiness": swappiness,
    }  # fmt: skip
    return {
        "version": 1,
        "host": host,
        "policy": {"replacement": replacement},
        "groups": {"pod": {"memory_max": "6 MiB", "swap_max": "4 MiB"}},
        "processes": {
            "a": {"program": "steps", "steps": forks},
            "b": {"program": "steps", "steps": limited, "group": "pod", "start": "1 ms"},
            "c": {"program": "steps", "steps": files, "copies": 2, "start": "2 ms"},
        },
        "run": {"horizon": "30 s"},
    }


@pytest.mark.stress
@pytest.mark.parametrize(("device", "setting"), dict.fromkeys(CASES))
def test_any_length_of_burst_gives_the_same_run(device: str, setting: tuple[int, str, str]) -> None:
    resolved = resolve(scenario(device, *setting))
    runs = [
        json.dumps(simulate(resolved, seed=3, burst=burst, check=burst == 7).to_json())
        for burst in (0, 1, 7)
    ]
    assert runs[0] == runs[1] == runs[2]
    found = json.loads(runs[0])
    assert found["metrics"]["pages_swapped_out"] > 0
    assert found["swap"]["peak_bytes"] <= resolved["host"]["swap"]


@pytest.mark.stress
@pytest.mark.parametrize(("replacement", "device"), TEXTBOOK[: sample(4, 8)])
def test_so_it_is_where_a_textbook_chooses(replacement: str, device: str) -> None:
    """Pages of files and others, forks, a full swap device, groups and kswapd among it."""
    resolved = resolve(scenario(device, *SETTINGS[0], replacement))
    audited = 0 if sample(1, 2) == 2 or device == "zram" else None  # an SSD has 50,000 events
    runs = [
        json.dumps(simulate(resolved, seed=3, burst=burst, check=burst == audited).to_json())
        for burst in (0, 1)
    ]
    assert runs[0] == runs[1]
    assert json.loads(runs[0])["metrics"]["pages_swapped_out"] > 0


def sharing(device: str, replacement: str) -> dict[str, Any]:
    """Return a scenario of shared memory: a parent and a child, and a group that is full of it."""
    child = [
        {"read": {"region": "A", "pages": 600, "pattern": {"uniform": 1000}}},
        {"write": {"region": "A", "pages": 300}},
    ]
    parent = [
        map_("A", "6 MiB", shared=True),
        {"write": {"region": "A", "pages": 1200}},
        map_("B", "5 MiB"),
        {"write": "B"},
        {"read": "A"},
        {"fork": {"name": "child", "steps": child}},
        {"wait": "child"},
        {"munmap": "A"},
    ]
    limited = [
        map_("A", "4 MiB", shared=True),
        {"write": "A"},
        map_("B", "1 MiB"),
        {"write": "B"},
        {"read": "A"},
    ]
    return {
        "version": 1,
        "host": {
            "memory": "12 MiB", "kernel_reserve": "2 MiB", "cpus": 2,
            "swap": {"size": "16 MiB", "device": device},
        },
        "policy": {"replacement": replacement},
        "groups": {"pod": {"memory_max": "3 MiB"}},
        "processes": {
            "a": {"program": "steps", "steps": parent},
            "b": {"program": "steps", "steps": limited, "group": "pod"},
        },
        "run": {"horizon": "60 s"},
    }  # fmt: skip


@pytest.mark.stress
@pytest.mark.parametrize(
    ("device", "replacement"), [("zram", "linux"), ("ssd", "linux"), ("disk", "clock")]
)
def test_shared_memory_is_swapped_as_it_is_whatever_the_burst(
    device: str, replacement: str
) -> None:
    resolved = resolve(sharing(device, replacement))
    audited = 1 if sample(1, 2) == 2 or device == "zram" else None  # others have many events
    runs = [
        json.dumps(simulate(resolved, seed=3, burst=burst, check=burst == audited).to_json())
        for burst in (0, 1)
    ]
    assert runs[0] == runs[1]
    found = json.loads(runs[0])
    assert found["ending"] == "idle"
    assert [process["ended"] for process in found["processes"]] == ["exit 0"] * 3
    assert found["groups"]["pod"]["pages_swapped_out"] > 250, "4 MiB shared, and 3 for all"
    assert found["metrics"]["major_faults"] > 100
    if device == "zram":  # a page that another was still writing as all ended waits for reclaim
        assert found["swap"]["used_bytes"] == 0


EACH_ADMINISTERED = list(product(DEVICES, ("cow", "on_demand", "async"), (25, 50, 75)))
ADMINISTERED = dict.fromkeys((EACH_ADMINISTERED[::11] + EACH_ADMINISTERED)[: sample(3, 30)])


@pytest.mark.stress
@pytest.mark.parametrize(("device", "fork", "per_cent"), ADMINISTERED)
def test_swap_may_be_switched_off_and_on_at_any_time(device: str, fork: str, per_cent: int) -> None:
    """Whoever is killed for it, no page and no slot is lost, and bursts leave no trace."""
    steps = [{"repeat": {"times": 3, "steps": ["swapoff", "swapon", {"sleep": "1 ms"}]}}]
    back = 0  # pages, and who was killed for them
    for said in (scenario(device, *SETTINGS[0]), sharing(device, "linux")):
        said["policy"]["fork"] = fork
        alone_ns = simulate(resolve(said), seed=3).to_json()["simulated_ns"]
        admin = {"program": "steps", "cap_sys_admin": True, "steps": steps}
        said["processes"]["admin"] = {**admin, "start": f"{alone_ns * per_cent // 100} ns"}
        resolved = resolve(said)
        audited = 1 if sample(1, 2) == 2 or device == "zram" else None
        runs = [
            json.dumps(simulate(resolved, seed=3, burst=burst, check=burst == audited).to_json())
            for burst in (0, 1)
        ]
        assert runs[0] == runs[1]
        found = json.loads(runs[0])
        assert found["ending"] == "idle"
        back += found["work"].get("unuse_pte", {"units": 0})["units"] + len(found["kills"])
    assert back > 0


def test_another_seed_is_another_run() -> None:
    """Negative control of the comparison."""
    resolved = resolve(scenario("ssd", *SETTINGS[0]))
    first, other = (json.dumps(simulate(resolved, seed=seed).to_json()) for seed in (1, 2))
    assert first != other


def test_what_was_swapped_before_the_end_of_warm_up_is_not_told() -> None:
    """All counts are from there on; what lies on the device then is the first peak."""
    said = scenario("zram", *SETTINGS[0])
    whole = simulate(resolve(said), seed=3).to_json()
    half_ns = whole["simulated_ns"] // 2
    said["run"] = {"horizon": "30 s", "warmup": f"{half_ns} ns"}
    late = simulate(resolve(said), seed=3).to_json()
    assert whole["swap"]["stolen_pages"] > late["swap"]["stolen_pages"]
    assert late["swap"]["stolen_pages"] <= late["metrics"]["pages_stolen"]


def test_a_large_cluster_reads_no_more_than_linux_does() -> None:
    """By address at most 32 pages (`SWAP_RA_ORDER_CEILING`), whatever `vm.page-cluster` says."""
    said = scenario("ssd", *SETTINGS[0])
    runs = []
    for cluster in (5, 10):
        said["host"]["page_cluster"] = cluster
        runs.append(simulate(resolve(said), seed=3).to_json()["metrics"])
    assert runs[0] == runs[1]


def test_the_largest_cluster_of_a_disk_is_read() -> None:
    """1,024 slots at once: no more requests than there is room for."""
    said = scenario("disk", *SETTINGS[0])
    said["host"]["page_cluster"] = 10
    found = simulate(resolve(said), seed=3).to_json()
    assert found["ending"] in ("idle", "horizon")
    assert found["metrics"]["pages_swapped_in"] > 0
