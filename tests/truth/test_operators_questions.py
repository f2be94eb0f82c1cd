"""What experiments 004 to 007 answer, in a small form of each: their sentences, as relations."""

from pathlib import Path
from typing import Any

from sim.engine.run import simulate
from sim.scenario import load_scenario

FOLDER = Path(__file__).parents[2] / "experiments"


def ran(name: str, *settings: str, only: tuple[str, ...] = (), seed: int = 1) -> dict[str, Any]:
    """Return the document of a run of an experiment's scenario, of some of its processes."""
    scenario = load_scenario(FOLDER / name, settings)
    if only:
        scenario["processes"] = {p: scenario["processes"][p] for p in only}
        inside = {process["group"] for process in scenario["processes"].values()}
        scenario["groups"] = {g: v for g, v in scenario["groups"].items() if g in inside}
    return simulate(scenario, seed=seed).to_json()


def test_saves_at_times_of_their_own_need_fewer_copies_at_once():
    small = ("processes.redis.replicas=4", "processes.redis.dataset=16MiB")
    copies, slowest = {}, {}
    for phase in ("together", "random"):
        document = ran("004_pods_on_a_node/pods.yaml", *small, f"processes.redis.phase={phase}")
        assert document["answered"]
        assert list(document["groups"]) == [f"pod.{n}" for n in (1, 2, 3, 4)]
        copies[phase] = document["metrics"]["memory_need_bytes"]["cow_copies"]
        slowest[phase] = document["metrics"]["request_latency_ns"]["max"]
    assert copies["random"] < copies["together"]


def test_a_limit_holds_what_cannot_be_dropped_and_7_0_fills_the_rest():
    document = ran("005_limit_and_request/limits.yaml")
    killed = {name: g["events"]["oom_kill"] for name, g in document["groups"].items()}
    assert killed == {
        "redis-7-0-in-144": 1, "redis-7-0-in-152": 0, "redis-7-0-in-160": 0, "redis-7-0-in-256": 0,
        "redis-7-2-in-144": 1, "redis-7-2-in-152": 1, "redis-7-2-in-160": 0, "redis-7-2-in-256": 0,
    }  # fmt: skip
    roomy = [document["groups"][f"redis-{version}-in-256"] for version in ("7-0", "7-2")]
    assert (
        0 <= roomy[0]["peak_bytes"] - roomy[0]["max_bytes"] < 1 << 16
    )  # in place of what is dropped
    assert roomy[1]["peak_bytes"] < roomy[1]["max_bytes"] * 0.65
    servers = [p for p in document["processes"] if "/" not in p["name"]]
    assert {p["ended"] for p in servers} == {"exit 0"}  # the saver dies, the server lives


def test_requests_decide_who_dies_first_and_nothing_else():
    document = ran("005_limit_and_request/requests.yaml")
    assert [(k["group"], k["oom_score_adj"]) for k in document["kills"]] == [
        ("best-effort", 1000), ("modest", 990), ("burstable", 842),
    ]  # fmt: skip
    assert {kill["limit_of"] for kill in document["kills"]} == {None}
    assert document["groups"]["guaranteed"]["events"]["oom_kill"] == 0


def test_one_is_killed_at_a_time_or_all_at_once():
    document = ran("006_kill_one_or_all/workers.yaml", "processes.web-one.duration=30s")
    ended = {p["name"]: p["ended"] for p in document["processes"]}
    assert ended["web-one"] == "exit 0"
    assert ended["web-all"] == "oom-killed"
    first = [kill["t_ns"] for kill in document["kills"] if kill["group"] == "all"]
    assert len(first) == 5
    assert len(set(first)) == 1
    assert document["groups"]["one"]["events"]["oom_group_kill"] == 0
    assert document["groups"]["all"]["events"]["oom_group_kill"] == 1
    served = {load["process"]: load["begun"] for load in document["evidence"]["arrivals"]}
    assert served["web-one"] > 1.3 * served["web-all"]


def test_workers_that_are_replaced_in_time_are_not_killed():
    recycled = ("max_requests=200", "max_requests_jitter=50", "duration=30s")
    settings = [f"processes.web-one.{setting}" for setting in recycled]
    document = ran("006_kill_one_or_all/workers.yaml", *settings, only=("web-one",))
    assert document["metrics"]["oom_kills"] == 0
    assert document["programs"]["web-one"]["recycled"][0] > 4


def test_a_ping_waits_for_the_fork_and_a_tight_container_makes_it_no_longer():
    small = ("processes.redis.dataset=64MiB", "processes.redis.dump=64MiB")
    slowest = {}
    for limit in ("1Gi", "75Mi"):
        document = ran(
            "007_probe_during_a_save/probe.yaml", *small, f"groups.pod.limits.memory={limit}"
        )
        metrics = document["metrics"]
        assert metrics["oom_kills"] == 0
        slowest[limit] = metrics["request_latency_ns"]["max"]
        assert 0.5 < slowest[limit] / metrics["fork_latency_ns"]["max"] <= 1.2
        stalled = document["groups"]["pod"]["psi_memory_some"]
        assert (stalled > 0) == (limit == "75Mi")
    assert slowest["75Mi"] < 2 * slowest["1Gi"]


def test_the_price_of_a_fork_decides_from_which_size_a_probe_fails():
    small = ("processes.redis.dataset=64MiB", "processes.redis.dump=0B")
    waits = [
        ran("007_probe_during_a_save/probe.yaml", *small, f"host.profile={profile}")["metrics"][
            "fork_latency_ns"
        ]["max"]
        for profile in ("ec2_hvm", "xen_pv")
    ]
    assert waits[1] > 10 * waits[0]
