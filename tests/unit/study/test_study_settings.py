"""What --set, --seed and --plugin change in a study, and in what its runs are known by."""

import json
from pathlib import Path

import pytest

from sim.base.errors import ScenarioError
from sim.base.units import GIB, MIB
from sim.engine.metrics import METRICS
from sim.engine.run import simulate
from sim.program.plugin import load_plugin
from sim.scenario import load_scenario
from sim.scenario.document import Document, parse_document
from sim.scenario.study import load_study
from sim.study.base import planner_again, planner_of, run_key
from sim.study.executor import InlineExecutor
from sim.study.job import WithPlugin
from sim.study.points import label_of
from sim.study.records import flatten
from sim.study.run import report_again, run_study

STUDY = """\
version: 1
name: s
base: redis_bgsave
set: {processes.redis.value: 300 B}
axes:
  processes.redis.dataset: [1 GiB, 2 GiB]
  sizes: {zip: {host.cpus: [1, 2], host.hz: [100, 250]}}
replications: 2
seed: 1
need: {set: {host.memory: 16 GiB}}
"""
PLUGIN = """\
from sim.plugin import program

@program("toucher")
def toucher(task, *, heap_bytes: int):
    region = yield from task.mmap(heap_bytes)
    yield from task.write(region)
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "s.yaml"
    path.write_text(STUDY)
    return path


def planner(file, *settings):
    return planner_of(load_study(file, settings))[0]


def test_a_key_of_the_scenario_changes_every_run(file):
    for cell in planner(file, "processes.redis.writes=7/s", "host.kernel=5.10").main_cells():
        assert cell.scenario["processes"]["redis"]["writes"] == 7
        assert cell.scenario["processes"]["redis"]["value"] == 300
        assert cell.scenario["host"]["kernel"] == "5.10"


def test_a_key_of_the_study_changes_the_study(file):
    changed = planner(file, "replications=5", "answer.content=0.9", "seed=9").study
    assert (changed.replications, changed.answer.content, changed.seed) == (5, 0.9, 9)


def test_an_axis_that_is_set_has_one_level_or_those_of_a_list(file):
    one = planner(file, "processes.redis.dataset=12GiB")
    assert {cell.scenario["processes"]["redis"]["dataset"] for cell in one.main_cells()} == {
        12 * GIB
    }
    listed = planner(file, "processes.redis.dataset=[3GiB, 4GiB]", "axes.sizes.names=[a, b]")
    assert [level.name for level in listed.axes[0].levels] == ["3 GiB", "4 GiB"]
    whole = planner(file, "axes.processes.redis.writes=[1/s, 2/s]")
    assert len(whole.points) == 8


def test_the_point_of_the_answer_is_found_however_its_level_is_written(file):
    for level in ("2GiB", "2 GiB"):
        at = planner(file, f"answer.at.processes.redis.dataset={level}").study.answer.at
        assert at == {"processes.redis.dataset": "2 GiB"}
    with pytest.raises(ScenarioError, match="'3 GiB' is no level of processes.redis.dataset"):
        planner(file, "answer.at.processes.redis.dataset=3GiB")


def test_the_seed_of_the_runs_is_the_studys(file):
    assert planner(file, "run.seed=5").study.seed == 5


def test_need_set_can_be_set(file):
    cells = planner(file, "need.set.host.memory=20GiB").main_cells()
    assert {cell.memory_bytes for cell in cells} == {20 * GIB}


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("host.memory=8GiB", "host.memory: need.set makes the host that the need is measured on"),
        ("host.cpus=4", "host.cpus: the axis 'sizes' sets it; write `--set axes.sizes={...}`"),
        ("replications=none", "replications: the text 'none' is not a whole number"),
        ("answer.contnt=0.9", "answer.contnt: unknown key 'contnt'; did you mean 'content'?"),
        ("seed=", "seed: has no value"),
        ("nonsense", "'nonsense' is not `key.path=value`"),
    ],
)
def test_what_would_have_no_effect_is_refused(file, setting, told):
    with pytest.raises(ScenarioError) as refusal:
        planner(file, setting)
    assert str(refusal.value).startswith(f"<--set>:1: {told}") or told in str(refusal.value)


@pytest.mark.parametrize(
    "setting", ["processes.redis.wirtes=7/s", "hots.cpus=4", "processes.redis.writes=7 parsec"]
)
def test_what_is_wrong_with_the_scenario_is_told_at_the_setting(file, setting):
    with pytest.raises(ScenarioError) as refusal:
        planner(file, setting).main_cells()
    assert str(refusal.value).startswith("<--set>:1: ")


def test_what_the_store_keeps_makes_the_same_cells_again(file):
    text = STUDY.replace("host.cpus: [1, 2], host.hz: [100, 250]", "host.kernel: [5.10, 6.1]")
    file.write_text(text)
    first, kept = planner_of(load_study(file, ["processes.redis.fragmentation=1.10"]))
    again = planner_again(json.loads(json.dumps(kept)))
    assert [axis.levels for axis in again.axes] == [axis.levels for axis in first.axes]
    assert [cell.sha for cell in again.main_cells()] == [cell.sha for cell in first.main_cells()]
    assert first.main_cells()[0].scenario["host"]["kernel"] == "5.10"


def test_a_base_that_is_a_resolved_scenario_is_kept_with_its_units(file):
    planned, _ = planner_of(load_study(file))
    Path("base.yaml").write_text(json.dumps(planned.main_cells()[0].scenario))
    file.write_text(STUDY.replace("base: redis_bgsave", "base: base.yaml"))
    first, kept = planner_of(load_study(file))
    again = planner_again(json.loads(json.dumps(kept)))
    assert [cell.sha for cell in again.main_cells()] == [cell.sha for cell in first.main_cells()]


@pytest.mark.parametrize("text", ["a: 5.10", "a: [1.0, {b: 1e3}]", "a: {b: x, c: null, d: 1.50}"])
def test_a_document_survives_json_with_what_was_written(text):
    document = parse_document(text, "f")
    again = Document.from_json(json.loads(json.dumps(document.to_json())), "f")
    assert repr(again.data) == repr(document.data)


@pytest.fixture
def plugged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(PLUGIN)
    Path("base.yaml").write_text(
        "version: 1\nhost: {memory: 64 MiB, cpus: 1}\nrun: {horizon: 1 s}\n"
        "processes: {p: {program: toucher, heap: 1 MiB}}\n"
    )
    Path("s.yaml").write_text(
        "version: 1\nname: s\nbase: base.yaml\naxes: {processes.p.heap: [1 MiB, 2 MiB]}\n"
        "replications: 1\nseed: 1\n"
    )
    return load_plugin("mine.py")


def test_a_plug_ins_digest_is_part_of_what_a_run_is_known_by(plugged):
    planned, _ = planner_of(load_study("s.yaml"), plugin=plugged)
    (cell, _) = planned.main_cells()
    assert cell.scenario["processes"]["p"]["heap"] == MIB
    keys = {run_key(cell.scenario, 1, 0, digest) for digest in (None, plugged.sha256, "other")}
    assert len(keys) == 3
    with pytest.raises(ScenarioError, match="no program called 'toucher'.*--plugin FILE"):
        planner_of(load_study("s.yaml"))[0].main_cells()


def test_a_study_runs_a_plug_ins_program_and_goes_on_with_it(plugged, tmp_path):
    simulate = WithPlugin(plugged.path, plugged.content)
    Path("mine.py").unlink()  # workers have its bytes

    def go(plugin=plugged):
        return run_study(
            "s.yaml", tmp_path / "out", plugin=plugin, quiet=True,
            executors=lambda n_workers: InlineExecutor(simulate),
        )  # fmt: skip

    first, second = go(), go()
    assert first.n_new >= 2
    assert (first.n_failed, second.n_new) == (0, 0)
    facts = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert facts["provenance"]["command"] == "cowpool study s.yaml --plugin mine.py"
    with pytest.raises(ScenarioError, match=r"^--plugin: the study needs its plug-in mine.py"):
        report_again(tmp_path / "out")
    assert report_again(tmp_path / "out", plugin=plugged).n_done == first.n_done
    Path("mine.py").write_text(PLUGIN + "# another\n")
    other = load_plugin("mine.py")
    with pytest.raises(ScenarioError, match="not the plug-in of the study"):
        report_again(tmp_path / "out", plugin=other)
    assert go(other).n_new == first.n_new


def test_workers_run_a_plug_ins_program(plugged, tmp_path):
    outcome = run_study("s.yaml", tmp_path / "out", plugin=plugged, quiet=True, jobs=1)
    assert outcome.n_new >= 2
    assert outcome.n_failed == 0


def test_a_study_without_a_plug_in_takes_none(file, tmp_path):
    _, kept = planner_of(load_study(file))
    Path("mine.py").write_text(PLUGIN)
    with pytest.raises(ScenarioError, match="without a plug-in; leave it out"):
        planner_again(kept, load_plugin("mine.py"))


def test_a_metric_that_no_run_has_is_told_before_anything_runs(file):
    for asked, meant in (
        ("memory_need", "memory_need_bytes.total"),
        ("fork_latency_ns", "fork_latency_ns.mean"),
        ("oom_kill", "oom_kills"),
    ):
        with pytest.raises(ScenarioError) as refusal:
            planner_of(load_study(file, [f"answer.metric={asked}"]))
        assert f"runs have no metric {asked!r}; did you mean {meant!r}?" in str(refusal.value)
        assert str(refusal.value).startswith("<--set>:1: answer.metric: ")


def test_the_names_of_metrics_are_those_of_a_run():
    of_zram = {"memory_need_bytes.zram"}
    for swap, missing in ((None, of_zram), ({"size": "1 MiB", "device": "zram"}, set())):
        scenario = load_scenario("steps_demo", [f"host.swap={json.dumps(swap)}"] if swap else [])
        metrics = simulate(scenario, seed=1).metrics
        assert {name for name, _ in flatten(metrics)} == set(METRICS) - missing


def test_axes_are_called_what_people_can_tell_apart():
    keys = ["processes.a.dataset", "processes.b.dataset", "host.memory"]
    assert [label_of(key, keys) for key in keys] == ["a dataset", "b dataset", "memory"]
    assert label_of("processes.master.steps.2.repeat.times") == "repeat times"
    assert label_of("run.horizon", ["run.warmup"]) == "horizon"
