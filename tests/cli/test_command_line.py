"""What a person types besides a scenario: help, init, schema; and how cowpool ends."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sim.cli.starter
from sim.base.resources import shipped
from sim.cli import main
from sim.cli.shelf import KINDS, find, names, summaries
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
    [
        [],
        ["init"],
        ["run"],
        ["explain"],
        ["study"],
        ["report"],
        ["schema"],
        ["conform"],
        ["walk"],
        ["show"],
        ["keys"],
    ],
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
    assert "  walk     Walk through a script" in err
    assert not any(line.endswith("...") for line in err.splitlines()[1:])


def test_what_is_missing_points_to_the_help_of_its_command(capsys):
    assert main(["walk"]) == 2
    said = capsys.readouterr().err
    assert (
        said == "cowpool walk: give a SCRIPT, --reference or --trace; see `cowpool walk --help`\n"
    )


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version(option, capsys):
    assert main([option]) == 0
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


@pytest.mark.parametrize("name", shipped("scenarios"))
def test_init_from_a_scenario_that_ships(name, here, capsys):
    assert main(["init", "mine", "--from", name]) == 0
    assert capsys.readouterr().out.endswith(
        "now: cowpool explain mine.yaml; cowpool run mine.yaml\n"
    )
    mine, shipped_one = load_scenario("mine.yaml"), load_scenario(name)
    assert mine["name"] == "mine"
    assert {**mine, "name": shipped_one["name"]} == shipped_one
    assert name not in Path("mine.yaml").read_text().partition("version:")[0]


@pytest.mark.parametrize("name", shipped("studies"))
def test_init_from_a_study_that_ships_brings_its_scenario(name, here):
    assert main(["init", "mine", "--from", name]) == 0
    study = load_study("mine_study.yaml")
    assert (study.file.name, study.file.base) == ("mine", "mine.yaml")
    assert main(["explain", "mine_study.yaml"]) == 0
    assert re.search("cowpool (study|plan) mine_study.yaml", Path("mine_study.yaml").read_text())


def test_init_from_what_does_not_ship(here, capsys):
    assert main(["init", "mine", "--from", "prefork"]) == 2
    assert "did you mean 'prefork_web'" in capsys.readouterr().err
    assert not list(here.iterdir())


@pytest.mark.parametrize("name", names())
def test_what_ships_is_shown_as_it_is(name, capsys):
    assert main(["show", name]) == 0
    (first, *_) = find(name)
    assert capsys.readouterr().out == first.read_text()
    assert main(["show", "--path", name]) == 0
    assert capsys.readouterr().out.splitlines()[0] == str(first)


def test_show_lists_what_ships_and_every_file_says_what_it_is(capsys):
    assert main(["show"]) == 0
    out = capsys.readouterr().out
    for kind in KINDS:
        for name in shipped(kind):
            assert f"  {name}  " in out
    assert all(text for described in summaries().values() for _, text in described)


def test_show_says_that_a_study_has_the_same_name(capsys):
    assert main(["show", "redis_bgsave"]) == 0
    assert capsys.readouterr().err == (
        "also studies/redis_bgsave: see `cowpool show studies/redis_bgsave`\n"
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("redis_bgsav", "nothing that ships is called 'redis_bgsav'; did you mean 'redis_bgsave'?"),
        ("hosts/ec2", "none of the hosts that ship with cowpool is called 'ec2'"),
        ("nodes/x", "no kind of file is called 'nodes'; there are: scenarios, studies, hosts"),
    ],
)
def test_show_of_what_does_not_ship(name, told, capsys):
    assert main(["show", name]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "explain"])
def test_a_scenario_from_standard_input(command, here, monkeypatch, capsys):
    text = find("steps_demo")[0].read_bytes().replace(b"name: steps_demo\n", b"")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert main([command, "-", "--set", "host.cpus=2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    if command == "run":
        assert document["provenance"]["scenario"]["name"] == "stdin"
        assert document["provenance"]["scenario"]["host"]["cpus"] == 2


def test_a_study_from_standard_input(here, monkeypatch, capsys):
    text = find("studies/redis_bgsave")[0].read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert main(["explain", "-"]) == 0
    assert "Study redis_bgsave" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["walk", "conform"])
def test_a_script_from_standard_input(command, here, monkeypatch, capsys):
    script = b"P map A 4\nP write A 0 4\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(script)))
    assert main([command, "-"]) == 0
    assert "write A 0 4" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"P mop A 4\n")))
    assert main([command, "-"]) == 2
    assert capsys.readouterr().err.startswith("<stdin>:1: ")


def test_no_standard_input_is_told_in_one_line(here, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", None)
    assert main(["run", "-"]) == 2
    assert capsys.readouterr().err == (
        "<stdin>:1: cannot be read (there is no standard input); check the path\n"
    )


def test_what_is_wrong_on_standard_input_has_its_line(here, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"version: 1\nhosts: {}\n")))
    assert main(["run", "-"]) == 2
    assert capsys.readouterr().err.startswith(
        "<stdin>:2: hosts: unknown key 'hosts'; did you mean 'host'"
    )


@pytest.mark.parametrize(
    ("name", "title"), [("studies/redis_bgsave", "Study"), ("scenarios/redis_bgsave", "Machine")]
)
def test_a_scenario_and_a_study_of_one_name_are_told_apart(name, title, here, capsys):
    assert main(["explain", name]) == 0
    assert capsys.readouterr().out.startswith(title)
    assert main(["run", "studies/redis_bgsave"]) == 2
    assert "is a study; carry it out with" in capsys.readouterr().err


def test_the_file_name_of_what_ships(here, capsys):
    assert main(["run", "redis_bgsave.yaml"]) == 2
    told = "there is no such file here; what ships is called `redis_bgsave`"
    assert told in capsys.readouterr().err


def test_an_explanation_as_json(capsys):
    assert main(["explain", "redis_bgsave", "--json"]) == 0
    sections = json.loads(capsys.readouterr().out)["sections"]
    process = next(section for section in sections if section["title"] == "Process redis")
    assert ["dataset", "1 GiB"] in process["lines"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("cowpool run redis", {"redis_bgsave"}),
        ("cowpool run mi", {"mine.yaml"}),
        ("cowpool study re", {"redis_bgsave", "redis_host"}),
        ("cowpool show hosts/e", {"hosts/ec2_hvm"}),
        ("cowpool run x --set host.k", {"host.kernel=", "host.kernel_reserve=", "host.khugepaged=",
                                        "host.kernel_stack="}),
        ("cowpool run x --plugin pl", {"plug.py"}),
        ("cowpool ex", {"explain", "export"}),
    ],
)  # fmt: skip
def test_tab_completes(words, offered, here):
    for name in ("mine.yaml", "plug.py", "notes.txt"):
        Path(name).touch()
    count = str(len(words.split()) - 1)
    env = {"_COWPOOL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": count}
    done = subprocess.run(
        [sys.executable, "-c", "from sim.cli import main; main()"],
        env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert set(done.stdout.split()) == offered, done.stderr


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


@pytest.mark.parametrize(("limit", "status"), [("20 MiB", 0), ("2 MiB", 1)])
def test_a_reader_that_goes_away_leaves_a_run_its_status(tmp_path, limit, status):
    """Whoever reads nothing at all has still asked whether the run answers."""
    file = tmp_path / "s.yaml"
    file.write_text(
        "version: 1\nhost: {memory: 64 MiB, cpus: 1}\n"
        f"groups: {{g: {{memory_max: {limit}}}}}\n"
        "processes: {a: {program: steps, group: g, "
        "steps: [{mmap: {name: A, size: 4 MiB}}, {write: A}]}}\n"
    )
    for more in ("", " --json"):
        done = subprocess.run(
            f"{sys.executable} -m sim run {file}{more} | true; exit ${{PIPESTATUS[0]}}",
            shell=True,
            executable="/bin/bash",
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (status, "")
