"""What a run says of the same one where there is more memory, on drawn scenarios, by running both.

And of plans: with thresholds from one run the answer is that of halving, and so are the answers at
the ends of inputs.
"""

import json
from typing import Any, Final

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.samples import sample

from sim.base.errors import ScenarioError
from sim.base.units import MIB, PAGE_BYTES
from sim.engine.run import simulate
from sim.scenario.conditions import condition_of
from sim.scenario.resolve import resolve
from sim.study.executor import InlineExecutor
from sim.study.feedback import fits, is_about_size, is_same_run, nothing_feeds_back
from sim.study.judged import judge
from sim.study.plan_run import run_plan
from sim.study.records import flatten

S: Final = 1_000_000_000
NO_KILL: Final = (condition_of("oom_kills = 0"),)
LARGE: Final = 512 * MIB


def of(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


REDIS = st.fixed_dictionaries(
    {
        "program": st.just("redis"),
        "version": of("6.0", "7.0", "7.2", "valkey 8.1"),
        "dataset": st.integers(1, 12).map(lambda n: n * MIB),
        "writes": of(0.0, 2000.0, 20_000.0),
        "save_every": of(S // 20, S // 5),
        "save_speed": st.just(20 * MIB),
        "saves": st.integers(0, 2),
        "phase": of("random", "together"),
        "client_buffers": of(0, MIB),
    }
)
HEAP = st.fixed_dictionaries(
    {
        "program": st.just("heap_growth"),
        "processes": st.integers(1, 3),
        "method": of("sbrk", "mmap", "malloc"),
        "step": of(MIB // 4, MIB, 4 * MIB),
        "steps": st.integers(1, 4),
        "cycles": st.integers(1, 2),
        "touched_fraction": of(0.3, 1.0),
        "rewrites": of(0, 100),
        "hold": st.just(S // 1000),
        "stagger": of(0, S // 200),
    }
)
WEB = st.fixed_dictionaries(
    {
        "program": st.just("prefork_web"),
        "app": st.integers(1, 8).map(lambda n: n * MIB),
        "workers": st.integers(1, 4),
        "worker_heap": of(0, MIB),
        "requests": st.just(50.0),
        "duration": st.just(S // 2),
        "leak": of(0, 65_536),
        "max_requests": of(0, 5),
    }
)
PLACED = st.fixed_dictionaries({}, optional={"group": st.just("pod"), "start": st.just(S // 10)})


@st.composite
def scenarios(draw: Any) -> dict[str, Any]:
    """Return a scenario in which nothing feeds back, but for how large its host is."""
    host = draw(
        st.fixed_dictionaries(
            {
                "cpus": of(1, 2, 4, 8),
                "overcommit": of({"mode": 0}, {"mode": 1}),
                "kernel": of("5.10", "6.1", "6.12", "6.17"),
                "cgroup": of("v1", "v2"),
            },
            optional={"watermark_scale_factor": of(0, 50, 500), "percpu_batch": st.just(0)},
        )
    )
    if host.get("percpu_batch") == 0:
        host["percpu_high"] = 0
    pod = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "replicas": st.integers(1, 3),
                "start_within": st.just(S // 4),
                "memory_max": of(*(n * MIB for n in (8, 16, 24, 64))),
            },
        )
    )
    programs = draw(st.lists(st.one_of(REDIS, HEAP, WEB), min_size=1, max_size=2))
    return {
        "version": 1,
        "host": host,
        "groups": {"pod": pod},
        "processes": {f"p{n}": {**p, **draw(PLACED)} for n, p in enumerate(programs)},
        "run": {"horizon": 3 * S},
    }


def at(scenario: dict[str, Any], memory: int, limit: int | None = None) -> Any:
    """Return it on a host of that size, and with another limit of its group if one is given."""
    pod = scenario["groups"]["pod"] | ({} if limit is None else {"memory_max": limit})
    host = {**scenario["host"], "memory": memory // PAGE_BYTES * PAGE_BYTES}
    return resolve({**scenario, "host": host, "groups": {"pod": pod}})


def figures(result: Any) -> dict[str, Any]:
    """Return all metrics but those of the size of the host."""
    return {k: v for k, v in flatten(result["metrics"]) if not is_about_size(k)}


def held_against_each_other(sizes: list[Any], replication: int) -> int:
    """Check all pairs of sizes, the small ones first; return of how many one is known."""
    results = [simulate(size, seed=3, replication=replication).document for size in sizes]
    known = 0
    for n, (size, result) in enumerate(zip(sizes, results, strict=True)):
        if not judge(result, NO_KILL).passed:
            continue
        for larger, other in zip(sizes[n + 1 :], results[n + 1 :], strict=True):
            if is_same_run(size, result, larger):
                known += 1
                assert judge(other, NO_KILL).passed
                assert figures(other) == figures(result)
    return known


OFFSETS: Final = (-8, 0, 8, 64, 200, 500, 1000, 3000, 9000)
"""Pages from where a run's need fits to sizes that are tried."""


@pytest.mark.stress
@settings(max_examples=sample(25, 1_500))
@given(scenario=scenarios(), replication=st.integers(0, 9))
def test_a_run_that_is_known_on_a_larger_host_is_that_run(scenario, replication):
    large = at(scenario, LARGE)
    assert nothing_feeds_back(large)
    result = simulate(large, seed=3, replication=replication).document
    need = result["metrics"]["memory_need_bytes"]["total"]
    sizes = []
    least = next(
        (m for m in range(need, LARGE, MIB // 4) if fitting(scenario, m, result)), LARGE // 2
    )
    for offset in OFFSETS:
        try:
            sizes.append(at(scenario, least + offset * PAGE_BYTES))
        except ScenarioError:  # there is no such host
            continue
    held_against_each_other([*sizes, large], replication)


def fitting(scenario, memory, result):
    try:
        return fits(at(scenario, memory), result)
    except ScenarioError:
        return False


@pytest.mark.stress
@settings(max_examples=sample(15, 800))
@given(scenario=scenarios(), replication=st.integers(0, 9))
def test_a_run_that_is_known_at_a_larger_limit_is_that_run(scenario, replication):
    free = simulate(at(scenario, LARGE, LARGE), seed=3, replication=replication).document
    peak = max(group["peak_bytes"] for group in free["groups"].values())
    limits = [max(MIB, peak + offset * PAGE_BYTES) for offset in (-300, -64, 0, 1, 64, 200, 900)]
    held_against_each_other([at(scenario, LARGE, limit) for limit in limits], replication)


def test_most_sizes_are_known_from_a_run_on_one_that_is_hardly_enough():
    """That the laws above are not kept by knowing nothing."""
    redis = {"program": "redis", "dataset": 12 * MIB, "writes": 4000.0, "save_every": S // 10,
             "save_speed": 20 * MIB}  # fmt: skip
    scenario = {"version": 1, "host": {"cpus": 2}, "groups": {"pod": {}}, "run": {},
                "processes": {"redis": {**redis, "group": "pod"}}}  # fmt: skip
    sizes = [at(scenario, memory * MIB) for memory in range(18, 38)]
    passed = [judge(simulate(s, seed=3, replication=0).document, NO_KILL).passed for s in sizes]
    n = sum(passed)
    assert 0 < passed.index(True) < 10
    assert held_against_each_other(sizes, 0) >= n * (n - 1) // 2 - 2 * n


BASE = """\
version: 1
host: {{memory: 128 MiB, cpus: {cpus}}}
groups: {{pod: {{memory_max: 64 MiB, replicas: {pods}, start_within: 200 ms}}}}
processes:
  redis:
    program: redis
    dataset: {dataset} MiB
    writes: {writes}/s
    save_every: 100 ms
    save_speed: 20 MiB/s
    phase: random
    group: pod
"""
PLAN = """\
version: 1
name: small
base: base.yaml
plan: {{minimise: {key}, in: [{low} MiB, {high} MiB], resolution: {resolution}, probes: 8, curve: 4,
  runs: 12}}
objectives: {{share: 0.9, confidence: 0.95, each_run: ["oom_kills = 0", "{other}"]}}
seed: {seed}
"""


@pytest.mark.stress
@settings(max_examples=sample(5, 150), phases=[Phase.generate])
@given(
    cpus=of(1, 2, 4),
    pods=st.integers(1, 3),
    dataset=st.integers(2, 10),
    writes=of(500, 4000, 20_000),
    resolution=of(0.002, 0.01, 0.05),
    key=of("host.memory", "groups.pod.memory_max"),
    other=of("fork_failures = 0", "fork_latency_ns.max <= 1 s"),
    seed=st.integers(0, 1000),
)
def test_a_plan_has_the_answer_that_halving_has(
    tmp_path_factory, cpus, pods, dataset, writes, resolution, key, other, seed
):
    folder = tmp_path_factory.mktemp("plan")
    held = dataset * (pods if key == "host.memory" else 1)
    base = BASE.format(cpus=cpus, pods=pods, dataset=dataset, writes=writes)
    if key == "groups.pod.memory_max":
        base = base.replace("memory: 128 MiB", "memory: 512 MiB")
    (folder / "base.yaml").write_text(base)
    (folder / "small.yaml").write_text(
        PLAN.format(key=key, low=max(1, held), high=8 * held + 24, resolution=resolution,
                    other=other, seed=seed)
    )  # fmt: skip
    facts = []
    for is_one_run in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not is_one_run:
                patch.setattr("sim.study.planning.is_one_run", lambda *_: False)
            out = folder / str(is_one_run)
            run_plan(folder / "small.yaml", out, quiet=True, executors=lambda n: InlineExecutor())
        facts.append(json.loads((out / "plan.json").read_text()))
    one, halved = facts
    assert one["one_run"]["used"]
    assert one["one_run"]["as_known"]
    assert not halved["one_run"]["used"]
    for name in ("answered", "answer", "worse", "moved", "to_set", "supported_share"):
        assert one[name] == halved[name], name
    assert one["runs"] + one["moved_runs"] < 2 * (halved["runs"] + halved["moved_runs"])
