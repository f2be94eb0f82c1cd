"""The table that `run` prints, from a document with round numbers."""

import copy
import re

from sim.cli.show import show_run
from sim.engine.validity import judged

NOTHING = {"count": 0, **dict.fromkeys(("mean", "p50", "p90", "p99", "p999", "max"))}
FAULTS = {
    "count": 9000,
    "mean": 700.4,
    "p50": 500,
    "p90": 900,
    "p99": 1500,
    "p999": 9000,
    "max": 12e6,
}
COUNTS = (
    "forks vforks execs exits fork_failures minor_faults major_faults zero_fills zero_page_maps "
    "cow_copies cow_reuses file_maps spurious_faults swap_maps segfaults bus_errors oom_kills "
    "direct_reclaims pages_swapped_in pages_swapped_out context_switches"
).split()
PROCESS = {
    "name": "redis",
    "pid": 1,
    "minor_faults": 262_144,
    "peak_rss_bytes": 1 << 30,
    "pss_bytes": 1 << 29,
    "unique_bytes": 1 << 20,
    "cpu_ns": 1_500_000_000,
    "ended": "exit 0",
}
DOCUMENT = {
    "provenance": {
        "scenario": {
            "name": "demo",
            "host": {"prices": {"zero_fill": {"low_ps": 400_000, "high_ps": 900_000}}},
        },
        "seed": 7,
        "replication": 2,
    },
    "work": {"zero_fill": {"units": 9000, "ns": 4_500_000}},
    "ending": "idle",
    "simulated_ns": 2_500_000_000,
    "deadlock": None,
    "metrics": {
        **{name: 1000 + number for number, name in enumerate(COUNTS)},
        "pages_stolen": 0,
        "fault_latency_ns": FAULTS,
        "fork_latency_ns": NOTHING,
        "vfork_latency_ns": NOTHING,
        "request_latency_ns": NOTHING,
        "runqueue_wait_ns": NOTHING,
        "free_pages": {"min": 100, "mean": 200.5, "end": 300},
        "memory_need_bytes": {
            "total": 6 << 20, "data": 1 << 20, "cow_copies": 2 << 20, "page_tables": 1 << 20,
            "kernel_stacks": 1 << 20, "page_cache": 1 << 20, "shared_memory": 0, "hugetlb": 0,
        },
        "cpu_busy_fraction": 0.125,
        "psi_memory_some": 0.0,
        "psi_memory_full": 0.0,
    },
    "processes": [PROCESS],
    "host": {"min_pages": 50},
    "evidence": {
        "events": [], "endless": [], "refusals": [], "memory_waits": {}, "arrivals": [],
    },
}  # fmt: skip


SCENARIO = {"run": {"warmup": 0, "expect": []}, "host": {"overcommit": {"mode": 0}}}


def show(document):
    show_run({**judged(document, SCENARIO), **document})


def shown(capsys, **changes):
    show({**copy.deepcopy(DOCUMENT), **changes})
    return capsys.readouterr().out


def test_every_count_and_unit_is_there(capsys):
    out = shown(capsys)
    assert "demo: 2.5 s simulated, nothing was left to do; seed 7, replication 2" in out
    for number in range(len(COUNTS)):
        assert f"{1000 + number:,}" in out
    for text in ("700 ns", "1.5 us", "12 ms", "6 MiB", "400 KiB (100 pages)", "12.50%", "1.5 s"):
        assert text in out
    assert "262,144" in out
    assert "exit 0" in out


def test_what_reclaim_took_is_there(capsys):
    lines = shown(capsys, metrics={**DOCUMENT["metrics"], "pages_stolen": 5_432}).splitlines()
    assert any("pages reclaimed" in line and "5,432" in line for line in lines)


def test_nothing_measured_is_not_zero(capsys):
    line = next(line for line in shown(capsys).splitlines() if line.startswith("fork "))
    assert line.split() == ["fork", "0", *["-"] * 6]


def latencies(capsys, count):
    document = copy.deepcopy(DOCUMENT)
    document["metrics"]["fault_latency_ns"]["count"] = count
    show(document)
    lines = capsys.readouterr().out.splitlines()
    return next(line for line in lines if line.startswith("fault ")).split(maxsplit=2), lines


def test_a_percentile_needs_five_values_beyond_it(capsys):
    said = "p50 10, p90 50, p99 500, p999 5,000 are needed"
    shown_at = {
        5000: "700 ns 500 ns 900 ns 1.5 us 9 us 12 ms",
        4999: "700 ns 500 ns 900 ns 1.5 us - 12 ms",
        499: "700 ns 500 ns 900 ns - - 12 ms",
        9: "700 ns - - - - 12 ms",
    }
    for count, times in shown_at.items():
        row, lines = latencies(capsys, count)
        assert " ".join(row[2].split()) == times
        assert any(said in line for line in lines) == (count < 5000)


def test_nothing_is_said_of_percentiles_where_nothing_was_measured(capsys):
    document = copy.deepcopy(DOCUMENT)
    document["metrics"]["fault_latency_ns"] = NOTHING
    show(document)
    assert "are needed" not in capsys.readouterr().out


def test_a_deadlock_says_who_waits_for_what(capsys):
    out = shown(capsys, ending="deadlock", deadlock="redis waits for a frame; sh holds all")
    assert "DEADLOCK" in out
    assert "redis waits for a frame; sh holds all" in out


def test_of_many_processes_the_largest_are_shown(capsys):
    many = [{**PROCESS, "name": f"p{n}", "peak_rss_bytes": n << 20} for n in range(50)]
    out = shown(capsys, processes=many)
    assert "p49" in out
    assert "p3 " not in out
    assert "and 30 smaller ones" in out


def test_means_come_with_what_low_and_high_prices_make_of_them(capsys):
    """500 ns of the fault's 700 are its price, 400 to 900; the rest it waited."""
    out = shown(capsys)
    assert "means with all prices low, and all high: fault 600 ns to 1.1 us\n" in out
    assert "fork " not in out.partition("all high")[2].partition("\n")[0]
    assert "all prices" not in shown(capsys, work={})


def test_what_bears_on_the_answer_comes_first(capsys):
    assert "no answer" not in shown(capsys)
    killed = [{**PROCESS, "name": f"p/{n}", "ended": "oom-killed"} for n in range(6)]
    lines = shown(capsys, processes=killed).splitlines()
    assert lines[0] == "error: killed: p/*: killed because memory ran out (6 times)"
    assert "at least 6 MiB: 6 killed" in lines[2]
    assert lines[4].startswith("no answer")


def test_a_need_that_was_cut_off_is_a_lower_bound(capsys):
    need = next(line for line in shown(capsys).splitlines() if "needed at the peak" in line)
    assert "more than" not in need
    killed = [{**PROCESS, "ended": "oom-killed"}]
    for held, least in (({}, "at least 6 MiB"), ({"short_bytes": 6 << 20}, "more than 6 MiB")):
        evidence = {**DOCUMENT["evidence"], "held": held}
        out = shown(capsys, processes=killed, evidence=evidence).splitlines()
        need = next(line for line in out if "needed at the peak" in line)
        assert least in need
    metrics = {
        **DOCUMENT["metrics"],
        "memory_need_bytes": dict.fromkeys(DOCUMENT["metrics"]["memory_need_bytes"], 0),
    }
    out = shown(capsys, processes=killed, metrics=metrics)
    assert re.search(r"needed at the peak +not known", out)
    assert "at least 0 B" not in out


def test_what_there_was_room_for_is_no_lower_bound(capsys):
    metrics = {**DOCUMENT["metrics"], "pages_stolen": 100}
    killed = [{**PROCESS, "ended": "oom-killed"}]
    out = shown(capsys, metrics=metrics, processes=killed)
    assert "needed, page cache left out, is at least 5 MiB: 1 killed" in out
    (held,) = (line for line in out.splitlines() if line.startswith("held at the peak"))
    assert "at least" not in held


def test_a_peak_that_is_what_there_was_room_for_is_called_no_need(capsys):
    metrics = {**DOCUMENT["metrics"], "pages_stolen": 100}
    out = shown(capsys, metrics=metrics)
    assert out.startswith("warning: peak_is_room")
    assert "held at the peak" in out
    assert "needed at the peak" not in out


def test_p999_of_requests_needs_5000_forks(capsys):
    """The slowest requests are those that one fork delayed, however many they are."""
    for forks, p999 in ((0, "9 us"), (1, "-"), (4999, "-"), (5000, "9 us")):
        document = copy.deepcopy(DOCUMENT)
        document["metrics"] |= {"forks": forks, "request_latency_ns": FAULTS}
        show(document)
        out = capsys.readouterr().out
        row = next(line for line in out.splitlines() if line.startswith("request "))
        assert " ".join(row.split()[2:]) == f"700 ns 500 ns 900 ns 1.5 us {p999} 12 ms"
        assert ("forks count" in " ".join(out.split())) == (0 < forks < 5000)
