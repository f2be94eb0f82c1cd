"""Files are whole or as they were, wherever the writing of them is cut short."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sim.base.files import STAGE_PREFIX, CannotWriteError, require_places, stage, write_file

SETS = {
    "old": {"findings.json": "old\n", "report.html": "old page\n", "tables/a.csv": "1\n"},
    "new": {
        "findings.json": "new\n",
        "report.html": "new page\n",
        "tables/a.csv": "1\n",
        "tables/b.csv": "2\n",
        "figures/c.svg": "<svg/>\n",
    },
}

PUBLISH = """
import errno, os, signal, sys
from pathlib import Path
from sim.base.files import stage

folder, which, how = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
seen = 0
CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.rmdir", "tempfile.mkdtemp"}

def strike(event, arguments):
    global seen
    if event not in CHANGES or str(folder) not in str(arguments[0]):
        return
    seen += 1
    if seen == which:
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC, "No space left on device", str(arguments[0]))

FILES = %r
sys.addaudithook(strike)
with stage(folder, "findings.json") as made:
    for name, text in FILES.items():
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(text)
print(seen)
"""


def write_set(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    with stage(folder, "findings.json") as made:
        for name, text in files.items():
            (made / name).parent.mkdir(exist_ok=True)
            (made / name).write_text(text)


def publish(folder: Path, files: dict[str, str], which: int = 0, how: str = "kill") -> int | None:
    """Write a set of files in a process that is struck at its n-th change of the folder.

    Returns how many changes it made, None if it did not get through.
    """
    done = subprocess.run(
        [sys.executable, "-c", PUBLISH % files, str(folder), str(which), how],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode else int(done.stdout)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and STAGE_PREFIX not in str(path)
    }


@pytest.mark.parametrize("how", ["kill", "full"])
def test_wherever_it_is_cut_short_no_mixture_is_taken_for_a_report(tmp_path, how):
    """Every change to the folder in turn is the one at which it ends."""
    write_set(tmp_path / "all", SETS["old"])
    changes = publish(tmp_path / "all", SETS["new"])
    assert changes is not None
    assert changes > 20
    for which in range(1, changes + 1):
        folder = tmp_path / str(which)
        write_set(folder, SETS["old"])
        assert contents(folder) == SETS["old"]
        done = publish(folder, SETS["new"], which, how)
        found = contents(folder)
        for name, text in found.items():
            assert text in (SETS["old"].get(name), SETS["new"].get(name))
        if "findings.json" in found:  # the set that it names is there whole
            assert found == SETS["old" if found["findings.json"] == "old\n" else "new"]
        assert done is None or found == SETS["new"]
        write_set(folder, SETS["new"])
        assert contents(folder) == SETS["new"]
        assert not list(folder.glob(f"{STAGE_PREFIX}*"))


def test_a_block_that_fails_changes_nothing(tmp_path):
    write_set(tmp_path, SETS["old"])
    with pytest.raises(ZeroDivisionError), stage(tmp_path, "findings.json") as made:
        (made / "findings.json").write_text(f"{1 / (len('half') - 4)}")
    assert contents(tmp_path) == SETS["old"]
    assert not list(tmp_path.glob(f"{STAGE_PREFIX}*"))


def test_what_fails_is_told_by_the_name_it_would_have_had(tmp_path):
    with pytest.raises(CannotWriteError) as caught, stage(tmp_path, "findings.json") as made:
        (made / "missing" / "a.csv").write_text("x")
    assert caught.value.file == str(tmp_path / "missing" / "a.csv")


def test_one_file_is_replaced_as_a_whole_and_keeps_its_rights(tmp_path):
    path = tmp_path / "a.svg"
    write_file(path, "one")
    usual = tmp_path / "usual"
    usual.write_text("")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)
    path.chmod(0o640)
    write_file(path, "two")
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.svg", "usual"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("one")
    (tmp_path / "link").symlink_to("real")
    write_file(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "two"


@pytest.mark.parametrize("place", ["nowhere/a.svg", "folder", "file/a.svg"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWriteError, match="cannot be written") as caught:
        write_file(tmp_path / place, "x")
    assert caught.value.file == str(tmp_path / place)


def test_a_device_is_written_as_it_is():
    write_file(Path(os.devnull), "x")
    assert not Path(os.devnull).is_file()


def test_places_of_the_wrong_kind_are_refused_before_anything_is_written(tmp_path):
    require_places(tmp_path / "new", ("report.html",), ("tables",))
    (tmp_path / "report.html").mkdir()
    with pytest.raises(CannotWriteError, match="is a folder"):
        require_places(tmp_path, ("report.html",), ("tables",))
    (tmp_path / "tables").write_text("")
    with pytest.raises(CannotWriteError, match="is no folder"):
        require_places(tmp_path, (), ("tables",))
