"""No index into the machine's arrays is negative or too large, whatever is run.

Compiled code does not look; with ``COWPOOL_CHECK=indices`` it does, and so does plain Python.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import checked_runs
from support.samples import sample

from sim.base.jit import source_digest

TESTS = Path(__file__).parents[1]
PLAIN = {"NUMBA_DISABLE_JIT": "1"}
WAYS = sample(1, 2)
"""In `make test` plain Python only: compiling once more takes longer than all that is run."""


def checked(what: str, environment: dict[str, str]) -> Any:
    """Return what `support.checked_runs` says, in a process that checks every index."""
    ran = subprocess.run(
        [sys.executable, "-P", checked_runs.__file__, what],
        env={**os.environ, "COWPOOL_CHECK": "indices", "PYTHONPATH": str(TESTS), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout)


@pytest.mark.stress
@pytest.mark.slow
@pytest.mark.parametrize("environment", [PLAIN, {}][:WAYS], ids=["plain", "compiled"][:WAYS])
def test_no_index_is_out_of_range(environment: dict[str, str]) -> None:
    examples = sample(2, 100)
    ran = checked(str(examples), environment)
    assert min(ran.values()) >= examples // 2, ran


@pytest.mark.stress
@pytest.mark.slow
def test_no_index_is_out_of_range_where_memory_is_short() -> None:
    """Two of 10,000 were: reclaim of nodes went on where there was none left."""
    examples = sample(1, 3_000)
    assert checked(f"tight:{examples}", PLAIN if examples == 1 else {}) == {"tight": examples}


@pytest.mark.stress
@pytest.mark.parametrize("environment", [PLAIN, {}][:WAYS], ids=["plain", "compiled"][:WAYS])
def test_wrong_indices_are_noticed(environment: dict[str, str]) -> None:
    """Negative control; the last one is how a read of 34 MiB once wrote beyond its receipt."""
    found = checked("control", environment)
    assert not found.pop("nothing")
    assert all(found.values()), found


def test_checked_and_unchecked_code_never_mix() -> None:
    package = TESTS.parent / "sim"
    digest = checked_digest(package)
    assert digest != source_digest(package)


def checked_digest(package: Path) -> str:
    ask = "import sys; from pathlib import Path; from sim.base.jit import source_digest; "
    ran = subprocess.run(
        [sys.executable, "-c", ask + "print(source_digest(Path(sys.argv[1])))", str(package)],
        env={**os.environ, "COWPOOL_CHECK": "indices", **PLAIN},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()
