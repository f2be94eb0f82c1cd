import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.patience import LONGEST_S, wait_until

from sim.cli.commands import _told
from sim.study.run import StudyOutcome

STUDY = """\
version: 1
name: tiny
question: How much memory does it take?
base: redis_bgsave
set: {run.sample_every: 50 ms, processes.redis.save_every: 100 ms}
axes:
  processes.redis.dataset: [4 MiB, 8 MiB]
  processes.redis.writes: [100/s, 5000/s]
replications: 3
seed: 3
need: {set: {host.memory: 256 MiB}}
check: {times: processes.redis.dataset, by: [2, 40], around: [1.0]}
answer: {subject: a Redis host, event: saves}
"""


def cowpool(*arguments, cwd, **options):
    return subprocess.run(
        [sys.executable, "-m", "sim", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "tiny.yaml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def done(folder):
    return cowpool("study", "tiny.yaml", "--jobs", "2", cwd=folder)


def test_a_study_prints_its_answer_and_where_the_report_is(folder, done):
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.strip().splitlines()
    assert ", a Redis host (dataset 8 MiB, writes 5000/s) needs about " in first
    assert "(36.8 % of simulated saves, 95 % confidence, 3 runs, " in first  # what three support
    assert last == "report: out/tiny/report.html"
    page = (folder / "out/tiny/report.html").read_text()
    assert first in page
    assert (folder / "out/tiny/tables/need.csv").is_file()
    assert (folder / "out/tiny/figures/bill.png").is_file()


def test_progress_goes_to_standard_error(done):
    assert "every point: " in done.stderr
    assert "every point" not in done.stdout


def test_run_again_it_resumes_and_prints_one_document(folder, done):
    again = cowpool("study", "tiny.yaml", "--json", cwd=folder)
    assert again.returncode == 0, again.stderr
    document = json.loads(again.stdout)
    assert document["runs_new"] == 0
    assert document["answer"] == done.stdout.splitlines()[0]


def test_the_report_is_made_again_from_its_folder(folder, done):
    page = folder / "out/tiny/report.html"
    before = page.read_bytes()
    page.unlink()
    again = cowpool("report", "out/tiny", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert page.read_bytes() == before


def test_the_need_of_the_answer_is_what_a_run_reports(folder, done):
    sets = ["host.memory=256MiB", "processes.redis.dataset=8MiB", "processes.redis.writes=5000/s"]
    sets += ["run.sample_every=50ms", "processes.redis.save_every=100ms"]
    options = [option for key in sets for option in ("--set", key)]
    run = cowpool("run", "redis_bgsave", *options, "--seed", "3", "--json", cwd=folder)
    assert run.returncode == 0, run.stderr
    need = json.loads(run.stdout)["metrics"]["memory_need_bytes"]["total"]
    header, *lines = (folder / "out/tiny/tables/runs.csv").read_text().splitlines()
    names = header.split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines]
    own = [
        row
        for row in rows
        if (row["part"], row["replication"]) == ("need", "0")
        and row["processes.redis.dataset"] == "8 MiB"
        and row["processes.redis.writes"] == "5000/s"
    ]
    assert [float(row["memory_need_bytes.total"]) for row in own] == [need]


def test_a_study_that_cannot_be_is_refused_with_its_place(folder):
    (folder / "bad.yaml").write_text(STUDY.replace("writes: [", "writs: ["))
    bad = cowpool("study", "bad.yaml", cwd=folder)
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert bad.stderr.startswith("bad.yaml:8: axes.processes.redis.writs: ")
    assert "did you mean 'writes'" in bad.stderr
    assert len(bad.stderr.strip().splitlines()) == 1


def test_hundreds_of_failures_do_not_bury_the_answer(capsys):
    failures = tuple(f"need (cpus {n}), host 0, run 0: no luck" for n in range(750))
    outcome = StudyOutcome(("No answer.",), Path("out"), None, 0, 750, failures, 3)
    assert _told(outcome, as_json=False) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"failed: {failures[0]}"
    assert lines[-1] == "failed: 740 more; the report has them all"
    assert len(lines) == 11


def test_ctrl_c_keeps_what_is_finished(folder):
    (folder / "long.yaml").write_text(
        STUDY.replace("name: tiny", "name: long").replace("replications: 3", "replications: 1000")
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "sim", "study", "long.yaml", "--jobs", "1"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # As at a terminal: whoever runs the tests in the background has them deaf to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    journal = folder / "out/long/runs.sqlite-wal"
    sizes = {0}

    def has_grown_again() -> bool:  # the plan is written in one go; then come finished runs
        assert process.poll() is None, process.communicate()
        sizes.add(journal.stat().st_size if journal.exists() else 0)
        return len(sizes) > 2

    wait_until(has_grown_again, every_s=0.2)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=LONGEST_S)
    assert process.returncode == 130, (out, err)
    assert err.endswith("interrupted; everything finished so far is kept\n")
    assert "Traceback" not in err
    again = cowpool("report", "out/long", cwd=folder)
    assert again.returncode in (0, 1), again.stderr
    assert "A Redis host" in again.stdout or "No answer" in again.stdout
