"""What a person types besides a scenario: help, init, schema; and how cowpool ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import sim.cli.starter
from sim.cli import main
from sim.scenario import load_scenario
from sim.scenario.study import load_study

HEAVY = {"numba", "numpy", "matplotlib", "pandas", "scipy", "seaborn", "simpy", "ruamel"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "code",
    [
        "import sim",
        "import sim.cli",
        "from sim.cli import main; main(['--help'])",
        "from sim.cli import main; main(['run', '--help'])",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code):
    assert not HEAVY & modules_after(code)


@pytest.mark.parametrize(
    "command",
    [[], ["init"], ["run"], ["explain"], ["study"], ["report"], ["schema"], ["conform"], ["walk"]],
)
def test_every_command_has_help(command, capsys):
    assert main([*command, "--help"]) == 0
    out, err = capsys.readouterr()
    assert "Usage: cowpool" in out
    assert err == ""


def test_without_a_command_its_help_is_printed_as_it_is(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "  walk     Tell a script" in err.splitlines()[-2]


def test_what_is_missing_points_to_the_help_of_its_command(capsys):
    assert main(["walk"]) == 2
    said = capsys.readouterr().err
    assert said == "cowpool walk: Missing argument 'SCRIPT'; see `cowpool walk --help`\n"


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cowpool {sim.__version__}\n"


def test_init_writes_what_loads(here, capsys):
    assert main(["init", "mine"]) == 0
    assert "mine.yaml" in capsys.readouterr().out
    assert load_scenario("mine.yaml")["name"] == "mine"
    assert load_study("mine_study.yaml").file.base == "mine.yaml"
    assert main(["explain", "mine.yaml"]) == 0
    assert "Study" not in capsys.readouterr().out
    assert main(["explain", "mine_study.yaml"]) == 0
    out = capsys.readouterr().out
    assert "Study mine" in out
    assert "4, every combination" in out


def test_a_setting_cannot_change_a_study(here, capsys):
    assert main(["init", "mine"]) == 0
    assert main(["explain", "mine_study.yaml", "--set", "seed=2"]) == 2
    assert "--set and --plugin are for scenarios" in capsys.readouterr().err


def test_init_overwrites_nothing(here, capsys):
    Path("mine_study.yaml").write_text("precious")
    assert main(["init", "mine"]) == 2
    assert "mine_study.yaml:1: exists already" in capsys.readouterr().err
    assert Path("mine_study.yaml").read_text() == "precious"
    assert not Path("mine.yaml").exists()


def test_init_in_a_folder_that_cannot_be_written(here, capsys):
    assert main(["init", "nowhere/mine"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_report_of_nothing(here, capsys):
    assert main(["report", "nowhere"]) == 2
    assert "holds no study" in capsys.readouterr().err


def test_schema_is_one_json_document(capsys):
    assert main(["schema"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["$schema"].startswith("https://json-schema.org/")
    assert err == ""


def test_a_defect_keeps_its_traceback_in_a_file(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def broken(name: str) -> None:
        raise RuntimeError("the books do not balance\nat all")

    monkeypatch.setattr(sim.cli.starter, "write_starter", broken)
    assert main(["init", "x"]) == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "the books do not balance" in err
    (kept,) = tmp_path.glob("cowpool-defect-*.txt")
    assert str(kept) in err
    assert "Traceback" in kept.read_text()
    assert sim.__version__ in kept.read_text()


def test_a_defect_without_a_place_for_its_file(monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", "/no/such/place")

    def broken(name: str) -> None:
        raise RuntimeError

    monkeypatch.setattr(sim.cli.starter, "write_starter", broken)
    assert main(["init", "x"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_a_host_too_large_to_simulate_here(monkeypatch, capsys):
    def too_much(name: str) -> None:
        raise MemoryError

    monkeypatch.setattr(sim.cli.starter, "write_starter", too_much)
    assert main(["init", "x"]) == 2
    assert "smaller host" in capsys.readouterr().err


def test_interrupted(monkeypatch, capsys):
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sim.cli.starter, "write_starter", interrupted)
    assert main(["init", "x"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_reader_that_goes_away_is_no_defect():
    done = subprocess.run(
        f"{sys.executable} -m sim schema | head -c 100; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
