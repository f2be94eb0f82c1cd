import csv
import json

import pytest

from sim.stats.tolerance import UpperBound
from sim.study import answer
from sim.study.executor import InlineExecutor
from sim.study.need import Need, need_of, smallest_host_bytes
from sim.study.run import run_study
from sim.units import GIB, MIB

MEAN_PARTS = {
    "data": 1100.0 * MIB,
    "cow_copies": 200.0 * MIB,
    "page_tables": 5.0 * MIB,
    "kernel_stacks": 32768.0,
    "page_cache": 0.0,
}
TOTAL = sum(MEAN_PARTS.values())
NEED = Need(
    mean_bytes=TOTAL,
    seen_bytes=(TOTAL - 5 * MIB, TOTAL + 5 * MIB),
    bound=UpperBound(TOTAL + 10 * MIB, 0.99, 0.95, 10, "normal theory"),
    low_bytes=TOTAL - 10 * MIB,
    parts_bytes=MEAN_PARTS,
)
HOST_BYTES = 1500 * MIB
SCENARIO = {
    "host": {"memory": HOST_BYTES, "cpus": 2, "kernel_reserve": 150 * MIB, "min_free": 5 * MIB},
    "processes": {"cache": {"program": "redis", "dataset": GIB}},
}


def test_the_bill_adds_up_to_the_host():
    items = answer.bill(NEED, HOST_BYTES, SCENARIO, GIB, "saves")
    assert sum(item.size_bytes for item in items) == HOST_BYTES
    assert [item.name for item in items] == [
        "data set",
        "slack",
        "copies",
        "page tables",
        "kernel stacks",
        "margin",
        "kernel",
        "min watermark",
    ]
    sizes = {item.name: item.size_bytes for item in items}
    assert sizes["data set"] == GIB
    assert sizes["slack"] == 76 * MIB
    assert sizes["copies"] == 200 * MIB


def test_a_bill_without_a_data_set_has_no_slack():
    items = answer.bill(NEED, HOST_BYTES, SCENARIO, None, "runs")
    assert [item.name for item in items][:2] == ["data", "copies"]
    assert sum(item.size_bytes for item in items) == HOST_BYTES


def test_the_lines_to_set():
    lines = {
        line["where"]: line["text"] for line in answer.settings(NEED, 1500 * MIB, SCENARIO, GIB)
    }
    assert lines["Memory of the host"] == "1500 MiB"
    limit_mib = -(-int(NEED.bound.bound + 2 * 64 * 4096) // MIB)
    assert f"--memory={limit_mib}m" in lines["Limit of the container"]
    assert f"MemoryMax={limit_mib}M" in lines["Limit of the container"]
    assert f"memory: {limit_mib}Mi" in lines["Limit of the container"]
    assert lines["redis.conf"] == "maxmemory 1024mb"
    assert lines["/etc/sysctl.conf"] == "vm.overcommit_memory = 1"
    assert lines["Alert, outside a save"].startswith("node_memory_MemAvailable_bytes < ")


def test_maxmemory_is_for_redis_only():
    other = SCENARIO | {"processes": {"web": {"program": "prefork_web"}}}
    assert "redis.conf" not in {line["where"] for line in answer.settings(NEED, GIB, other, GIB)}


def test_the_smallest_host_holds_the_need_and_one_mib_less_does_not():
    def on_host(size):
        return {
            "host": {"memory": size, "kernel_reserve": size // 64 + 100 * MIB, "min_free": 8192}
        }

    need = 1000 * MIB + 1

    def usable(size):
        host = on_host(size)["host"]
        return size - host["kernel_reserve"] - host["min_free"]

    size = smallest_host_bytes(need, on_host)
    assert size % MIB == 0
    assert usable(size) >= need > usable(size - MIB)


def test_a_need_without_spread_is_its_own_bound():
    need = need_of([{"total": 100.0, "data": 90.0}] * 3, content=0.99, confidence=0.95)
    assert need.bound.bound == need.mean_bytes == need.low_bytes == 100.0
    assert need.parts_bytes["data"] == 90.0


@pytest.fixture
def facts(study_file, tmp_path, standin):
    run_study(
        study_file,
        tmp_path / "out",
        quiet=True,
        executors=lambda n: InlineExecutor(standin.simulate),
    )
    return json.loads((tmp_path / "out" / "findings.json").read_text())


def test_the_answer_in_words(facts):
    told = facts["answer"]
    host = next(line["text"] for line in facts["settings"])
    assert told["sentence"] == (
        "A Redis host (data set 256 MiB, writes busy) needs 475 MiB of memory, 1.86 times the "
        "data: 99 % of saves stay within 435 MiB of it, at 95 % confidence (4 runs, normal "
        "theory); the rest is for the kernel."
    )
    assert host == "475 MiB"
    assert any(line.startswith("The fork stalls it for 3.") for line in told["more"])
    assert told["more"][-2] == (
        "Check: not refuted: in 10 runs with fresh random numbers on a host of exactly that size, "
        "0 needed more than the bound and memory ran out in 0; 2 or more would have refuted it, "
        "which has a chance of 80 % if only 72.9 % of saves stay within the bound."
    )
    assert told["more"][-1].startswith("In all 42 trial runs, memory ran out exactly when ")


def test_the_bill_of_a_study_adds_up_to_the_answer(facts):
    assert sum(item["bytes"] for item in facts["bill"]) == 475 * MIB


def test_a_probability_of_zero_is_never_printed(study_file, tmp_path, facts):
    lines = (tmp_path / "out" / "tables" / "oom.csv").read_text().splitlines()[1:]
    never = [line for line in lines if "0 of 2" in line]
    assert never
    own = [line for line in never if line.startswith("check,")]
    assert own
    assert all("at most 84.2 % at 95 %" in line for line in own)  # 1 - sqrt(0.025): two looks
    assert all("(0 %" not in line for line in lines)


def test_hosts_whose_size_came_from_the_same_runs_have_no_limits(tmp_path, facts):
    rows = read_table(tmp_path / "out" / "tables" / "oom.csv")
    around = [row for row in rows if row["part"] == "around"]
    assert around
    assert all(row["low"] == row["high"] == "" for row in around)
    assert all("same random numbers as the bound: no estimate" in row["text"] for row in around)


def test_differences_are_paired_with_the_baseline(tmp_path, facts):
    rows = read_table(tmp_path / "out" / "tables" / "paired.csv")
    assert {row["processes.redis.writes"] for row in rows} == {"busy"}
    assert {row["baseline"] for row in rows} == {"64 MiB · quiet", "256 MiB · quiet"}
    fork = [row for row in rows if row["metric"] == "fork_latency_ns.mean"]
    assert [float(row["low"]) for row in fork] == [0.0, 0.0]  # common random numbers
    assert [float(row["high"]) for row in fork] == [0.0, 0.0]
    assert [row["lost"] for row in rows] == ["0"] * len(rows)


def read_table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
