"""--set changes one value and says so when it cannot."""

import json

import pytest

from sim.base.errors import ScenarioError
from sim.scenario import load_scenario
from sim.scenario.document import Document
from sim.scenario.overrides import apply_settings


def server(task: object, *, dataset_bytes: int, sizes: list[int] | None = None) -> None: ...


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "s.yaml"
    data = {
        "version": 1,
        "host": {"memory": "8 GiB", "zones": [{"name": "a", "memory": "8 GiB"}]},
        "processes": {"db": {"program": "server", "dataset": "4 KiB", "sizes": [1, 2]}},
        "run": {"horizon": "1 s"},
    }
    path.write_text(json.dumps(data, indent=1))
    return path


def load(file, *settings):
    return load_scenario(file, settings, {"server": server})


def test_values_are_yaml(file):
    found = load(
        file,
        "host.memory=16 GiB",
        "host.zones=null",
        "processes.db.sizes.1=5",
        "policy.scheduler={kind: fifo}",
        "processes.other={program: server, dataset: 1 B}",
    )
    assert found["host"]["memory"] == 16 << 30
    assert found["processes"]["db"]["sizes"] == [1, 5]
    assert found["policy"]["scheduler"]["kind"] == "fifo"
    assert list(found["processes"]) == ["db", "other"]


def test_the_last_setting_wins(file):
    assert load(file, "run.seed=1", "run.seed=2")["run"]["seed"] == 2


def test_a_new_process_can_be_built_key_by_key(file):
    found = load(file, "processes.b.program=server", "processes.b.dataset=1 MiB")
    assert found["processes"]["b"]["dataset"] == 1 << 20


def test_the_source_is_left_alone():
    document = Document({"a": {"b": [1]}}, "f")
    changed = apply_settings(document, ["a.b.0=2"])
    assert document.data == {"a": {"b": [1]}}
    assert changed.data == {"a": {"b": [2]}}


@pytest.mark.parametrize(
    ("setting", "where", "message"),
    [
        ("host.memry=1 GiB", "<--set>:1: host.memry", "did you mean 'memory'"),
        ("hots.memory=1 GiB", "<--set>:1: hots", "did you mean 'host'"),
        ("processes.dbb.dataset=1", "<--set>:1: processes.dbb.dataset", "did you mean 'db'"),
        ("processes.db.datset=1", "<--set>:1: processes.db.datset", "did you mean 'dataset'"),
        ("host.memory.size=1", "<--set>:1: host.memory.size", "has no keys"),
        ("host.zones.3.name=x", "<--set>:1: host.zones.3.name", "is a list of 1"),
        ("host.zones.x=x", "<--set>:1: host.zones.x", "is a list of 1"),
        ("host.memory", "<--set>:1", "is not `key.path=value`"),
        ("=3", "<--set>:1", "is not `key.path=value`"),
        ("host.memory=[1", "<--set>:1", "not valid YAML"),
        ("host.memory=!!python/name:os.system 1", "<--set>:1", "tag"),
        ("host.memory=-1", "<--set>:1: host.memory", "negative"),
        ("host.cpus=two", "<--set>:1: host.cpus", "not a whole number"),
        ("run.horizon=", "<--set>:1: run.horizon", "has no value"),
        ("host.memory=", "<--set>:1: host.memory", "has no value"),
        ("host.memory= ", "<--set>:1: host.memory", "has no value"),
        ("host.zones=", "<--set>:1: host.zones", "has no value"),
    ],
)
def test_what_cannot_be_set_is_refused(file, setting, where, message):
    with pytest.raises(ScenarioError) as refusal:
        load(file, setting)
    text = str(refusal.value)
    assert text.startswith(where + ": ")
    assert message in text


def test_the_line_is_the_number_of_the_setting(file):
    with pytest.raises(ScenarioError, match=r"^<--set>:2: host.cpus"):
        load(file, "run.seed=1", "host.cpus=0")
