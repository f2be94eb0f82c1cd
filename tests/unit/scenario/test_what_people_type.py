"""What people type, as they know it from elsewhere: read as they mean it, or told in one line."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.base.errors import ScenarioError
from sim.base.units import GIB, MIB, S
from sim.scenario import load_scenario, resolve
from sim.scenario.document import WrittenNumber, parse_value
from sim.study.points import value_at

SCENARIO = """\
version: 1
host: {memory: 4 GiB, cpus: 2, overcommit: {mode: 2, ratio: 80}}
processes:
  redis: {program: redis, dataset: 1 GiB}
  p: {program: steps, steps: [{mmap: {name: A, size: 1 MiB}}, {write: A}, {wait: }]}
run: {horizon: 20 s}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(SCENARIO)
    return path


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("host.kernel=6.12", "host.kernel", "6.12"),
        ("host.kernel=5.10", "host.kernel", "5.10"),
        ('host.kernel="5.10"', "host.kernel", "5.10"),
        ("host.kernel=6.1", "host.kernel", "6.1"),
        ("host.kernel=6.8.0-45-generic", "host.kernel", "6.8"),
        ("host.kernel=5.15.0", "host.kernel", "5.15"),
        ("host.overcommit=1", "host.overcommit", {"mode": 1, "ratio": 80}),
        ("host.overcommit.mode=1", "host.overcommit", {"mode": 1, "ratio": 80}),
        ("host.overcommit={mode: 1}", "host.overcommit", {"mode": 1, "ratio": 50}),
        ("host.overcommit=null", "host.overcommit", {"mode": 0, "ratio": 50}),
        ("host.memory=500Mi", "host.memory", 500 * MIB),
        ("host.memory=6gb", "host.memory", 6 * GIB),
        ("host.memory=512m", "host.memory", 512 * MIB),
        ("host.memory=16gib", "host.memory", 16 * GIB),
        ("host.memory=8GB", "host.memory", 8 * 10**9 // 4096 * 4096),
        ("host.swap=0", "host.swap", 0),
        ("host.cpus=2000m", "host.cpus", 2),
        ("host.cpus=4.0", "host.cpus", 4),
        ("processes.redis.version=7.2.4", "processes.redis.version", "7.2"),
        ("processes.redis.version=7", "processes.redis.version", "7.0"),
        ("processes.redis.version=v6.2", "processes.redis.version", "6.2"),
        ("processes.redis.version=valkey 8.1", "processes.redis.version", "valkey 8.1"),
        ("processes.redis.version=Valkey 8.1.3", "processes.redis.version", "valkey 8.1"),
        ("processes.redis.version=redis:7.4", "processes.redis.version", "7.4"),
        ("processes.redis.writes=300/sec", "processes.redis.writes", 300),
        ("processes.redis.writes=300", "processes.redis.writes", 300),
        ("processes.redis.save_every=0", "processes.redis.save_every", 0),
        ("processes.redis.save_every=5 minutes", "processes.redis.save_every", 300 * S),
        ("processes.redis.value=300B", "processes.redis.value", 300),
        ("processes.redis.writes=5,000/s", "processes.redis.writes", 5000),
        ("processes.redis.value=1,000 B", "processes.redis.value", 1000),
        ("host.memory=.5GiB", "host.memory", 512 * MIB),
        ("run.horizon=2m", "run.horizon", 120 * S),
        ("run.horizon=90sec", "run.horizon", 90 * S),
    ],
)
def test_it_is_read_as_it_is_meant(file, setting, key, value):
    assert value_at(load_scenario(file, [setting]), key) == value


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("host.memory=", "host.memory: has no value; write one behind `=`"),
        ("host.memory=8", "host.memory: 8 has no unit; write e.g. `8 GiB`, `8 MiB` or `8 B`"),
        ("host.memory=8G", "host.memory: '8G' has two meanings; write e.g. `8 GiB` (binary) or"),
        ("host.memory=8 gigs", "host.memory: '8 gigs' has the unknown unit 'gigs'"),
        ("processes.redis.save_every=2", "save_every: 2 has no unit; write e.g. `2 s` or `2 ms`"),
        ("processes.redis.save_speed=200", "200 has no unit; write e.g. `200 MiB/s`"),
        ("processes.redis.writes=5k", "'5k' is not a rate; write e.g. `20000/s`"),
        ("processes.redis.version=latest", "'latest' is not a version of Redis; write e.g. `7.2`"),
        ("processes.redis.version=99", "there is no Redis 99.0 here; write 2.4 to 9.x"),
        ("processes.redis.version=valkey 7.0", "there is no Valkey 7.0 here; write 7.2 to 9.x"),
        ("host.cpus=500m", "host.cpus: a host has whole CPUs, not 500m; write e.g. `1`"),
        ("host.cpus=1.5", "host.cpus: a host has whole CPUs, not 1.5; write e.g. `2`"),
        ("host.kernel=6", "host.kernel: '6' is not a kernel version; write e.g."),
        ("host.kernel=latest", "host.kernel: 'latest' is not a kernel version"),
        (
            "host.overcommit=never",
            "overcommit.mode: the text 'never' is not one of them; write 0, 1 or 2",
        ),
        ("host.memory=8,5 GiB", "host.memory: '8,5 GiB' is not a quantity; write e.g. `16 GiB`"),
        ("host.overcommit=3", "host.overcommit.mode: the number 3 is not one of them; write 0"),
        ("processes.p.steps.0.mmap.size=4096", "mmap.size: 4096 has no unit; write e.g."),
    ],
)
def test_what_cannot_be_meant_is_told(file, setting, told):
    with pytest.raises(ScenarioError) as refusal:
        load_scenario(file, [setting])
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_word_for_the_mode_of_overcommit_is_told_its_numbers():
    with pytest.raises(ScenarioError, match="'never' is no mode; write 0 "):
        load_scenario("redis_bgsave", ["host.overcommit=never"])


def test_a_resolved_scenario_loads_from_its_file_and_its_settings_need_units(file, tmp_path):
    resolved = load_scenario(file, ["host.kernel=5.10"])
    assert resolved["resolved"] is True
    again = tmp_path / "resolved.yaml"
    again.write_text(json.dumps(resolved))
    assert load_scenario(again) == resolved == resolve(resolved)
    assert load_scenario(again, ["host.cpus=3"])["host"]["cpus"] == 3
    with pytest.raises(ScenarioError, match="save_every: 2 has no unit"):
        load_scenario(again, ["processes.redis.save_every=2"])
    del resolved["resolved"]
    again.write_text(json.dumps(resolved))
    with pytest.raises(ScenarioError, match="has no unit"):
        load_scenario(again)


@pytest.mark.parametrize("key", ["name", "host", "policy", "processes", "run"])
def test_a_key_without_a_value_is_refused_in_a_file(key, tmp_path):
    path = tmp_path / "s.yaml"
    whole = {"version": 1, "processes": {"p": {"program": "redis"}}, "run": {"horizon": "1 s"}}
    whole.pop(key, None)
    path.write_text("".join(f"{k}: {json.dumps(v)}\n" for k, v in whole.items()) + f"{key}:\n")
    with pytest.raises(ScenarioError, match=f"{key}: has no value; write one after the colon"):
        load_scenario(path)


def test_a_comment_and_an_explicit_null_are_no_empty_values(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(SCENARIO.replace("cpus: 2", "cpus: 2, thp: null"))
    assert load_scenario(path)["host"]["thp"] == "never"


@settings(max_examples=200, deadline=None)
@given(st.from_regex(r"[0-9]{1,4}\.[0-9]{1,4}", fullmatch=True))
def test_a_number_is_the_number_and_keeps_its_text(text):
    value, _ = parse_value(text, "f")
    assert value == float(text)
    assert str(value) == text
    assert isinstance(value, WrittenNumber) == (repr(float(text)) != text)
    assert json.loads(json.dumps(value)) == float(text)
