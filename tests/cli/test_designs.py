"""What the command line says of designs and of uncertain inputs, before and after they run."""

import csv

import pytest

from sim.cli import main

STUDY = """\
version: 1
name: tiny
base: redis_bgsave
set: {run.sample_every: 50 ms, processes.redis.save_every: 100 ms}
axes:
  processes.redis.dataset: {range: [4 MiB, 8 MiB]}
  processes.redis.writes: {range: [100/s, 5000/s]}
design: DESIGN
replications: 1
one_at_a_time: 0
seed: 3
answer: {metric: cow_copies}
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(design, more=""):
        (tmp_path / "tiny.yaml").write_text(STUDY.replace("DESIGN", design) + more)
        return "tiny.yaml"

    return write


@pytest.mark.parametrize(
    ("design", "told"),
    [
        ("grid", "4, every combination"),
        ("zip", "2, axes that change together"),
        ("one at a time", "3, one axis at a time"),
        ("factorial", "4, a two-level factorial, full"),
        ("{latin_hypercube: 20}", "20, a Latin hypercube of 20 points"),
        ("{sobol: 16}", "16, 16 points of a Sobol sequence"),
    ],
)
def test_explain_says_which_design_it_is(study, capsys, design, told):
    assert main(["explain", study(design)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert told in out
    assert "logarithmic scale" in out


def test_explain_says_how_many_points_are_left_out(study, capsys):
    assert main(["explain", study("grid", "where: ['dataset < 6 MiB']\n")]) == 0
    assert "2, every combination, 2 left out" in " ".join(capsys.readouterr().out.split())


def test_a_mistake_is_one_line_and_exit_2(study, capsys):
    assert main(["explain", study("{sobol: 15}")]) == 2
    said = capsys.readouterr().err
    assert said == "tiny.yaml:8: design: sobol: 15 is no power of 2; write 8 or 16\n"


def test_a_design_may_be_set_on_the_command_line(study, capsys):
    assert main(["explain", study("grid"), "--set", "design={sobol: 4}"]) == 0
    assert "4 points of a Sobol sequence" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_a_factorial_runs_and_its_effects_have_a_table(study, tmp_path, capsys):
    assert main(["study", study("factorial"), "--jobs", "1"]) in (0, 1)
    assert "Largest effects on cow_copies" in " ".join(capsys.readouterr().out.split())
    with (tmp_path / "out" / "tiny" / "tables" / "effects.csv").open() as file:
        rows = {row["effect"]: float(row["difference"]) for row in csv.DictReader(file)}
    assert set(rows) == {"dataset", "writes", "dataset × writes"}
    assert rows["writes"] > 0
