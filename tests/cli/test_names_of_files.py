"""Names that are no file's: too long, where nobody may look, without an end."""

import errno
import os
from pathlib import Path

import pytest

from sim.cli import main

LONG = "x" * 300
WITH_A_NAME = {
    "run": ["run", "{}"],
    "explain": ["explain", "{}"],
    "study": ["study", "{}"],
    "plan": ["plan", "{}"],
    "its folder": ["study", "redis_bgsave", "--out", "{}"],
    "report": ["report", "{}"],
    "status": ["status", "{}"],
    "export": ["export", "{}"],
    "shards": ["study", "--merge", "{}", "--out", "out"],
    "starter": ["init", "{}"],
    "plug-in": ["run", "steps_demo", "--plugin", "{}"],
    "profile": ["run", "profile.yaml"],
    "base": ["study", "base.yaml"],
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys, arguments, name):
    """Return the one line that a command says of a file with this name, having refused it."""
    assert main([argument.format(name) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


def write_documents(folder, name):
    process = "processes: {p: {program: steps, steps: [{compute: 1 s}]}}"
    (folder / "profile.yaml").write_text(f"version: 1\nhost: {{profile: {name}}}\n{process}\n")
    (folder / "base.yaml").write_text(
        f"version: 1\nname: b\nseed: 1\nbase: {name}\n"
        "axes: {host.cpus: [1, 2]}\nreplications: 2\n"
    )


@pytest.mark.parametrize("what", WITH_A_NAME)
def test_a_name_that_is_too_long_is_told_short(here, capsys, what):
    write_documents(here, LONG)
    line = said(capsys, WITH_A_NAME[what], LONG)
    assert "xxxx" in line  # it is this that is refused
    assert len(line) < 500


def may_not_look(monkeypatch, folder):
    """Have whatever lies in a folder out of reach, as it is for all but root."""
    own = Path.stat

    def stat(path, **options):
        if folder in path.absolute().parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return own(path, **options)

    monkeypatch.setattr(Path, "stat", stat)


@pytest.mark.parametrize("what", WITH_A_NAME)
def test_where_nobody_may_look(here, capsys, monkeypatch, what):
    (here / "locked").mkdir(mode=0)
    if os.geteuid() == 0:
        may_not_look(monkeypatch, here / "locked")
    write_documents(here, "./locked/x.yaml")
    assert "locked" in said(capsys, WITH_A_NAME[what], "locked/x")


@pytest.mark.parametrize("what", ["plug-in", "arrivals"])
def test_what_has_no_end_is_not_read_to_its_end(here, capsys, what):
    (here / "arrivals.yaml").write_text(
        "version: 1\nprocesses: {r: {program: redis, dataset: 8 MiB, arrivals: file, "
        "arrivals_file: /dev/zero, arrivals_sha256: '00'}}\n"
    )
    arguments = WITH_A_NAME.get(what, ["run", "arrivals.yaml"])
    assert "/dev/zero" in said(capsys, arguments, "/dev/zero")
