"""The counters that answer the questions of experiments/001_textbook, to the last one.

Nothing in these scenarios is random.  The books are audited at every event.
"""

from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from sim.engine.run import simulate
from sim.scenario import load_scenario

FOLDER = Path(__file__).parents[2] / "experiments" / "001_textbook"
MS = 1_000_000


@cache
def run(name, *settings):
    scenario = load_scenario(str(FOLDER / f"{name}.yaml"), settings)
    return simulate(scenario, seed=1, check=True).to_json()


def counters(result, *names):
    return {name: result["metrics"][name] for name in names}


def faults(result, process):
    (found,) = [p["faults"] for p in result["processes"] if p["name"] == process]
    return {kind: count for kind, count in found.items() if count}


def sampled(result, kind):
    """Return a series by the simulated ms of its points."""
    series = result["series"]
    return {t_ns // MS: n for t_ns, n in zip(series["t_ns"], series[kind], strict=True)}


def need_pages(result):
    return {part: n // 4096 for part, n in result["metrics"]["memory_need_bytes"].items()}


@pytest.mark.truth
def test_every_scenario_is_asked_about_and_ends_by_itself():
    text = (FOLDER / "README.md").read_text() + Path(__file__).read_text()
    for file in FOLDER.glob("*.yaml"):
        assert file.stem in text
        assert run(file.stem)["ending"] == "idle"


@pytest.mark.truth
def test_1_copy_on_write_is_page_faults_and_nothing_else():
    result = run("1_copy_on_write")
    assert faults(result, "parent") == {"zero_fill": 64, "cow_reuse": 64}
    assert faults(result, "parent/child") == {"cow_copy": 24}
    assert counters(result, "minor_faults", "forks") == {"minor_faults": 152, "forks": 1}
    assert need_pages(result)["cow_copies"] == 24


@pytest.mark.truth
def test_2_all_draw_on_one_pool():
    result = run("2_one_pool")
    free, data = sampled(result, "free_pages"), sampled(result, "anon_pages")
    tables = sampled(result, "page_tables_pages")
    times = (50, 150, 250, 350, 450)
    assert [free[t] for t in times] == [3802, 3545, 3545, 3285, 3029]
    assert [data[b] - data[a] for a, b in pairwise(times)] == [256, 0, 256, 256]
    assert [tables[b] - tables[a] for a, b in pairwise(times)] == [1, 0, 4, 0]
    assert sampled(result, "cow_copies_pages")[450] == 256


@pytest.mark.truth
def test_2_short_of_pages_linux_kills_and_the_textbook_waits():
    killed, waits = run("2_short_killed"), run("2_short_waits")
    assert sampled(killed, "free_pages")[90] == sampled(waits, "free_pages")[90] == 858
    assert sampled(waits, "free_pages")[200] == 0
    assert sampled(waits, "cow_copies_pages")[200] == 858
    assert need_pages(killed)["cow_copies"] == need_pages(waits)["cow_copies"] == 858
    assert counters(killed, "oom_kills", "cow_copies") == {"oom_kills": 1, "cow_copies": 1000}
    assert counters(waits, "oom_kills", "cow_copies") == {"oom_kills": 0, "cow_copies": 1000}
    ends = {p["name"]: (p["ended"], p["ended_ns"]) for p in killed["processes"]}
    assert ends["hog"] == ("oom-killed", pytest.approx(100.8 * MS, abs=0.1 * MS))
    assert ends["sharer"][0] == ends["sharer/child"][0] == "exit 0"
    ends = {p["name"]: (p["ended"], p["ended_ns"]) for p in waits["processes"]}
    assert ends["hog"] == ("exit 0", pytest.approx(500.2 * MS, abs=0.1 * MS))
    assert killed["metrics"]["psi_memory_some"] == pytest.approx(0.0002, abs=0.00005)
    assert waits["metrics"]["psi_memory_some"] == pytest.approx(0.499, abs=0.0005)


@pytest.mark.truth
def test_3_malloc_takes_no_frame():
    result = run("3_malloc")
    at = (50, 150, 250, 350)
    assert [sampled(result, "free_pages")[t] for t in at] == [4086, 4086, 3983, 4083]
    assert [sampled(result, "anon_pages")[t] for t in at] == [1, 1, 101, 1]
    assert [sampled(result, "page_tables_pages")[t] for t in at] == [4, 4, 7, 7]
    assert faults(result, "program") == {"zero_fill": 100}


@pytest.mark.truth
def test_4_an_untouched_address_has_no_entry_and_no_table():
    result = run("4_page_table")
    at = (150, 250, 350, 450)
    assert [sampled(result, "anon_pages")[t] for t in at] == [1, 1, 1, 1025]
    assert [sampled(result, "page_tables_pages")[t] for t in at] == [4, 5, 6, 6]
    assert faults(result, "program") == {"zero_page_map": 1024, "zero_fill": 1024}


@pytest.mark.truth
@pytest.mark.parametrize(
    ("name", "reuses", "end_ms", "spawn_stack", "need"),
    [
        ("5_fork_exec", 10_000, 30.9, 0, 8787),
        ("5_vfork_exec", 0, 20.5, 0, 8787),
        ("5_posix_spawn", 0, 20.5, 1, 8789),
    ],
)
def test_5_exec_copies_nothing(name, reuses, end_ms, spawn_stack, need):
    result = run(name)
    assert counters(result, "cow_copies", "cow_reuses", "zero_fills", "execs") == {
        "cow_copies": 10 * 12,
        "cow_reuses": reuses,
        "zero_fills": 8192 + 10 * (10 + spawn_stack),
        "execs": 10,
    }
    children = [p["name"] for p in result["processes"] if p["name"] != "parent"]
    assert len(children) == 10
    as_true = {"zero_fill": 10 + spawn_stack, "zero_page_map": 1, "cow_copy": 12, "file_map": 25}
    assert sum(as_true.values()) == 48 + spawn_stack
    assert all(faults(result, child) == as_true for child in children)
    assert result["simulated_ns"] == pytest.approx(end_ms * MS, abs=0.05 * MS)
    assert need_pages(result)["total"] == need


@pytest.mark.truth
def test_5_fork_costs_a_copy_of_the_tables_and_a_fault_a_page():
    fork, vfork = run("5_fork_exec"), run("5_vfork_exec")
    assert fork["metrics"]["fork_latency_ns"]["mean"] == 493_000
    a_child_ns = (fork["simulated_ns"] - vfork["simulated_ns"]) / 10
    assert a_child_ns == pytest.approx(1.04 * MS, abs=0.005 * MS)
    stacks_ns = run("5_posix_spawn")["simulated_ns"] - vfork["simulated_ns"]
    assert stacks_ns / 10 == pytest.approx(3_925, abs=100)  # mapped, touched, unmapped


@pytest.mark.truth
def test_6_three_faults_need_no_fresh_page():
    result = run("6_no_fresh_page")
    assert faults(result, "reader") == {"zero_page_map": 100}
    assert faults(result, "owner") == {"zero_fill": 100, "cow_reuse": 100}
    assert result["metrics"]["segfaults"] == 1
    rss = {p["name"]: p["peak_rss_bytes"] // 4096 for p in result["processes"]}
    assert rss["reader"] == rss["trespasser"] == 1
    assert rss["owner"] == 101
    assert need_pages(result)["cow_copies"] == 0


@pytest.mark.truth
@pytest.mark.parametrize(
    ("settings", "child_faults", "zero_fills", "copies", "fork_us", "pages"),
    [
        ((), 100, 1000, 1000, 110, 1123),
        (("policy.fork=eager",), 0, 1000, 0, 575, 2024),
        (("policy.zeroing=eager",), 100, 2000, 1000, 163, 2125),
        (("policy.fork=eager", "policy.zeroing=eager"), 0, 2000, 0, 1091, 4026),
    ],
)
def test_7_without_them_there_are_no_faults_but_more_pages(
    settings, child_faults, zero_fills, copies, fork_us, pages
):
    result = run("7_without", *settings)
    assert counters(result, "zero_fills", "cow_copies", "forks") == {
        "zero_fills": zero_fills,
        "cow_copies": copies,
        "forks": 10,
    }
    assert sum(faults(result, "parent/child").values()) == child_faults
    assert result["metrics"]["fork_latency_ns"]["mean"] == pytest.approx(fork_us * 1000, abs=500)
    assert need_pages(result)["total"] == pages
