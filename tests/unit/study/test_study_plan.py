import hashlib
import json

import pytest

from sim.base.errors import ScenarioError
from sim.base.units import GIB, MIB
from sim.scenario.document import parse_document
from sim.scenario.resolve import RESULTS_VERSION
from sim.scenario.study import load_study, parsed_study
from sim.study.base import planner_of, run_key, run_keys
from sim.study.points import axes_of, points_of


def study(text, tmp_path):
    head = "version: 1\nname: s\nbase: redis_bgsave\nseed: 1\nreplications: 2\n"
    return parsed_study(parse_document(head + text, "s.yaml"), tmp_path)


def planner(text, tmp_path):
    return planner_of(study(text, tmp_path))[0]


def names(axes):
    return [[level.name for level in axis.levels] for axis in axes]


def test_axes_are_lists_mappings_or_zipped(tmp_path):
    text = """
axes:
  host.cpus: [1, 2]
  processes.redis.writes: {quiet: 10/s, busy: 1000/s}
  machine: {zip: {host.hz: [100, 1000], policy.memory: [oom, wait]}, names: [slow, fast]}
"""
    axes = axes_of(study(text, tmp_path))
    assert names(axes) == [["1", "2"], ["quiet", "busy"], ["slow", "fast"]]
    assert axes[2].levels[1].sets == {"host.hz": 1000, "policy.memory": "wait"}
    points = points_of(axes)
    assert [point.levels for point in points[:3]] == [
        ("1", "quiet", "slow"),
        ("1", "quiet", "fast"),
        ("1", "busy", "slow"),
    ]
    assert len(points) == 8


def test_zipped_levels_without_names_are_named_by_their_values(tmp_path):
    text = "axes: {machine: {zip: {host.hz: [100, 1000], host.cpus: [1, 4]}}}"
    assert names(axes_of(study(text, tmp_path))) == [["100 · 1", "1000 · 4"]]


def test_every_point_is_resolved_with_its_levels(tmp_path):
    text = "axes: {processes.redis.dataset: [64 MiB, 1 GiB]}\nset: {host.cpus: 3}"
    cells = planner(text, tmp_path).main_cells()
    assert [cell.scenario["processes"]["redis"]["dataset"] for cell in cells] == [64 * MIB, GIB]
    assert {cell.scenario["host"]["cpus"] for cell in cells} == {3}
    assert {cell.part for cell in cells} == {"runs"}


def test_a_value_may_be_a_multiple_of_another(tmp_path):
    text = """
axes: {processes.redis.dataset: [64 MiB, 1 GiB]}
need: {set: {host.memory: {times: processes.redis.dataset, by: 3}}}
"""
    cells = planner(text, tmp_path).main_cells()
    assert [cell.memory_bytes for cell in cells] == [192 * MIB, 3 * GIB]


def test_defaults_follow_the_memory_of_each_host(tmp_path):
    text = """
axes: {processes.redis.dataset: [1 GiB]}
need: {set: {host.memory: {times: processes.redis.dataset, by: 4}}}
check: {times: processes.redis.dataset, by: [1.5, 3]}
"""
    small, large = planner(text, tmp_path).check_cells()
    assert small.scenario["host"]["kernel_reserve"] < large.scenario["host"]["kernel_reserve"]
    assert small.scenario["host"]["min_free"] < large.scenario["host"]["min_free"]


def test_hosts_around_the_answer_are_multiples_of_it(tmp_path):
    text = """
axes: {processes.redis.dataset: [1 GiB]}
need: {set: {host.memory: 4 GiB}}
check: {times: processes.redis.dataset, by: [2], around: [0.5, 1.0]}
"""
    cells = planner(text, tmp_path).around_cells({0: 2 * GIB})
    assert [cell.memory_bytes for cell in cells] == [GIB, 2 * GIB]


def test_a_points_place_never_enters_its_run(tmp_path):
    alone = planner("axes: {host.cpus: [2]}", tmp_path).main_cells()[0]
    later = planner("axes: {host.cpus: [1, 2]}", tmp_path).main_cells()[1]
    assert run_key(alone.scenario, 1, 0) == run_key(later.scenario, 1, 0)
    assert run_key(alone.scenario, 1, 0) != run_key(alone.scenario, 1, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("axes: {host.memori: [1 GiB]}", r"s.yaml:6: axes.host.memori: .*did you mean 'memory'"),
        ("axes: {host.memory: [1 GB, 2 parsec]}", r"s.yaml:6: axes.host.memory: .*parsec"),
        ("axes: {host.cpus: []}", r"s.yaml:6: axes.*at least one level"),
        ("axes: {host.cpus: [1, 1]}", r"s.yaml:6: axes.host.cpus: two levels"),
        ("axes: {}", r"s.yaml:6: axes: "),
        (
            "axes: {m: {zip: {host.cpus: [1], host.hz: [100, 250]}}}",
            r"s.yaml:6: axes.*equally many",
        ),
        ("axes: {host.cpus: [1]}\nsett: {}", r"s.yaml:7: sett: unknown key"),
        ("axes: {host.cpus: [1]}\nset: {host.cpus: 2}", r"s.yaml:6: axes.host.cpus: .*besides"),
        ("axes: {host.cpus: [1]}\nlabels: {x: y}", r"s.yaml:\d: .*no axis"),
        ("axes: {host.cpus: [1]}\nbaseline: {host.cpus: 7}", r"s.yaml:7: baseline.*'7'"),
        ("axes: {host.cpus: [1]}\ncheck: {times: host.cpus, by: [1]}", r"s.yaml.*needs `need`"),
        (
            "axes: {host.cpus: [1]}\nneed: {set: {host.memory: {times: host.nothing, by: 2}}}",
            r"s.yaml:7: need.set.host.memory: .*no number",
        ),
        ("axes: {processes.rediss.writes: [1/s]}", r"s.yaml:6: .*did you mean 'redis'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, message, tmp_path):
    with pytest.raises(ScenarioError, match=message):
        planner(text, tmp_path).main_cells()


def test_a_base_that_is_not_there_is_the_studys_mistake(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("version: 1\nname: s\nbase: rediss\nseed: 1\nreplications: 1\naxes: {a: [1]}\n")
    with pytest.raises(ScenarioError, match=r"s.yaml:3: base: "):
        planner_of(load_study(path))


def test_a_base_may_lie_beside_the_study(tmp_path):
    (tmp_path / "own.yaml").write_text(
        "version: 1\nname: own\nhost: {memory: 2 GiB, cpus: 1}\n"
        "processes: {redis: {program: redis, dataset: 64 MiB}}\nrun: {horizon: 1 s}\n"
    )
    path = tmp_path / "s.yaml"
    path.write_text(
        "version: 1\nname: s\nbase: own.yaml\nseed: 1\nreplications: 1\naxes: {host.cpus: [2]}\n"
    )
    cells = planner_of(load_study(path))[0].main_cells()
    assert cells[0].memory_bytes == 2 * GIB


@pytest.mark.parametrize("plugin", [None, "5a7e"])
def test_runs_are_known_by_the_digest_of_all_that_determines_them(study_file, plugin):
    scenario = planner_of(load_study(study_file))[0].main_cell(0).scenario
    run = {key: value for key, value in scenario["run"].items() if key not in ("seed", "burst")}
    identity = {
        "scenario": {**scenario, "run": run},
        "seed": 5,
        "results_version": RESULTS_VERSION,
        **({"plugin": plugin} if plugin else {}),
    }
    texts = [
        json.dumps({**identity, "replication": n}, sort_keys=True, separators=(",", ":"))
        for n in (0, 7, 1_000_000)
    ]
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    assert run_keys(scenario, 5, [0, 7, 1_000_000], plugin) == digests
