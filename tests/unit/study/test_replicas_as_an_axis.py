"""How many replicas there are may be an axis: each is a server of its own, in its own group.

Against the simulator itself: small servers, real runs.
"""

import json
from contextlib import closing

import pytest

from sim.scenario import load_scenario
from sim.study.executor import InlineExecutor
from sim.study.points import value_at
from sim.study.records import read_records
from sim.study.run import run_study
from sim.study.store import STORE_NAME, Store

POD = """\
version: 1
host: {memory: 256 MiB, cpus: 2}
groups: {pod: {memory_max: 16 MiB}}
processes:
  redis:
    program: redis
    dataset: 2 MiB
    writes: 2000/s
    save_every: 100 ms
    save_speed: 20 MiB/s
    saves: 1
    phase: random
    group: pod
    replicas: 2
"""
STUDY = """\
version: 1
name: pods
base: pod.yaml
axes:
  processes.redis.replicas: LEVELS
  processes.redis.phase: [together, random]
labels: {processes.redis.replicas: pods}
replications: 3
seed: 11
one_at_a_time: 0
need: {set: {host.memory: 512 MiB}}
answer:
  at: {processes.redis.replicas: 3, processes.redis.phase: random}
  subject: a node
  event: runs
metrics: [forks, oom_kills]
"""


@pytest.fixture
def study(tmp_path):
    (tmp_path / "pod.yaml").write_text(POD)

    def carried_out(levels="[1, 3]"):
        (tmp_path / "pods.yaml").write_text(STUDY.replace("LEVELS", levels))
        out = tmp_path / "out"
        executors = lambda n: InlineExecutor()  # noqa: E731
        outcome = run_study(tmp_path / "pods.yaml", out, quiet=True, executors=executors)
        with closing(Store(out / STORE_NAME)) as store:
            records, failures = read_records(store)
            results = {r.place: store.result(r.key) for r in records}
        assert not failures
        return outcome, {r.place: r for r in records}, results, out

    return carried_out


def test_a_point_has_as_many_servers_as_its_level_says(study):
    outcome, records, results, out = study()
    assert outcome.n_new == len(records) == 2 * 2 * 3
    kept = json.loads((out / "findings.json").read_text())
    levels = {level["name"]: level["value"] for level in kept["study"]["axes"][0]["levels"]}
    assert levels == {"1": 1, "3": 3}
    for place, record in records.items():
        n = 1 if place.point < 2 else 3
        result = results[place]
        parents = {p["name"] for p in result["processes"] if "/" not in p["name"]}
        assert parents == ({"redis"} if n == 1 else {"redis.1", "redis.2", "redis.3"})
        assert set(result["groups"]) == ({"pod"} if n == 1 else {"pod.1", "pod.2", "pod.3"})
        assert record.scalars["forks"] == n  # each saves once, in a group that holds it
        assert record.scalars["oom_kills"] == 0
    data = {
        (place.point, place.replication): record.scalars["memory_need_bytes.data"]
        for place, record in records.items()
    }
    assert all(data[point + 2, r] == 3 * data[point, r] for point in (0, 1) for r in range(3))
    assert "A node (pods 3, phase random) needs about " in outcome.answer


def test_replicas_save_together_or_each_at_a_time_of_its_own(study):
    _, records, results, _ = study("[3]")

    def forks(place):
        return sorted(m["t_ns"] for m in results[place]["marks"] if m["kind"] == "fork")

    together = [forks(place) for place in records if place.point == 0]
    apart = [forks(place) for place in records if place.point == 1]
    assert all(len(times) == 3 for times in together + apart)
    assert all(times[-1] - times[0] < 10_000_000 for times in together)
    assert all(times[-1] - times[0] > 10_000_000 for times in apart)
    assert len({tuple(times) for times in apart}) == 3  # and otherwise in each replication


def test_one_more_level_makes_only_its_own_runs(study):
    _, before, _, _ = study()
    outcome, after, _, _ = study("[1, 3, 4]")
    assert outcome.n_new == 2 * 3
    assert {r.key for r in before.values()} < {r.key for r in after.values()}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("processes.redis.replicas", 2),
        ("groups.pod.replicas", 2),
        ("groups.pod.limits.memory", 16 << 20),
        ("processes.cron.replicas", 5),
        ("processes.redis.dataset", 2 << 20),
        ("processes.none.replicas", None),
    ],
)
def test_a_value_is_found_where_a_resolved_scenario_has_it(tmp_path, key, value):
    cron = "  cron: {program: steps, steps: [exit: 0], replicas: 5}\n"
    (tmp_path / "pod.yaml").write_text(
        POD.replace("memory_max: 16 MiB", "limits: {memory: 16Mi}") + cron
    )
    assert value_at(load_scenario(tmp_path / "pod.yaml"), key) == value
