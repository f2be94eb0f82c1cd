"""Pages of zeros that are swapped out: a bit of their slot says so, or of zram, by release."""

from typing import Any

import pytest

from sim.base.units import format_bytes
from sim.engine.run import simulate
from sim.scenario.resolve import resolve

MIB = 2**20
PAGES = 8 * MIB // 4096


def run(device: str, zeros: float, kernel: str = "6.18", warmup: int = 0) -> dict[str, Any]:
    """Write 8 MiB in a group of 4, read it again; every event is audited."""
    steps = [
        {"mmap": {"name": "A", "size": 8 * MIB}},
        {"write": "A"},
        {"read": "A"},
    ]
    swap: dict[str, Any] = {"size": 32 * MIB, "device": device}
    swap |= {"zeros": zeros} if zeros else {}
    return simulate(
        resolve(
            {
                "version": 1,
                "host": {"memory": 64 * MIB, "swap": swap, "kernel": kernel},
                "groups": {"g": {"memory_max": 4 * MIB}},
                "processes": {"p": {"program": "steps", "group": "g", "steps": steps}},
                "run": {"warmup": warmup},
            }
        ),
        seed=1,
        check=True,
    ).to_json()


@pytest.mark.parametrize("device", ["zram", "ssd", "disk"])
def test_zeros_are_a_bit_of_their_slot(device: str) -> None:
    """As the running kernel's, see `tests/truth/test_kernel_swapoff.py`."""
    result = run(device, 1.0)
    metrics, swap = result["metrics"], result["swap"]
    assert (metrics["pages_swapped_out"], metrics["pages_swapped_in"]) == (0, 0)
    assert swap["swpout_zero"] >= PAGES // 2
    assert swap["swpin_zero"] >= PAGES // 2
    assert (swap["reads"], swap["writes"], swap.get("zram_peak_bytes", 0)) == (0, 0, 0)
    assert swap["peak_bytes"] >= 4 * MIB, "each takes a slot"
    assert result["work"]["page_zero"]["units"] == swap["swpin_zero"]
    faults = run(device, 0.0)["metrics"]["major_faults"]
    assert metrics["major_faults"] == faults if device == "zram" else metrics["major_faults"] > 0


@pytest.mark.parametrize("device", ["zram", "ssd"])
def test_before_6_12_only_zram_knows_of_them(device: str) -> None:
    result, plain = run(device, 1.0, "6.6"), run(device, 0.0, "6.6")
    assert result["swap"]["swpout_zero"] == result["swap"]["swpin_zero"] == 0
    for name in ("pages_swapped_out", "pages_swapped_in", "major_faults"):
        assert result["metrics"][name] == plain["metrics"][name] > 0
    if device == "zram":
        assert (result["swap"]["zram_peak_bytes"], plain["swap"]["zram_peak_bytes"] > 0) == (
            0,
            True,
        )
    else:
        assert result["swap"]["writes"] == plain["swap"]["writes"] > 0


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_as_many_are_as_was_said(share: float) -> None:
    result = run("zram", share)
    out = result["metrics"]["pages_swapped_out"]
    zeros = result["swap"]["swpout_zero"]
    sd = (share * (1 - share) / PAGES) ** 0.5
    assert zeros / (zeros + out) == pytest.approx(share, abs=5 * sd)
    (said,) = [one["what"] for one in result["validity"] if one["code"] == "peak_is_room"]
    all_of_it, of_zeros = ((zeros + more) * 4096 for more in (out, 0))
    assert f"swapped out {format_bytes(all_of_it)} ({format_bytes(of_zeros)} of it zeros)" in said
    assert 0 < result["swap"]["zram_peak_bytes"] < run("zram", 0.0)["swap"]["zram_peak_bytes"]


def test_without_any_nothing_is_told_of_them() -> None:
    assert "swpout_zero" not in run("zram", 0.0)["swap"]


def test_what_went_before_the_end_of_warm_up_is_not_told() -> None:
    whole = run("zram", 1.0)
    late = run("zram", 1.0, warmup=whole["simulated_ns"] // 2)
    assert 0 < late["swap"]["swpin_zero"] < whole["swap"]["swpin_zero"]
    assert 0 <= late["swap"]["swpout_zero"] < whole["swap"]["swpout_zero"]
