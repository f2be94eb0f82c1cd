"""A fresh process gets an edited callee's new result, though the caller's file is untouched."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sim
from sim.base.cache import temporary_folder

pytestmark = pytest.mark.slow

CALLER = """
from sim.base.jit import compiled
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
    (tmp_path / "in the way").write_text("", encoding="utf-8")
    (tmp_path / "caller.py").write_text(CALLER, encoding="utf-8")
    return tmp_path


def started(folder: Path, before: str = "", **environment: str) -> tuple[str, str]:
    """Run the program in a fresh process, after `before`; return what it prints and says."""
    places = ("NUMBA_", "COWPOOL_", "XDG_CACHE_HOME")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(places)}
    ran = subprocess.run(
        [sys.executable, "-c", f"{before}\nimport runpy; runpy.run_path('caller.py')"],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout, ran.stderr


def result(folder: Path, **environment: str) -> tuple[int, int]:
    """Run the program in a fresh process; return the result, and how often the cache was used."""
    value, hits = started(folder, **environment)[0].split()
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


EDITING = """
import pathlib
import sim.machine.layout
edited = pathlib.Path("sim/kernel/work.py")
edited.write_text(edited.read_text() + "# edited")
"""


def test_what_a_process_makes_of_sources_edited_under_it_is_not_kept(folder: Path) -> None:
    """It may have read one file before the edit and another behind it."""
    cache = {"COWPOOL_CACHE_DIR": str(folder / "cache")}
    value, said = started(folder, EDITING, **cache)
    assert value.split() == [str(BUCKET), "0"]
    assert said.count("edited since this began") == 1
    assert result(folder, **cache) == (BUCKET, 0)
    assert result(folder, **cache) == (BUCKET, 1)


NO_HOME = """
import pathlib
def nobody(*_):
    raise RuntimeError("Could not determine home directory.")
pathlib.Path.home = nobody
"""
NOWHERE = (
    NO_HOME
    + """
import tempfile
def none():
    raise FileNotFoundError(2, "No usable temporary directory found")
tempfile.gettempdir = none
"""
)


@pytest.mark.parametrize("variable", ["COWPOOL_CACHE_DIR", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"])
def test_where_no_cache_can_be_written_it_goes_among_temporary_files(
    folder: Path, variable: str
) -> None:
    below = folder / "in the way" / "cache"
    others = {"HOME": str(folder / "in the way")} if variable == "NUMBA_CACHE_DIR" else {}
    places = others | {variable: str(below), "TMPDIR": str(folder)}
    value, said = started(folder, **places)
    assert value.split() == [str(BUCKET), "0"]
    assert said.count("\n") == 1
    assert f"{below} cannot be written: compiled code goes to {folder}/cowpool-" in said.replace(
        "/cowpool cannot", " cannot"
    )
    assert "COWPOOL_CACHE_DIR" in said
    assert result(folder, **places) == (BUCKET, 1)
    assert_nothing_in_the_package(folder)


def test_without_a_home_it_goes_among_temporary_files(folder: Path) -> None:
    value, said = started(folder, NO_HOME, TMPDIR=str(folder), XDG_CACHE_HOME="")
    assert value.split() == [str(BUCKET), "0"]
    assert said.startswith("cowpool: there is no home: compiled code goes to ")
    assert_nothing_in_the_package(folder)


def test_without_any_place_to_write_it_compiles_and_keeps_nothing(folder: Path) -> None:
    value, said = started(folder, NOWHERE, XDG_CACHE_HOME="")
    assert value.split() == [str(BUCKET), "0"]
    assert said.startswith("cowpool: there is no home: each start compiles anew; ")
    assert_nothing_in_the_package(folder)


def test_what_is_not_compiled_needs_no_place_and_no_word(folder: Path) -> None:
    (folder / "caller.py").write_text(CALLER.partition("print")[0], encoding="utf-8")
    places = {"COWPOOL_CACHE_DIR": str(folder / "in the way" / "cache")}
    assert started(folder, NUMBA_DISABLE_JIT="1", **places) == ("", "")


@pytest.mark.skipif(os.name != "posix", reason="owners and rights of files are POSIX's")
@pytest.mark.parametrize("trap", ["of others", "a link", "a file"])
def test_code_is_not_taken_from_where_others_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place = tmp_path / f"cowpool-{os.getuid()}"
    if trap == "of others":
        place.mkdir()
        place.chmod(0o777)
    elif trap == "a link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to("elsewhere")
    else:
        place.write_text("")
    found = temporary_folder()
    assert found is not None
    assert found != place
    assert found.stat().st_mode & 0o077 == 0


def assert_nothing_in_the_package(folder: Path) -> None:
    assert not list((folder / "sim").rglob("*.nb[ic]"))
    assert not list((folder / "sim").rglob("__pycache__"))
