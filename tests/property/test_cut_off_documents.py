"""A run that is cut off, wherever that is, has a document of plain values."""

import json

import pytest

from sim.engine.run import simulate
from sim.program import PROGRAMS
from sim.scenario import load_scenario

CUTS_MS = [0.001, 5, 60, 120.5, 450, 2_000, 2_300.25, 9_000]


@pytest.mark.parametrize("cut_ms", CUTS_MS)
@pytest.mark.parametrize(
    ("name", "small"),
    [
        ("redis_bgsave", ["processes.redis.dataset=8 MiB", "processes.redis.save_speed=4 MiB/s"]),
        ("prefork_web", ["processes.web.app=4 MiB", "processes.web.workers=2"]),
    ],
)
def test_a_run_cut_off_anywhere_is_plain_json(name, small, cut_ms):
    resolved = load_scenario(name, [*small, f"run.horizon={cut_ms * 1000} us"], PROGRAMS)
    document = simulate(resolved, seed=1).to_json()
    assert json.loads(json.dumps(document, allow_nan=False))["simulated_ns"] <= cut_ms * 1e6
