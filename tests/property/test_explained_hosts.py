"""What `explain` says of a host: sizes, promises and forks, held to runs on it."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.explained import hosts, policies
from support.samples import sample

from sim.base.units import PAGE_BYTES
from sim.engine.run import build_simulation, simulate
from sim.machine.areas import MMAP_TOP_VPN
from sim.scenario.explain.fork import WITHIN
from sim.scenario.forms import setting
from sim.scenario.forms.fork import fork_ns
from sim.scenario.forms.host import commit_limit_pages, data_pages, largest_request_pages
from sim.scenario.hosts import host_watermarks
from sim.scenario.resolve import resolve
from sim.stats.theory import page_table_pages

START_PAGES = 64
"""More than what a process has mapped and promised itself before its first request."""


def played(host: dict[str, Any], steps: list[Any], policy: dict[str, Any] | None = None) -> Any:
    document = {
        "version": 1,
        "host": host,
        "policy": policy or {},
        "processes": {"p": {"program": "steps", "steps": steps}},
        "run": {"horizon": "10 min"},
    }
    resolved = resolve(document)
    return resolved, simulate(resolved, seed=1).to_json()


def mapped(pages: int, write: bool = False) -> list[Any]:
    steps: list[Any] = [{"mmap": {"name": "A", "size": f"{pages * PAGE_BYTES} B"}}]
    return [*steps, {"write": "A"}] if write else steps


@pytest.mark.stress
@settings(
    max_examples=sample(15, 1000), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(host=hosts(), policy=policies, pages=st.sampled_from([1, 200, 512, 1280, 5000, 9216]))
def test_a_fork_takes_what_the_prices_say(
    host: dict[str, Any], policy: dict[str, Any], pages: int
) -> None:
    steps = [*mapped(pages, write=True), {"fork": {"name": "c", "steps": []}}, {"wait": "c"}]
    resolved, document = played(host, steps, policy)
    expected_ns = fork_ns(setting.setting_of(resolved["host"], resolved["policy"]), pages)
    latency = document["metrics"]["fork_latency_ns"]
    assert latency["count"] == 1
    assert latency["mean"] == pytest.approx(expected_ns, rel=WITHIN)


@pytest.mark.stress
@settings(max_examples=sample(10, 500), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    memory=st.sampled_from(["64 MiB", "100 MiB", "256 MiB"]),
    mode=st.sampled_from([0, 1, 2]),
    kernel=st.sampled_from(["4.19", "5.1", "5.4", "6.12", "6.18"]),
    ratio=st.sampled_from([20, 50, 80]),
)
def test_a_request_is_refused_where_it_says(
    memory: str, mode: int, kernel: str, ratio: int
) -> None:
    overcommit = {"mode": mode, "ratio": ratio}
    host = {"memory": memory, "cpus": 1, "kernel": kernel, "overcommit": overcommit}
    resolved, _ = played(host, [{"compute": "1 ms"}])
    largest = largest_request_pages(resolved["host"])
    if largest is None:
        _, document = played(host, mapped(1_000_000))
        assert ended(document) == "exit 0"
        return
    user = commit_limit_pages(resolved["host"]) // 32 if mode == 2 else 0
    assert ended(played(host, mapped(largest - user - START_PAGES))[1]) == "exit 0"
    assert ended(played(host, mapped(largest + 1))[1]) == "failed: ENOMEM"


def ended(document: dict[str, Any]) -> str:
    return str(document["processes"][0]["ended"])


@pytest.mark.stress
@settings(max_examples=sample(6, 300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    memory=st.sampled_from(["64 MiB", "128 MiB", "256 MiB"]),
    cpus=st.integers(1, 4),
    kernel=st.sampled_from(["4.19", "6.1", "6.18"]),
    thp=st.sampled_from(["never", "always"]),
)
def test_data_fits_where_it_says(memory: str, cpus: int, kernel: str, thp: str) -> None:
    host = {"memory": memory, "cpus": cpus, "kernel": kernel, "thp": thp, "overcommit": {"mode": 1}}
    resolved, _ = played(host, [{"compute": "1 ms"}])
    fits = data_pages(resolved["host"])
    _, document = played(host, mapped(int(0.99 * fits) - START_PAGES, write=True))
    assert ended(document) == "exit 0"
    tables = document["metrics"]["memory_need_bytes"]["page_tables"] // PAGE_BYTES
    assert tables == pytest.approx(page_table_pages(int(0.99 * fits)), abs=8)
    _, document = played(host, mapped(int(1.01 * fits) + START_PAGES, write=True))
    assert ended(document) == "oom-killed"


@pytest.mark.stress
@settings(max_examples=sample(15, 300), deadline=None)
@given(
    memory=st.sampled_from(["64 MiB", "1 GiB", "5 GiB"]),
    cpus=st.integers(1, 8),
    kernel=st.sampled_from(["4.19", "6.1", "6.18"]),
    thp=st.sampled_from(["never", "always"]),
)
def test_watermarks_and_lists_are_those_of_the_machine(
    memory: str, cpus: int, kernel: str, thp: str
) -> None:
    host = {"memory": memory, "cpus": cpus, "kernel": kernel, "thp": thp}
    document = {"version": 1, "host": host, "processes": {"p": {"program": "heap_growth"}},
                "run": {"horizon": "1 s"}}  # fmt: skip
    resolved = resolve(document)
    machine = build_simulation(resolved, seed=1).machine
    marks = host_watermarks(resolved["host"])
    assert machine.watermark_pages() == {
        "min": marks.min_pages, "low": marks.low_pages, "high": marks.high_pages
    }  # fmt: skip
    zone = machine.arrays.zones[0]
    lists = resolved["host"]["percpu_batch"], resolved["host"]["percpu_high"]
    assert (int(zone.batch), int(zone.pcp_high)) == lists
    assert machine.host.memory_pages == resolved["host"]["memory"] // PAGE_BYTES
    machine.release()


def test_mappings_end_where_the_machine_has_them_end() -> None:
    assert setting.MMAP_TOP_VPN == MMAP_TOP_VPN
