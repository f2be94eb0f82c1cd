"""Whatever is forked, copied, reused or given back: frames are conserved, processes isolated."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from support import broken_kernels
from support.conservation import Conservation
from support.samples import sample

TestConservation = pytest.mark.stress(Conservation.TestCase)
TestConservation.settings = settings(max_examples=sample(40, 5_000), stateful_step_count=40)


@pytest.mark.stress
@pytest.mark.slow
def test_broken_kernels_are_found_out() -> None:
    """Negative control: thirteen kernels with one line wrong, and one with none."""
    names = list(broken_kernels.BROKEN)[: sample(2, len(broken_kernels.BROKEN))]
    series = ",".join(["5", "12", "40", "80"][: sample(1, 4)])
    tests = Path(__file__).parents[1]
    ran = subprocess.run(
        [sys.executable, "-P", broken_kernels.__file__, "history", series, *names],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(tests)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(ran.stdout or "{}")
    assert found.keys() == set(names), ran.stderr
    assert found.pop("nothing") is None
    assert all(found.values()), found
    assert not any(said.startswith("unusable") for said in found.values()), found
