"""The limit of a container in a study: made from runs without one, and tried."""

import json
from pathlib import Path

import pytest

from sim.base.errors import ScenarioError
from sim.base.units import MIB, PAGE_BYTES
from sim.cli import main
from sim.scenario.study import load_study
from sim.study.base import planner_of
from sim.study.container import container_cells, names_of, need_bytes

STUDY = """\
version: 1
name: boxed
base: redis_bgsave
set: {run.sample_every: 200 ms, processes.redis.save_every: 500 ms}
axes: {processes.redis.dataset: [16 MiB, 32 MiB]}
replications: 3
seed: 1
need: {set: {host.memory: {times: processes.redis.dataset, by: 4}}}
one_at_a_time: 0
answer: {event: saves, normal_because: a sum}
container:
  set: {processes.redis.dump: 32 MiB, host.memory: 256 MiB, run.sample_every: 1 ms}
  of: {processes.redis.version: ["7.2", "7.0"]}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "boxed.yaml").write_text(STUDY)
    return tmp_path / "boxed.yaml"


def test_the_limit_is_enough_and_less_is_not(study: Path, capsys: pytest.CaptureFixture[str]):
    out = study.parent / "out"
    assert main(["study", str(study), "--out", str(out), "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    (findings,) = out.glob("**/findings.json")
    limits = json.loads(findings.read_text())["container"]
    assert [limit["name"] for limit in limits] == ["7.2", "7.0"]
    for limit in limits:
        assert limit["enough"] == {
            "limit_bytes": limit["limit_bytes"], "killed": 0, "runs": 2
        }  # fmt: skip
        assert limit["short"]["killed"] == limit["short"]["runs"] == 2
        assert limit["short"]["limit_bytes"] < limit["mean_bytes"] < limit["limit_bytes"]
        assert 32 * MIB < limit["mean_bytes"] < 48 * MIB
        assert limit["data_bytes"] == 32 * MIB
    assert limits[0]["cache_bytes"] < 8 * MIB  # synced and dropped
    assert limits[1]["cache_bytes"] == 32 * MIB  # all of the dump, and more than the limit leaves
    assert limits[1]["limit_bytes"] < 32 * MIB + limits[1]["cache_bytes"]
    assert "In a container (dump 32 MiB) it needs a limit of" in said
    assert "somebody was killed in 0 of 4 runs" in said
    assert "in 4 of 4" in said


def test_a_container_has_all_the_processes_and_its_own_changes(study: Path):
    planner, _ = planner_of(load_study(study))
    first, second = container_cells(planner, 1)
    assert names_of(planner) == ["7.2", "7.0"]
    for cell, version in ((first, "7.2"), (second, "7.0")):
        redis = cell.scenario["processes"]["redis"]
        assert redis["version"] == version
        assert redis["group"] == "container"
        assert redis["dataset"] == 32 * MIB
        assert cell.scenario["groups"]["container"]["memory_max"] is None
        assert cell.memory_bytes == 256 * MIB


def test_processes_in_groups_of_their_own_are_not_moved(study: Path):
    (study.parent / "base.yaml").write_text(
        "version: 1\ngroups: {pod: {}}\n"
        "processes: {redis: {program: redis, dataset: 16 MiB, group: pod}}\n"
    )
    study.write_text(STUDY.replace("base: redis_bgsave", "base: base.yaml"))
    planner, _ = planner_of(load_study(study))
    with pytest.raises(ScenarioError, match="container: processes of the base are in groups"):
        container_cells(planner, 0)


def test_what_a_container_needs_is_what_cannot_be_dropped():
    series = {
        "anon_pages": [0, 100, 300, 50],
        "shared_memory_pages": [10, 10, 10, 10],
        "page_tables_pages": [1, 2, 3, 3],
        "kernel_stacks_pages": [4, 4, 8, 4],
        "page_cache_pages": [0, 5000, 9000, 9000],
    }
    of_cache = 9000 * (112 + 592 // 64)  # buffer heads, and nodes of 64 pages
    group = {"slab_bytes": of_cache + 100, "file_bytes": 9000 * PAGE_BYTES}
    result = {"series": series, "groups": {"container": group}}
    peak, step = 300 + 10 + 3 + 8, 321 - 116
    assert need_bytes(result, cpus=2) == (peak + step + 2 * 64) * PAGE_BYTES + 100


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("of: {}", "container.of"),
        ("of: {processes.redis.version: ['7.2'], host.cpus: [2]}", "container.of"),
        ("of: {processes.redis.version: ['7.2']}\n  tried: 0", "container.tried"),
        ("of: {processes.redis.version: ['7.2']}\n  less: 2", "container.less"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(study: Path, line: str, told: str):
    text = STUDY.replace('of: {processes.redis.version: ["7.2", "7.0"]}', line)
    study.write_text(text)
    with pytest.raises(ScenarioError) as refusal:
        planner_of(load_study(study))
    assert told in str(refusal.value)
    assert refusal.value.line
