"""`cowpool study --shard` and `--merge`, as typed."""

import json
from pathlib import Path

import pytest
from support.commands import RUNS_HERE
from support.stores import rows_of

from sim.cli import main
from sim.study.executor import InlineExecutor
from sim.study.run import run_study

STUDY = """\
version: 1
name: tiny
question: How much memory does it take?
base: redis_bgsave
set: {run.sample_every: 50 ms, processes.redis.save_every: 100 ms}
axes:
  processes.redis.dataset: [1 MiB, 2 MiB]
replications: 3
seed: 3
need: {set: {host.memory: 64 MiB}}
check: {times: processes.redis.dataset, by: [40], around: [1.0], fresh: 2}
answer: {subject: a Redis host, event: saves}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "tiny.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_shards_are_made_and_merged_by_four_commands(folder, capsys, monkeypatch):
    """The page is a stand-in that keeps its facts; in test_study_command.py it is drawn."""
    told_of = []

    def page_of(facts, tables, page):
        told_of.append({name: facts[name] for name in facts if name not in ("provenance", "made")})
        page.write_text("a page")

    monkeypatch.setattr("sim.cli.studying.drawn_report", page_of)
    threads = ["--executor", "concurrent.futures:ThreadPoolExecutor", "--jobs", "1"]
    assert main(["study", "tiny.yaml", "--shard", "2/2", *threads]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Shard 2 of 2: ")
    assert "No answer yet: " in told
    assert told.strip().endswith("folder: out/tiny-2-of-2")
    assert main(["study", "tiny.yaml", "--shard", "1/2", *RUNS_HERE, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["shard"], document["shards"], document["runs_failed"]) == (1, 2, 0)
    assert not (folder / "out/tiny-1-of-2/report.html").exists()
    assert main(["study", "--merge", "out/tiny-2-of-2", "out/tiny-1-of-2", *RUNS_HERE]) == 0
    merged = capsys.readouterr().out
    executors = lambda n: InlineExecutor()  # noqa: E731
    whole = run_study("tiny.yaml", Path("whole"), quiet=True, executors=executors, report=page_of)
    of_shards, of_whole = told_of
    assert of_shards == of_whole
    assert rows_of(folder / "out/tiny") == rows_of(folder / "whole")
    assert merged.splitlines()[0] == whole.answer
    assert (folder / "out/tiny/report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tiny.yaml", "--shard", "3/2"], "--shard: '3/2' is no shard"),
        (["tiny.yaml", "other.yaml"], "other.yaml: is more than one study with tiny.yaml"),
        (["--merge", "nothing"], "nothing: holds no shard of a study"),
        (["--merge", "nothing", "--seed", "3"], "--set: shards have their study with them"),
        (["--merge", "nothing", "--shard", "1/2"], "--shard: shards have their study with them"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(folder, capsys, arguments, said):
    assert main(["study", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith(said)
    assert told.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["tiny.yaml"]
