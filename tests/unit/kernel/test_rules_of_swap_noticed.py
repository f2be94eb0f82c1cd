"""Negative control of tests of single rules of reclaim and swap-in: each, broken, is noticed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import broken_reclaim
from support.samples import spread


@pytest.mark.stress
def test_each_rule_that_is_broken_is_noticed() -> None:
    """By the test that is of it alone; and a model with nothing broken by none."""
    tests = Path(__file__).parents[2]
    names = spread(list(broken_reclaim.BROKEN), 2)
    ran = subprocess.run(
        [sys.executable, "-P", broken_reclaim.__file__, *names],
        env={
            **os.environ,
            "NUMBA_DISABLE_JIT": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(tests),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(ran.stdout or "{}")
    assert list(found) == names, ran.stderr
    assert found.pop("nothing") is None
    assert all(said and said.startswith("AssertionError") for said in found.values()), found
