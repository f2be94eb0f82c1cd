"""Studies and their reports say what of a host they do not follow, and which figures that marks."""

import csv
import json

import pytest

from sim.report.page import write_report
from sim.study.executor import InlineExecutor
from sim.study.run import run_study

STUDY = """\
version: 1
name: plain
base: redis_bgsave
set: {run.horizon: 60 s, processes.redis.dataset: 64 MiB}
axes:
  host.lru: [classic, mglru]
  host.kernel: ["6.12", "7.1"]
replications: 3
seed: 1
answer: {metric: free_pages.min}
metrics: [cow_copies, oom_kills]
"""
MARK = "(not exact: MGLRU)"


@pytest.fixture(scope="module")
def studied(tmp_path_factory, request):
    conftest = request.config.pluginmanager.get_plugin(str(request.path.parent / "conftest.py"))
    folder = tmp_path_factory.mktemp("study")
    (folder / "plain.yaml").write_text(STUDY)
    return run_study(
        folder / "plain.yaml",
        folder / "out",
        quiet=True,
        report=write_report,
        executors=lambda n: InlineExecutor(conftest._STANDIN.simulate),
    )


def test_each_condition_is_said_once(studied):
    facts = json.loads((studied.out / "findings.json").read_text())
    newer, inexact = sorted(facts["provenance"]["conditions"])
    assert newer.startswith("Linux 7.1 is newer than all that is known")
    assert inexact.startswith("not exact: MGLRU: ")
    sentences = facts["answer"]["more"]
    assert sum(sentence.startswith("Not exact: MGLRU: ") for sentence in sentences) == 1
    assert sum(sentence.startswith("Linux 7.1 is newer") for sentence in sentences) == 1


def test_a_figure_is_marked_at_the_points_that_use_mglru_and_there_only(studied):
    with (studied.out / "tables" / "points.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(MARK in row["text"] for row in rows) >= 4
    for row in rows:
        inexact = row["host.lru"] == "mglru" and row["metric"] in ("free_pages.min", "oom_kills")
        if row["metric"] in ("free_pages.min", "oom_kills", "cow_copies"):
            assert (MARK in row["text"]) == inexact, row["text"]


def test_the_report_has_the_conditions_and_the_marks(studied):
    text = studied.report.read_text()
    assert text.count("<dt>Condition</dt>") == 2
    assert "the rules of 6.18 hold" in text
    assert MARK in text
