"""Models with a rule wrong, in plain Python, each in a process of its own: who notices?"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType


def assert_noticed(module: ModuleType, names: Sequence[str]) -> None:
    """Run `module` with names of its `BROKEN`: each is noticed, and `nothing`, among them, is not.

    The module prints what noticed each, or null, as JSON.
    """
    assert module.__file__ is not None
    ran = subprocess.run(
        [sys.executable, "-P", module.__file__, *names],
        env={
            **os.environ,
            "NUMBA_DISABLE_JIT": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(Path(__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(ran.stdout or "{}")
    assert list(found) == list(names), ran.stderr
    assert found.pop("nothing") is None
    assert all(said and said.startswith("AssertionError") for said in found.values()), found
