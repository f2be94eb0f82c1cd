"""A fresh process gets an edited callee's new result, though the caller's file is untouched."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sim

CALLER = """
from sim.jit import compiled
from sim.observe.histogram import bucket

@compiled
def caller(value):
    return bucket(value)

print(caller(1000), sum(caller.stats.cache_hits.values()))
"""
BUCKET = (3 << 6) + (1000 >> 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package, and a program that calls one function of it."""
    package = Path(sim.__file__).parent
    shutil.copytree(package, tmp_path / "sim", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "caller.py").write_text(CALLER, encoding="utf-8")
    return tmp_path


def result(folder: Path, **environment: str) -> tuple[int, int]:
    """Run the program in a fresh process; return the result, and how often the cache was used."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "COWPOOL_"))}
    ran = subprocess.run(
        [sys.executable, "caller.py"],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    value, hits = ran.stdout.split()
    return int(value), int(hits)


def edit(folder: Path) -> None:
    """Let every value lie one bucket further."""
    callee = folder / "sim" / "observe" / "histogram.py"
    text = callee.read_text(encoding="utf-8")
    old = "return (shift << 6) + (value >> shift)"
    assert text.count(old) == 1
    callee.write_text(text.replace(old, f"{old} + 1"), encoding="utf-8")


def test_an_edited_callee_is_compiled_anew(folder: Path) -> None:
    cache = {"COWPOOL_CACHE_DIR": str(folder / "cache")}
    assert result(folder, **cache) == (BUCKET, 0)
    assert result(folder, **cache) == (BUCKET, 1)
    edit(folder)
    assert result(folder, **cache) == (BUCKET + 1, 0)


def test_numbas_own_cache_does_not_notice(folder: Path) -> None:
    """Negative control: in one folder for all versions the stale result comes back."""
    cache = {"NUMBA_CACHE_DIR": str(folder / "cache")}
    assert result(folder, **cache) == (BUCKET, 0)
    edit(folder)
    assert result(folder, **cache) == (BUCKET, 1)
