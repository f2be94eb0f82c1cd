import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import RUNS_HERE, cowpool, cowpool_here
from support.patience import LONGEST_S, wait_until

from sim.base.units import format_bytes, format_bytes_up, parse_duration
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "tiny.yaml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def done(folder):
    return cowpool("study", "tiny.yaml", "--jobs", "1", cwd=folder)


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


def rows_of(folder, name):
    with (folder / f"out/tiny/tables/{name}.csv").open(newline="") as table:
        return list(csv.DictReader(table))


def test_the_first_sentences_say_what_the_answer_rests_on(folder, done):
    """Condition, figure, chance; range and what to measure; model; omissions; prices."""
    first, reach, measure, *more = done.stdout.splitlines()
    condition = re.match(
        r"With (.*?) \((?:all )?assumed\), a Redis host \(.*?\) needs about ", first
    )
    assert "save speed 200 MiB/s" in condition[1]
    need = max(rows_of(folder, "need"), key=lambda row: float(row["host_bytes"]))
    assert f"needs about {format_bytes_up(float(need['host_bytes']))} of memory" in first
    inputs = rows_of(folder, "inputs")
    own = [row for row in inputs if row["answer"] and row["part_of_the_question"] == "False"]
    figures = [float(row["answer"]) for row in own] + [float(need["host_bytes"])]
    low, high = format_bytes_up(min(figures)), format_bytes_up(max(figures))
    assert f"it is {low} to {high} (" in reach
    assert reach.endswith("one run each).")
    widest = max(own, key=lambda row: abs(float(row["answer"]) - float(need["host_bytes"])))
    assert measure.startswith(f"Measure first: {widest['measure']} (")
    copies = float(need["cow_copies_bytes"])
    error = f"{format_bytes(0.02 * copies)} to {format_bytes(0.06 * copies)}, not in the figure."
    assert any(
        line.startswith("A real redis had 2 to 6 % more ") and error in line for line in more
    )
    assert any(line.startswith("Not given, so taken as 0: client buffers, ") for line in more)


def test_a_latency_is_never_without_the_range_of_its_prices(folder, done):
    text = next(line for line in done.stdout.splitlines() if line.startswith("The fork stalls"))
    low, high, middle = (
        parse_duration(found) for found in re.findall(r"[\d.]+ (?:ns|us|ms|s)\b", text)
    )
    assert low < middle < high
    assert "the same in all" not in done.stdout
    runs = [row for row in rows_of(folder, "runs") if row["part"] == "inputs"]
    # The runs with all prices low and high are the last two; forks there take what was said.
    forks = [float(row["fork_latency_ns.mean"]) for row in runs]
    assert forks[-2:] == [pytest.approx(low, rel=0.01), pytest.approx(high, rel=0.01)]


def test_each_input_was_run_at_each_of_its_ends_and_no_other(folder, done):
    tried = {row["input"]: [] for row in rows_of(folder, "inputs")}
    for row in rows_of(folder, "inputs"):
        tried[row["input"]] += [row["instead"]] if row["instead"] else []
    assert tried["processes.redis.save_speed"] == ["100 MiB/s", "400 MiB/s"]
    assert tried["processes.redis.key_distribution"] == ["zipf"]
    assert tried["host.prices"] == ["all low", "all high"]
    assert tried["processes.redis.saves"] == []
    runs = [row for row in rows_of(folder, "runs") if row["part"] == "inputs"]
    assert len(runs) == sum(len(ends) for ends in tried.values())


def test_a_study_without_an_answer_has_no_range_either(folder):
    """Negative control: the same study, cut before any save."""
    text = STUDY.replace("name: tiny", "name: cut").replace("set: {", "set: {run.horizon: 50 ms, ")
    (folder / "cut.yaml").write_text(re.sub("check: .*\n", "", text))
    cut = cowpool_here("study", "cut.yaml", *RUNS_HERE, cwd=folder)
    assert cut.returncode == 1
    assert cut.stdout.startswith("No answer ")
    assert not re.search(r"needs about|an end of its range|Measure|stalls its caller", cut.stdout)
    facts = json.loads((folder / "out/cut/findings.json").read_text())
    assert facts["inputs"] == facts["latencies"] == facts["bill"] == []
    assert not (folder / "out/cut/tables/inputs.csv").exists()
    assert 'id="inputs"' not in (folder / "out/cut/report.html").read_text()


def test_progress_goes_to_standard_error(done):
    assert "every point: " in done.stderr
    assert "every point" not in done.stdout


def test_run_again_it_resumes_and_prints_one_document(folder, done):
    again = cowpool_here("study", "tiny.yaml", "--json", cwd=folder)
    assert again.returncode == 0, again.stderr
    document = json.loads(again.stdout)
    assert document["runs_new"] == 0
    assert document["answer"] == done.stdout.splitlines()[0]


def without_date(page):
    text, n = re.subn(r'<dd class="made">[^<]*</dd>', "", page.read_text())
    assert n == 1
    return text


def test_the_report_is_made_again_from_its_folder(folder, done):
    page = folder / "out/tiny/report.html"
    before = without_date(page)
    page.unlink()
    again = cowpool_here("report", "out/tiny", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert without_date(page) == before


def test_the_need_of_the_answer_is_what_a_run_reports(folder, done):
    """The command that the report gives for one run of the answer's point."""
    facts = json.loads((folder / "out/tiny/findings.json").read_text())
    program, *arguments = shlex.split(facts["provenance"]["run_command"])
    assert program == "cowpool"
    assert "--set" in arguments
    run = cowpool_here(*arguments, "--json", cwd=folder)
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
    bad = cowpool_here("study", "bad.yaml", cwd=folder)
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
    again = cowpool_here("report", "out/long", cwd=folder)
    assert again.returncode in (0, 1), again.stderr
    assert "A Redis host" in again.stdout or "No answer" in again.stdout
