"""Latencies of devices that vary: what may be said of them, and what a run makes of it."""

import pytest

from sim.base.errors import ScenarioError
from sim.cli import main
from sim.engine.run import simulate
from sim.scenario import resolve


def scenario(**host):
    return {
        "version": 1,
        "host": {
            "memory": "24 MiB", "cpus": 2, "kernel": "6.18", "kernel_reserve": "8 MiB",
            "min_free": "256 KiB", "swap": {"size": "64 MiB", "device": "ssd"}, **host,
        },
        "processes": {
            name: {
                "program": "steps",
                "steps": [
                    {"mmap": {"name": "A", "size": "9 MiB"}},
                    {"repeat": {"times": 2, "steps": [{"write": "A"}]}},
                ],
            }
            for name in ("p", "q")
        },
    }  # fmt: skip


def result(host, **how):
    document = simulate(resolve(scenario(**host)), seed=how.pop("seed", 1), **how).document
    return {key: document[key] for key in ("metrics", "swap", "simulated_ns", "series")}


VARIES = {"swap": {"size": "64 MiB", "device": "ssd", "latency": "150 us", "latency_sd": "90 us"}}


def test_no_length_of_burst_changes_what_is_drawn():
    found = result(VARIES)
    assert found["swap"]["reads"] > 100
    assert found == result(VARIES, burst=1) == result(VARIES, burst=7)
    assert found["simulated_ns"] != result(VARIES, seed=2)["simulated_ns"]


def test_a_deviation_of_nought_is_none():
    constant = {"swap": {**VARIES["swap"], "latency_sd": 0}}
    assert result(constant) == result({})


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ({"disk": {"latency": "1 ms", "latency_sd": "2 s"}}, "at most 1000 times its mean"),
        ({"disk": {"latency": 0, "latency_sd": "1 ms"}}, "needs a positive mean"),
        ({"swap": {"size": "1 MiB", "latency": "1 s", "latency_sd": "500 s"}}, "tail of this"),
        ({"swap": {"size": "1 MiB", "device": "zram", "latency_sd": "1 ms"}}, "no latency_sd"),
        ({"disk": {"latency_sd": -1}}, "latency_sd"),
    ],
)
def test_what_no_latency_can_have_is_refused(host, said):
    with pytest.raises(ScenarioError, match=said) as error:
        resolve(scenario(**host))
    assert next(iter(host)) in str(error.value)


def test_it_is_explained(tmp_path, capsys):
    (tmp_path / "s.yaml").write_text(
        "version: 1\nhost: {memory: 64 MiB, swap: {size: 64 MiB, latency_sd: 90 us},\n"
        "  disk: {latency: 8 ms, latency_sd: 3 ms}}\n"
        "processes: {p: {program: steps, steps: [{sleep: 1 ms}]}}\n"
    )
    assert main(["explain", str(tmp_path / "s.yaml")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "8 ms (sd 3 ms) and " in said
    assert "150 us (sd 90 us) and " in said
