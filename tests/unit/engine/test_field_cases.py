"""What people reported, each as a scenario: who is killed, at which limit, how much of what.

The files are in `tests/cases/field`; the head of each names the report.  Large ones are run smaller
where nothing but the time changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.base.units import MIB, MS, PAGE_BYTES
from sim.engine.run import simulate
from sim.program import PROGRAMS
from sim.program.plugin import load_plugin
from sim.scenario.resolve import load_scenario

CASES = Path(__file__).parents[2] / "cases" / "field"
LEAF_PAGES = 512


def run(case: str, *settings: str) -> dict[str, Any]:
    (path,) = CASES.glob(f"{case}_*.yaml")
    plugins = [load_plugin(file).programs for file in CASES.glob(f"{case}_*.py")]
    programs = {**PROGRAMS, **{name: each for found in plugins for name, each in found.items()}}
    scenario = load_scenario(str(path), list(settings), programs=programs)
    return simulate(scenario, seed=1, programs=programs).to_json()


def ended(document: dict[str, Any]) -> dict[str, str]:
    return {process["name"]: process["ended"] for process in document["processes"]}


def test_f01_all_of_the_pod_is_killed_at_once_and_the_limit_is_named() -> None:
    document = run("f01")
    limit = 500 * MIB
    assert set(ended(document).values()) == {"oom-killed"}
    assert len({kill["t_ns"] for kill in document["kills"]}) == 1
    for kill in document["kills"]:
        assert (kill["limit_of"], kill["limit_bytes"], kill["killed_with"]) == ("pod", limit, "pod")
    pod = document["groups"]["pod"]
    assert pod["peak_bytes"] == limit
    assert pod["events"]["oom_group_kill"] == 1
    assert pod["events"]["oom_kill"] == len(document["processes"]) + 1, "the victim counts twice"
    said = [f["what"] for f in document["validity"] if f["code"] == "killed"]
    assert set(said) == {"killed because group pod was at its limit, 500 MiB"}


def test_f01_without_memory_oom_group_some_workers_survive() -> None:
    """Negative control: killed one by one, a victim at a time."""
    document = run("f01", "groups.pod.oom_group=false", "processes.master.steps.2.repeat.times=4")
    endings = ended(document)
    assert endings["master"] == "exit 0"
    assert list(endings.values()).count("oom-killed") == 2, "two of 219 MiB fit into 500"
    assert len({kill["t_ns"] for kill in document["kills"]}) == 2


def test_f02_redis_takes_its_data_piece_by_piece_and_is_killed_at_the_limit() -> None:
    smaller = ("groups.pod.limits.memory=600M", "processes.redis.dataset=600 MiB")
    document = run("f02", *smaller, "host.memory=2 GiB")
    (kill,) = document["kills"]
    limit = 600_000_000 // PAGE_BYTES * PAGE_BYTES
    assert (kill["process"], kill["limit_of"], kill["limit_bytes"]) == ("redis", "pod", limit)
    assert 0.995 * limit < kill["anon_rss_bytes"] + kill["page_tables_bytes"] < limit
    assert document["groups"]["pod"]["peak_bytes"] == limit
    assert document["metrics"]["fork_failures"] == 0
    roomy = run("f02", *smaller[1:], "groups.pod.limits.memory=1400M", "host.memory=2 GiB")
    assert not roomy["kills"]


BUFFERS = 256 * MIB
CONNECTIONS = 20


@pytest.mark.parametrize("huge", [False, True])
def test_f03_page_tables_grow_with_connections_and_huge_pages_cure_it(huge: bool) -> None:
    mmap = "processes.postmaster.steps.0.mmap"
    document = run(
        "f03", "host.memory=2 GiB", f"{mmap}.size={BUFFERS} B",
        f"{mmap}.hugetlb={str(huge).lower()}",
        f"processes.postmaster.steps.3.repeat.times={CONNECTIONS}",
        *(["host.nr_hugepages=128"] if huge else []),
    )  # fmt: skip
    need = document["metrics"]["memory_need_bytes"]
    leaves = BUFFERS // PAGE_BYTES // LEAF_PAGES
    tables = need["page_tables"] // PAGE_BYTES
    if huge:
        assert need["hugetlb"] == BUFFERS
        assert need["shared_memory"] == 0
        # a PGD, three tables for the stack, a PUD and a PMD at most for each
        assert tables <= (CONNECTIONS + 1) * 6
    else:
        assert need["shared_memory"] == BUFFERS
        assert need["page_cache"] == 0
        over = tables - (CONNECTIONS + 1) * leaves
        assert 0 < over <= (CONNECTIONS + 1) * 6


def test_f04_a_save_begins_to_swap_and_is_saved_all_the_same() -> None:
    """A 48th of the host and the data: what is needed beyond memory goes to the swap device."""
    smaller = ["host.memory=683 MiB", "host.swap=341 MiB", "processes.redis.dataset=512 MiB"]
    swapped = run("f04", *smaller)
    roomy = run("f04", *smaller, "host.memory=2 GiB")
    killed = run("f04", *smaller, "host.swap=0")
    assert set(ended(swapped).values()) == set(ended(roomy).values()) == {"exit 0"}
    assert killed["kills"], "without swap somebody is killed"
    assert roomy["metrics"]["pages_swapped_out"] == 0
    need = roomy["metrics"]["memory_need_bytes"]["total"]
    held = swapped["metrics"]["memory_need_bytes"]["total"]
    assert swapped["swap"]["peak_bytes"] >= need - held > 0
    slow, fast = (run_["metrics"]["request_latency_ns"]["p99"] for run_ in (swapped, roomy))
    assert slow > 10 * fast
    (finding,) = (f for f in swapped["validity"] if f["code"] == "peak_is_room")
    assert "swapped out" in finding["what"]
    assert "on the swap device" in finding["what"]


def test_f05_children_are_back_at_zero_and_one_of_them_is_killed() -> None:
    document = run("f05")
    endings = ended(document)
    assert endings["postmaster"] == "exit 0"
    kills = document["kills"]
    # 4 of 300 MiB and 128 MiB shared on 1 GiB less 80 MiB: three times 300 do not fit either
    assert len(kills) == 2
    assert all(kill["process"].startswith("postmaster/") for kill in kills)
    assert {kill["oom_score_adj"] for kill in kills} == {0}
    assert document["ending"] == "idle"


@pytest.mark.parametrize(("arenas", "kept"), [(0, 8), (2, 2)])
def test_f06_each_arena_keeps_its_peak(arenas: int, kept: int) -> None:
    document = run("f06", f"processes.api.malloc_arena_max={arenas}")
    (process,) = document["processes"]
    expected = 51e6 + kept * 18.5e6  # 199 MB, or 88 MB
    assert process["peak_rss_bytes"] == pytest.approx(expected, rel=0.01)


def test_f07_clean_pages_of_dumps_are_dropped_and_nobody_dies() -> None:
    smaller = [
        "groups.pod.limits.memory=500M", "host.memory=2 GiB",
        "processes.server.steps.0.mmap.size=250 MiB",
        "processes.server.steps.2.fork.steps.1.write_file.pages=51200",
        "processes.server.steps.4.fork.steps.1.write_file.pages=51200",
    ]  # fmt: skip
    document = run("f07", *smaller)
    assert set(ended(document).values()) == {"exit 0"}
    assert not document["kills"]
    limit = 500_000_000 // PAGE_BYTES * PAGE_BYTES
    pod = document["groups"]["pod"]
    assert limit <= pod["peak_bytes"] <= limit + PAGE_BYTES, (
        "kernel objects are charged whatever the limit"
    )
    assert pod["pages_stolen"] > 0
    assert pod["events"]["oom_kill"] == 0
    assert pod["current_bytes"] > 0.95 * (limit - 250 * MIB), "it stays full of page cache"
    (finding,) = (f for f in document["validity"] if f["code"] == "peak_is_room")
    assert finding["severity"] == "warning"
    assert document["answered"]
    need = document["metrics"]["memory_need_bytes"]
    assert need["total"] - need["page_cache"] < 260 * MIB


def test_f08_memory_that_is_not_forked_makes_forks_ten_times_faster() -> None:
    few = "processes.node.spawns=5"
    with_all = run("f08", few)["metrics"]["fork_latency_ns"]["mean"]
    without = run("f08", few, "processes.node.dontfork=true")["metrics"]["fork_latency_ns"]["mean"]
    assert 9 < with_all / without < 16, "640 MiB against 40 MiB, and what a fork costs anyway"


def test_f09_prices_of_a_slow_host_reach_what_was_reported() -> None:
    def fork_ns(size: str) -> float:
        document = run("f09", f"processes.p.steps.0.mmap.size={size}")
        return float(document["metrics"]["fork_latency_ns"]["mean"])

    assert 30 * MS < fork_ns("1 GiB") < 45 * MS
    assert 2.5 * MS < fork_ns("100 MiB") < 4 * MS
    assert fork_ns("4 KiB") < 0.1 * MS


def test_f10_a_fork_is_refused_by_a_kernel_of_2017() -> None:
    for kernel in ("4.19", "4.15"):
        document = run("f10", f"host.kernel={kernel}")
        (refused,) = (f for f in document["validity"] if f["code"] == "refused")
        assert "fork was refused with ENOMEM" in refused["what"]
        assert document["metrics"]["fork_failures"] >= 1
    assert run("f10", "host.kernel=6.12")["metrics"]["fork_failures"] == 0


def test_f11_freed_memory_is_still_resident_after_idling() -> None:
    document = run("f11")
    (kill,) = document["kills"]
    assert (kill["process"], kill["limit_of"]) == ("parent/1", None)
    assert kill["t_ns"] > 30_000 * MS
    # the child has all that its parent freed, and as much again as there was room for
    assert kill["anon_rss_bytes"] > 512 * MIB + 400 * MIB


def test_f11_glibc_gives_back_the_top_of_its_heap() -> None:
    """Negative control: the same with the other malloc."""
    smaller = ("processes.parent.total=64 MiB", "processes.parent.child=64 MiB")
    document = run("f11", *smaller, "host.memory=128 MiB", "processes.parent.library=glibc")
    assert not document["kills"]
    assert document["processes"][0]["peak_rss_bytes"] >= 64 * MIB


def test_f12_a_kernel_without_quotes_is_the_one_that_is_written() -> None:
    (path,) = CASES.glob("f12_*.yaml")
    assert load_scenario(str(path))["host"]["kernel"] == "5.10"
    assert load_scenario(str(path), ["host.kernel=6.12"])["host"]["kernel"] == "6.12"
    assert run("f12")["ending"] == "idle"


@pytest.mark.parametrize(
    ("case", "written"), [("f02", "value: 1000 B"), ("f10", "value: 1000 B"), ("f06", "size: 64 B")]
)  # fmt: skip
def test_what_is_counted_in_bytes_needs_no_unit(case: str, written: str, tmp_path: Path) -> None:
    (path,) = CASES.glob(f"{case}_*.yaml")
    text = path.read_text()
    assert written in text
    (tmp_path / "s.yaml").write_text(text.replace(written, written.removesuffix(" B")))
    (tmp_path / "t.yaml").write_text(text.replace(written, f"{written[:-2]} KiB"))
    own = load_scenario(path)["processes"]
    assert load_scenario(tmp_path / "s.yaml")["processes"] == own
    assert load_scenario(tmp_path / "t.yaml")["processes"] != own
