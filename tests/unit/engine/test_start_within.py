"""Replicas and copies may start staggered: each at a random time, which its name decides.

So may groups: all that is in a replica of one starts later by the same random time.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.base.errors import ScenarioError
from sim.base.rng import stream
from sim.base.units import MS, S
from sim.engine.replicas import starts_of
from sim.engine.run import simulate
from sim.scenario import load_scenario
from sim.scenario.effort import expected_work
from sim.scenario.explain.groups import groups_section

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


PODS = """\
version: 1
host: {{memory: 256 MiB, cpus: 2}}
groups:
  node: {{{node}}}
  pod: {{parent: node, memory_max: 16 MiB, {pod}}}
processes:
  app: {{program: steps, steps: [{{sleep: 1 ms}}], group: pod}}
  sidecar: {{program: steps, steps: [{{sleep: 1 ms}}], group: pod, copies: 2, start: 2 s, {keys}}}
run: {{horizon: 50 s}}
"""
AFTER = 2 * S
"""How long after its pod a sidecar starts."""


@pytest.fixture
def pods(tmp_path):
    """Return what resolves a scenario of pods, each with an `app` and two of `sidecar`."""

    def resolve(pod, *, node="", keys=""):
        path = tmp_path / "pods.yaml"
        path.write_text(PODS.format(pod=pod, node=node, keys=keys))
        return load_scenario(str(path))

    return resolve


def started(scenario, *, replication=0):
    """Return when each process starts, in ns: but a sleep of 1 ms, nothing is behind that."""
    document = simulate(scenario, seed=1, replication=replication).document
    return {p["name"]: p["ended_ns"] - MS for p in document["processes"]}


def test_all_in_a_pod_start_as_one_and_pods_at_times_of_their_own(pods):
    found = started(pods("replicas: 4, start_within: 20 s"))
    apps = [found[f"app.{n}"] for n in (1, 2, 3, 4)]
    assert all(0 <= at < 20 * S + MS for at in apps)
    assert len({round(at / (100 * MS)) for at in apps}) == 4
    for n, at in enumerate(apps, 1):
        for copy in (1, 2):
            assert found[f"sidecar.{n}.{copy}"] == pytest.approx(at + AFTER, abs=MS)
    again = started(pods("replicas: 4, start_within: 20 s"), replication=1)
    assert all(abs(again[f"app.{n}"] - at) > MS for n, at in enumerate(apps, 1))


def test_one_more_pod_or_another_length_leaves_the_luck_of_the_others(pods):
    four = started(pods("replicas: 4, start_within: 20 s"))
    five = started(pods("replicas: 5, start_within: 20 s"))
    half = started(pods("replicas: 4, start_within: 10 s"))
    alone = started(pods("start_within: 20 s"))
    for n in (1, 2, 3, 4):
        assert five[f"app.{n}"] == pytest.approx(four[f"app.{n}"], abs=MS)
        assert 2 * half[f"app.{n}"] == pytest.approx(four[f"app.{n}"], abs=2 * MS)
    assert alone["app"] == pytest.approx(four["app.1"], abs=MS)


def test_what_a_process_draws_for_itself_comes_on_top_and_is_as_it_was(pods):
    own = started(pods("replicas: 2", keys="start_within: 5 s"))
    group = started(pods("replicas: 2, start_within: 20 s"))
    both = started(pods("replicas: 2, start_within: 20 s", keys="start_within: 5 s"))
    for name in ("sidecar.1.1", "sidecar.1.2", "sidecar.2.1", "sidecar.2.2"):
        assert both[name] - group[name] == pytest.approx(own[name] - AFTER, abs=2 * MS)
    around = started(pods("replicas: 2, start_within: 20 s", node="start_within: 10 s"))
    later = {around[name] - group[name] for name in group}
    assert max(later) - min(later) < 2 * MS  # the one draw of the group around both
    assert min(later) > MS


LUCK = st.integers(0, 2**32)


@given(seed=LUCK, nodes=st.integers(1, 4), pods=st.integers(1, 4), within=st.integers(1, 10**11))
def test_starts_of_groups_go_by_number_whatever_else_there_is(seed, nodes, pods, within):
    """Common random numbers: more nodes or pods, or another length, and each draws as before."""

    def starts(nodes, pods, within=within, node=10 * S):
        groups = {
            "other": {"parent": None, "replicas": nodes, "start_within": S},
            "node": {"parent": None, "replicas": nodes, "start_within": node},
            "pod": {"parent": "node", "replicas": pods, "start_within": within},
        }
        return starts_of(groups, lambda *names: float(stream(seed, 0, *names).random()))

    def named(starts, node, pod, *, nodes, pods):
        of_node = f".{node}" if nodes > 1 else ""
        return starts[f"pod{of_node}{f'.{pod}' if pods > 1 else ''}"]

    few, more = starts(nodes, pods), starts(nodes + 1, pods + 1)
    longer, still = starts(nodes, pods, within=2 * within), starts(nodes, pods, node=0)
    assert few[None] == 0
    assert len(few) == 1 + 2 * nodes + nodes * pods
    for node in range(1, nodes + 1):
        for pod in range(1, pods + 1):
            at = named(few, node, pod, nodes=nodes, pods=pods)
            assert named(more, node, pod, nodes=nodes + 1, pods=pods + 1) == at
            own = named(still, node, pod, nodes=nodes, pods=pods)
            around = at - own
            twice = named(longer, node, pod, nodes=nodes, pods=pods) - around
            assert 0 <= own < within
            assert 2 * own <= twice <= 2 * own + 1
    assert len(set(still.values())) > nodes * pods or within < 10**6  # no two draws are one


def test_without_it_groups_are_what_they_were_and_work_is_foretold_with_it(pods):
    plain = pods("replicas: 2")
    assert "start_within" not in plain["groups"]["pod"]
    assert pods("replicas: 2, start_within: 0 s") == plain
    late = pods("replicas: 2, start_within: 20 s")
    assert late["groups"]["pod"]["start_within"] == 20 * S
    assert expected_work(late) == expected_work(plain)  # it all fits before the horizon


def test_explain_says_that_pods_start_as_one(pods):
    for keys, said in [
        ("replicas: 3, start_within: 20 s", "each starts as one, at a random time within 20 s"),
        ("start_within: 20 s", "; starts as one, at a random time within 20 s"),
    ]:
        section = groups_section(pods(keys))
        assert said in dict(section.lines)["pod"]
    assert "starts as one" not in dict(groups_section(pods("replicas: 3")).lines)["pod"]


@pytest.mark.parametrize(
    ("pod", "more", "said"),
    [
        (
            "start_within: 49 s",
            {},
            r"groups\.pod\.start_within: some of sidecar would start at 51 s",
        ),
        (
            "",
            {"node": "start_within: 2 min"},
            r"groups\.node\.start_within: some of app would start",
        ),
        (
            "start_within: 18 s",
            {"keys": "start_within: 35 s"},
            r"processes\.sidecar\.start_within: some would start at 55 s, and the run ends at 50 s",
        ),
        ("start_within: 20", {}, r"groups\.pod\.start_within: .*unit"),
        ("start_within: -1 s", {}, r"groups\.pod\.start_within: "),
    ],
)
def test_pods_may_not_start_after_the_end(pods, pod, more, said):
    with pytest.raises(ScenarioError, match=said):
        pods(pod, **more)
