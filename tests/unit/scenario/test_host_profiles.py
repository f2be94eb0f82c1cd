"""Shipped profiles are complete, call their guesses guesses, and predict the published times."""

import pytest

from sim.base.resources import shipped
from sim.cost.catalogue import STAGES, price_specs
from sim.machine.work import KINDS
from sim.scenario import resolve

PROFILES = ["ec2_hvm", "generic", "kvm_guest", "server_2010", "textbook_eager", "xen_pv",
            "xeon_4210r"]  # fmt: skip
AREAS = 5


def idle(task: object, *, pages: int = 1) -> None: ...


def host_of(profile: str) -> dict:
    data = {
        "version": 1,
        "host": {"profile": profile},
        "processes": {"p": {"program": "idle"}},
        "run": {"horizon": "1 s"},
    }
    return resolve(data, {"idle": idle})["host"]


def fork_ns(host: dict, rss_bytes: int) -> float:
    """The fork-time model with which the prices were derived, 4 KiB folios."""
    mean = {key: price_specs(host["prices"])[KINDS[key]].mean_ns for key in KINDS}
    pages = rss_bytes // 4096
    return (
        mean["fork_base"]
        + AREAS * mean["fork_area"]
        + -(-pages // 512) * mean["fork_table"]
        + pages * (mean["fork_pte"] + mean["fork_folio"])
        + mean["fork_flush"]
    )


def test_the_profiles_that_ship():
    assert shipped("hosts") == PROFILES


@pytest.mark.parametrize("profile", PROFILES)
def test_every_price_has_evidence_and_bounds(profile):
    specs = price_specs(host_of(profile)["prices"])
    assert len(specs) == len(KINDS)
    assert all(len(spec.source) > 20 for spec in specs.values())
    assert all(spec.low_ps < spec.high_ps for spec in specs.values())


@pytest.mark.parametrize("profile", PROFILES)
def test_stages_are_known_and_whole(profile):
    stages = host_of(profile)["stages"]
    assert {"zero_fill", "cow_copy", "cow_reuse", "zero_page_map", "file_map"} == set(stages)
    for shares in stages.values():
        assert set(shares) <= set(STAGES)
        assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("profile", "tolerance"),
    [("xeon_4210r", 0.005), ("kvm_guest", 0.005), ("ec2_hvm", 0.005), ("xen_pv", 0.005),
     ("server_2010", 0.12)],
)  # fmt: skip
def test_the_prices_predict_the_published_fork_times(profile, tolerance):
    host = host_of(profile)
    points = [point for point in host["published"] if point["kind"] == "fork"]
    assert points
    for point in points:
        assert fork_ns(host, point["rss"]) == pytest.approx(point["time"], rel=tolerance)


def test_large_folios_fork_as_published_within_a_tenth():
    host = host_of("xeon_4210r")
    points = [point for point in host["published"] if point["kind"] == "fork_by_folio"]
    assert len(points) == 8
    folio_ns = price_specs(host["prices"])[KINDS["fork_folio"]].mean_ns
    for point in points:
        pages, folios = point["rss"] // 4096, point["rss"] // point["folio"]
        predicted = fork_ns(host, point["rss"]) - (pages - folios) * folio_ns
        assert predicted == pytest.approx(point["time"], rel=0.10)


def test_the_textbook_machine_is_eager_and_waits():
    data = {
        "version": 1,
        "host": {"profile": "textbook_eager"},
        "policy": {"memory": "oom"},
        "processes": {"p": {"program": "idle"}},
        "run": {"horizon": "1 s"},
    }
    policy = resolve(data, {"idle": idle})["policy"]
    assert policy == {
        "scheduler": {"kind": "round_robin", "quantum": 10_000_000},
        "memory": "oom",
        "fork": "eager",
        "zeroing": "eager",
        "eviction": None,
        "replacement": "linux",
    }
