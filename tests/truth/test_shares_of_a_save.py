"""Shares of variance of the main study at 1 GiB: a few hundred draws against quadrature.

What a save needs is its data and its copies, in closed form (`sim.program.shipped.redis_expect`,
which runs are held to elsewhere).  With save speed and fragmentation uncertain, first-order shares
are integrals over a square, which Gauss-Legendre quadrature gives to many digits.
"""

import numpy as np
import pytest

from sim.base.units import BaseFloat
from sim.program.signature import keyword_arguments
from sim.scenario.document import parse_document
from sim.scenario.forms import FORMS
from sim.scenario.forms.setting import setting_of
from sim.scenario.programs import known_programs
from sim.scenario.study import parsed_study
from sim.stats.shares import shares_of
from sim.study.base import planner_of
from sim.study.sampled import draws

GIVEN = "{source: 'given: as the question has it'}"
STUDY = f"""\
version: 1
name: shares
base: redis_bgsave
set: {{processes.redis.writes: 12000/s}}
axes: {{processes.redis.dataset: [1 GiB]}}
uncertain:
  processes.redis.save_speed: {{distribution: {{loguniform: {{a: 100 MiB/s, b: 400 MiB/s}}}}}}
  processes.redis.fragmentation: {{distribution: {{uniform: {{loc: 1.0, scale: 0.2}}}}}}
  processes.redis.value: {GIVEN}
  processes.redis.key_distribution: {GIVEN}
  processes.redis.writes: {GIVEN}
  host.profile: {GIVEN}
replications: 3
seed: 20250701
need: {{set: {{host.memory: {{times: processes.redis.dataset, by: 2.5}}}}}}
"""
SPEED, FRAGMENTATION = "processes.redis.save_speed", "processes.redis.fragmentation"
pytestmark = [pytest.mark.truth, pytest.mark.slow]


def need(scenario):
    """Return the pages that a save needs besides what is the same for all."""
    arguments = keyword_arguments(known_programs()["redis"], scenario["processes"]["redis"])
    forms = FORMS["redis"](arguments, setting_of(scenario["host"], scenario["policy"]))
    said = {form.label: form.value for form in forms}
    return said["resident before a save"] + said["a save copies"]


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    document = parse_document(STUDY, "shares.yaml")
    return planner_of(parsed_study(document, tmp_path_factory.mktemp("shares")))[0]


@pytest.fixture(scope="module")
def truth(planner):
    """Shares by quadrature, and by how much they differ from those of a coarser rule."""
    found = []
    for n in (5, 8):
        x, w = np.polynomial.legendre.leggauss(n)
        places, weights = (x + 1) / 2, w / 2
        speeds = [BaseFloat((100 << 20) * 4**u) for u in places]
        parts = [BaseFloat(1.0 + 0.2 * u) for u in places]
        y = np.array(
            [
                [need(planner.sampled_cell(0, 0, {SPEED: s, FRAGMENTATION: f}).scenario)
                 for f in parts]
                for s in speeds
            ]
        )  # fmt: skip
        mean = weights @ y @ weights
        total = weights @ (y - mean) ** 2 @ weights
        found.append(
            {
                SPEED: weights @ (y @ weights - mean) ** 2 / total,
                FRAGMENTATION: weights @ (weights @ y - mean) ** 2 / total,
            }
        )
    assert all(abs(found[0][key] - found[1][key]) < 0.003 for key in found[0])
    return found[1]


@pytest.fixture(scope="module")
def drawn(planner):
    """Three hundred draws, and what a save needs in each."""
    every = draws(planner, 0, 300, reads_disk=False)
    return [draw for draw, _ in every], [need(cell.scenario) for _, cell in every]


def test_they_are_those_that_were_measured_by_hand_and_leave_little(truth):
    """From points one at a time they are about .61 and .39."""
    assert truth[SPEED] == pytest.approx(0.61, abs=0.05)
    assert truth[FRAGMENTATION] == pytest.approx(0.39, abs=0.05)
    assert 0.97 < sum(truth.values()) <= 1


def test_three_hundred_draws_find_them_within_three_standard_errors(drawn, truth):
    every, outputs = drawn
    keys = [key for key in every[0].places if not key.startswith("host.prices")]
    assert set(keys) == {SPEED, FRAGMENTATION}
    found = shares_of({key: [d.places[key] for d in every] for key in keys}, outputs)
    for share in found.shares:
        assert abs(share.share - truth[share.name]) < 3 * share.error
    chance = np.sqrt(sum(share.error**2 for share in found.shares))
    assert sum(share.share for share in found.shares) <= 1 + 3 * chance
    assert found.r_squared > 0.95


def test_shares_of_shuffled_outputs_are_none(drawn):
    """Negative control."""
    every, outputs = drawn
    shuffled = np.random.default_rng(1).permutation(outputs)
    keys = (SPEED, FRAGMENTATION)
    found = shares_of({key: [d.places[key] for d in every] for key in keys}, list(shuffled))
    assert all(abs(share.share) < 0.05 for share in found.shares)
