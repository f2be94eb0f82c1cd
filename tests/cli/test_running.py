"""`cowpool run` from end to end: one JSON document, exit statuses, seeds, bursts, plug-ins."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sim.base.resources import shipped
from sim.cli import main
from sim.scenario import resolve
from sim.scenario.resolve import RESULTS_VERSION, scenario_sha256

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
COUNTS = {
    "forks", "vforks", "execs", "exits", "fork_failures", "minor_faults", "major_faults",
    "zero_fills", "zero_page_maps", "cow_copies", "cow_reuses", "file_maps", "spurious_faults",
    "swap_maps", "segfaults", "bus_errors", "oom_kills", "direct_reclaims", "pages_swapped_in",
    "pages_swapped_out", "context_switches",
}  # fmt: skip
LATENCIES = {
    "fault_latency_ns", "fork_latency_ns", "vfork_latency_ns", "request_latency_ns",
    "runqueue_wait_ns",
}  # fmt: skip
KINDS = (
    "zero_fills",
    "zero_page_maps",
    "cow_copies",
    "cow_reuses",
    "file_maps",
    "spurious_faults",
    "swap_maps",
)

SMALL = """\
version: 1
host: {memory: 64 MiB, cpus: 2}
processes:
  parent:
    program: steps
    steps:
      - mmap: {name: A, size: 4 MiB}
      - write: A
      - fork: [{write: {region: A, pages: 100}}, {read: A}]
      - write: {region: A, pattern: {uniform: 300}, arrivals: {poisson: 100000/s}}
      - wait
      - write: A
run: {horizon: 1 s}
"""

STUCK = """\
version: 1
host: {memory: 1 MiB, cpus: 1, kernel_reserve: 0, min_free: 0, percpu_batch: 0}
policy: {memory: wait}
processes:
  a: &greedy
    program: steps
    steps:
      - mmap: {name: A, size: 640 KiB}
      - write: {region: A, pages: 80}
      - sleep: 1 ms
      - write: A
  b: *greedy
run: {horizon: 1 s}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "stuck.yaml").write_text(STUCK)
    return tmp_path


def run_json(capsys, *arguments, status=0):
    assert main(["run", *arguments, "--json"]) == status
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def test_the_document_keeps_the_contract(here, capsys):
    document = run_json(capsys, "small.yaml")
    metrics = document["metrics"]
    assert metrics.keys() >= COUNTS
    for name in LATENCIES:
        assert {"count", "mean", "p50", "p90", "p99", "p999", "max"} <= metrics[name].keys()
    assert metrics["minor_faults"] == sum(metrics[kind] for kind in KINDS)
    assert {"min", "mean", "end"} <= metrics["free_pages"].keys()
    need = metrics["memory_need_bytes"]
    parts = {"data", "cow_copies", "page_tables", "kernel_stacks", "page_cache"}
    assert need.keys() == {"total", "shared_memory", "hugetlb"} | parts
    assert need["total"] == sum(size for part, size in need.items() if part != "total")
    assert {"cpu_busy_fraction", "psi_memory_some", "psi_memory_full"} <= metrics.keys()
    assert document["ending"] == "idle"
    assert document["simulated_ns"] > 0
    assert document["schema_version"] == 1
    parent, child = document["processes"]
    assert (parent["name"], parent["ended"], child["ended"]) == ("parent", "exit 0", "exit 0")


def test_the_counts_are_those_on_paper(here, capsys):
    metrics = run_json(capsys, "small.yaml")["metrics"]
    assert (metrics["forks"], metrics["exits"]) == (1, 2)
    assert metrics["zero_fills"] == 1024
    assert metrics["request_latency_ns"]["count"] == 300
    assert metrics["fork_latency_ns"]["count"] == 1


def test_nothing_measured_is_null(here, capsys):
    latency = run_json(capsys, "stuck.yaml", status=1)["metrics"]["fork_latency_ns"]
    assert latency == {"count": 0, **dict.fromkeys(("mean", "p50", "p90", "p99", "p999", "max"))}


def test_the_provenance_is_enough_to_run_it_again(here, capsys):
    first = run_json(capsys, "small.yaml", "--seed", "5", "--replication", "3")
    provenance = first["provenance"]
    assert (provenance["seed"], provenance["replication"]) == (5, 3)
    assert provenance["results_version"] == RESULTS_VERSION
    scenario = provenance["scenario"]
    assert resolve(scenario) == scenario
    assert provenance["sha256"] == scenario_sha256(scenario, 5, 3, RESULTS_VERSION)
    Path("again.yaml").write_text(json.dumps(scenario))
    again = run_json(capsys, "again.yaml", "--replication", "3")
    assert again == first


def test_seed_and_replication_decide_and_burst_does_not(here, capsys):
    base = run_json(capsys, "small.yaml")
    for arguments in (["--burst", "1"], ["--burst", "7"], ["--burst", "0"], ["--check"]):
        other = run_json(capsys, "small.yaml", *arguments)
        assert other["provenance"]["sha256"] == base["provenance"]["sha256"]
        assert without_provenance(other) == without_provenance(base), arguments
    for arguments in (["--seed", "2"], ["--replication", "1"], ["--set", "run.seed=9"]):
        other = run_json(capsys, "small.yaml", *arguments)
        assert without_provenance(other) != without_provenance(base), arguments


def without_provenance(document):
    return {key: value for key, value in document.items() if key != "provenance"}


def test_the_same_bytes_whatever_the_hash_seed(here):
    command = [sys.executable, "-m", "sim", "run", "small.yaml", "--json"]
    outs = {
        subprocess.run(
            command, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "12345")
    }
    assert len(outs) == 1


def test_a_deadlock_is_the_answer_no_and_says_who_waits(here, capsys):
    assert main(["run", "stuck.yaml"]) == 1
    out, err = capsys.readouterr()
    assert "DEADLOCK" in out
    assert "a waits for" in out
    assert "b waits for" in out
    assert err == ""


def test_a_run_that_does_not_answer_ends_with_1_and_says_why_first(here, capsys):
    cut = ["run", "small.yaml", "--set", "run.horizon=100 us"]
    assert main(cut) == 1
    out, _ = capsys.readouterr()
    assert out.startswith("error: unfinished: parent: cut off by the horizon, at 100 us")
    assert main([*cut, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert not document["answered"]
    assert [finding["code"] for finding in document["validity"]] == ["unfinished"]
    assert main([*cut, "--set", "run.expect=[unfinished]"]) == 0
    assert capsys.readouterr().out.startswith("note: unfinished")


def test_a_setting_changes_the_run(here, capsys):
    setting = ("--set", "policy.memory=oom", "--set", "run.expect=[killed]")
    document = run_json(capsys, "stuck.yaml", *setting)
    assert document["metrics"]["oom_kills"] == 1
    assert document["ending"] == "idle"


def test_a_table_for_people(here, capsys):
    assert main(["run", "small.yaml"]) == 0
    out, err = capsys.readouterr()
    assert "small:" in out
    assert "zero fills" in out
    assert err == ""


def test_programs_and_schedulers_of_a_plugin(here, capsys):
    program = str(EXAMPLES / "pool_map.py")
    Path("pool.yaml").write_text(
        "version: 1\nhost: {memory: 256 MiB}\nrun: {horizon: 10 s}\n"
        "processes: {p: {program: pool_map, table: 4 MiB, workers: 2, rows_per_worker: 50}}\n"
    )
    document = run_json(capsys, "pool.yaml", "--plugin", program)
    assert document["metrics"]["forks"] == 2
    assert len(document["provenance"]["plugin_sha256"]) == 64
    assert main(["run", "pool.yaml"]) == 2
    assert "no program called 'pool_map'" in capsys.readouterr().err
    scheduler = str(EXAMPLES / "last_come.py")
    setting = ("--set", "policy.scheduler.kind=last_come")
    assert run_json(capsys, "small.yaml", *setting, "--plugin", scheduler)["ending"] == "idle"
    assert main(["explain", "small.yaml", *setting, "--plugin", scheduler]) == 0
    assert main(["run", "small.yaml", *setting]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped("scenarios"))
def test_scenarios_that_ship_run_without_a_kill(name, here, capsys):
    document = run_json(capsys, name)
    assert document["ending"] in ("idle", "horizon")
    assert document["metrics"]["oom_kills"] == 0
    assert document["metrics"]["segfaults"] == 0
    assert document["metrics"]["fork_failures"] == 0


def test_what_ships_is_found_from_anywhere(here, capsys):
    assert run_json(capsys, "steps_demo")["metrics"]["zero_fills"] == 4096
