"""Replicas and copies may start staggered: each at a random time, which its name decides."""

import pytest

from sim.base.errors import ScenarioError
from sim.base.units import MS, S
from sim.engine.run import simulate
from sim.scenario import load_scenario

POD = """\
version: 1
host: {{memory: 256 MiB, cpus: 2}}
groups: {{node: {{}}, pod: {{parent: node, memory_max: 16 MiB}}}}
processes:
{other}  app:
    program: steps
    steps: [{{sleep: 1 ms}}]
    start: 1 s
    {keys}
run: {{horizon: 30 s}}
"""
OTHER = "  other: {program: steps, start_within: 3 s, steps: [{sleep: 1 ms}]}\n"


@pytest.fixture
def resolved(tmp_path):
    """Return what resolves the scenario above with such keys of `app`."""

    def resolve(keys, other=""):
        path = tmp_path / "pods.yaml"
        path.write_text(POD.format(keys=keys, other=other))
        return load_scenario(str(path))

    return resolve


@pytest.fixture
def starts(resolved):
    """Return what says when each process starts, in ns: but a sleep, nothing is behind that."""

    def carried_out(keys, *, other="", replication=0):
        document = simulate(resolved(keys, other), seed=1, replication=replication).document
        return {p["name"]: p["ended_ns"] - MS for p in document["processes"]}

    return carried_out


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (
            "group: pod\n    replicas: 4\n    start_within: 10 s",
            [f"app.{n}" for n in (1, 2, 3, 4)],
        ),
        ("copies: 3\n    start_within: 10 s", ["app.1", "app.2", "app.3"]),
        (
            "group: pod\n    replicas: 2\n    copies: 2\n    start_within: 10 s",
            ["app.1.1", "app.1.2", "app.2.1", "app.2.2"],
        ),
        ("start_within: 10 s", ["app"]),
    ],
)
def test_each_starts_at_a_time_of_its_own(starts, keys, names):
    found = starts(keys)
    assert sorted(found) == names
    assert all(S <= at < 11 * S + MS for at in found.values())
    assert len({round(at / (100 * MS)) for at in found.values()}) == len(names)


def test_a_replica_starts_at_the_same_time_whatever_else_changes(starts):
    four = starts("group: pod\n    replicas: 4\n    start_within: 10 s")
    two = starts("group: pod\n    replicas: 2\n    start_within: 10 s", other=OTHER)
    for name in ("app.1", "app.2"):
        assert two[name] == pytest.approx(four[name], abs=MS)
    half = starts("group: pod\n    replicas: 4\n    start_within: 5 s")
    for name, at in four.items():
        assert half[name] - S == pytest.approx((at - S) / 2, abs=MS)
    again = starts("group: pod\n    replicas: 4\n    start_within: 10 s", replication=1)
    assert all(abs(again[name] - at) > MS for name, at in four.items())


def test_starts_are_spread_evenly(starts):
    found = starts("copies: 400\n    start_within: 20 s")
    shares = sorted((at - S) / (20 * S) for at in found.values())
    worst = max(abs(share - (k + 0.5) / 400) for k, share in enumerate(shares))
    assert worst < 0.1  # Kolmogorov-Smirnov: beyond .098 with a chance of 1e-3


def test_without_it_all_start_together_and_the_scenario_is_what_it_was(starts, resolved):
    together = starts("copies: 3")
    assert all(at == pytest.approx(S, abs=MS) for at in together.values())
    assert "start_within" not in resolved("copies: 3")["processes"]["app"]
    assert resolved("start_within: 0 s") == resolved("cpu: null")
    assert resolved("start_within: 2 s")["processes"]["app"]["start_within"] == 2 * S


def test_nobody_may_start_after_the_end(resolved):
    with pytest.raises(ScenarioError, match=r"start_within: some would start at 31 s, and the run"):
        resolved("start_within: 30 s")
    resolved("start_within: 29 s")
