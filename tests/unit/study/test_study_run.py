import errno
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.patience import wait_until

from sim.base.errors import PartlyDoneError, ScenarioError
from sim.study.executor import InlineExecutor
from sim.study.job import Finished, Job, work
from sim.study.local_pool import LokyExecutor
from sim.study.run import StudyOutcome, report_again, run_study
from sim.study.store import Store

HERE = Path(__file__).parent
FILES = ("findings.json", "tables/runs.csv", "tables/need.csv", "tables/oom.csv")


def inline(simulate):
    return lambda n_workers: InlineExecutor(simulate)


def study(study_file, out, simulate, **options):
    return run_study(study_file, out, quiet=True, executors=inline(simulate), **options)


def results(out):
    """Return findings and tables; of the command that is in them, the name of the file alone."""
    return [re.sub(r"/\S+/small.yaml", "small.yaml", (out / name).read_text()) for name in FILES]


@dataclass(frozen=True)
class Whole:
    """A study that is finished, which nobody changes: who goes on with it copies it."""

    file: Path
    out: Path
    outcome: StudyOutcome

    def copied_to(self, out):
        shutil.copytree(self.out, out)
        return out


@pytest.fixture(scope="module")
def whole(study_text, tmp_path_factory, standin):
    folder = tmp_path_factory.mktemp("whole")
    (folder / "small.yaml").write_text(study_text)
    outcome = study(folder / "small.yaml", folder / "out", standin.simulate)
    return Whole(folder / "small.yaml", folder / "out", outcome)


class Counting:
    """Counts runs; at the `stop_at`-th it is as if Ctrl-C was pressed."""

    def __init__(self, simulate, stop_at=None):
        self.simulate, self.stop_at, self.n = simulate, stop_at, 0

    def __call__(self, scenario, *, seed, replication):
        if self.n == self.stop_at:
            raise KeyboardInterrupt
        self.n += 1
        return self.simulate(scenario, seed=seed, replication=replication)


def test_a_study_ends_with_an_answer(whole):
    outcome = whole.outcome
    assert outcome.exit_status == 0
    assert ", a Redis host (data set 256 MiB, writes busy) needs about " in outcome.answer
    assert outcome.n_done == outcome.n_new > 4 * 4
    assert outcome.n_failed == 0


def test_the_same_command_does_nothing_twice(whole, tmp_path, standin):
    out = whole.copied_to(tmp_path / "out")
    counting = Counting(standin.simulate)
    second = study(whole.file, out, counting)
    assert counting.n == second.n_new == 0
    assert second.n_done == whole.outcome.n_done
    assert results(out) == results(whole.out)


def test_an_interrupted_study_goes_on_where_it_was(whole, study_file, tmp_path, standin):
    with pytest.raises(KeyboardInterrupt):
        study(study_file, tmp_path / "out", Counting(standin.simulate, stop_at=9))
    with Store(tmp_path / "out" / "runs.sqlite") as store:
        assert len(store.done_keys()) == 9
    partial = report_again(tmp_path / "out")
    assert partial.n_done == 9
    assert partial.sentences[-1].startswith("Not finished: ")
    rest = study(study_file, tmp_path / "out", standin.simulate)
    assert rest.n_new == whole.outcome.n_new - 9
    assert results(tmp_path / "out") == results(whole.out)


def test_a_larger_study_keeps_what_the_smaller_one_did(whole, study_file, tmp_path, standin):
    out = whole.copied_to(tmp_path / "out")
    text = study_file.read_text().replace("[64 MiB, 256 MiB]", "[32 MiB, 64 MiB, 256 MiB]")
    study_file.write_text(text)
    counting = Counting(standin.simulate)
    large = study(study_file, out, counting)
    assert large.n_done == whole.outcome.n_done + counting.n


def test_a_run_that_fails_is_kept_with_its_reason(study_file, tmp_path, standin):
    def breaks(scenario, *, seed, replication):
        if replication == 1 and scenario["processes"]["redis"]["dataset"] == 64 << 20:
            raise RuntimeError("no such luck")
        return standin.simulate(scenario, seed=seed, replication=replication)

    outcome = study(study_file, tmp_path / "out", breaks)
    assert outcome.exit_status == 3
    assert outcome.n_failed == len(outcome.failures) > 0
    assert all("run 1: RuntimeError: no such luck" in failure for failure in outcome.failures)
    mended = study(study_file, tmp_path / "out", standin.simulate)
    assert mended.exit_status == 0
    assert mended.n_failed == 0
    assert mended.n_new >= outcome.n_failed


def test_workers_do_not_show(whole, study_file, tmp_path, standin):
    """Nor does their number, or what else carries out runs: see test_study_carriers.py."""
    out = tmp_path / "out"
    run_study(
        study_file,
        out,
        jobs=3,
        quiet=True,
        executors=lambda n: LokyExecutor(n, standin.simulate),
    )
    assert results(out) == results(whole.out)


def test_a_worker_that_dies_once_costs_nothing(tmp_path):
    died = tmp_path / "died"

    def dies_once(scenario, *, seed, replication):
        if replication == 1 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {}

    executor = LokyExecutor(1, dies_once)
    finished = list(executor.run([Job(str(n), {}, 1, n, 1.0) for n in range(4)]))
    executor.close()
    assert died.exists()
    assert all(done.body is not None for done in finished)


ORPHANS = """
import os, sys, time
from sim.study.job import Job
from sim.study.local_pool import LokyExecutor

def tell(scenario, *, seed, replication):
    return {"pid": os.getpid()}

executor = LokyExecutor(2, tell)
for done in executor.run([Job(str(n), {}, 1, n, 1.0) for n in range(4)]):
    print(done.key, flush=True)
print("workers", *executor._pool.pool._processes, flush=True)
time.sleep(60)
"""


def test_workers_do_not_outlive_a_killed_study():
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True
    ) as process:
        line = next(line for line in process.stdout if line.startswith("workers"))
        process.kill()
    pids = [int(pid) for pid in line.split()[1:]]
    assert len(pids) == 2
    wait_until(lambda: not any(_is_alive(pid) for pid in pids))


def _is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_result_that_cannot_be_kept_is_a_failure():
    done = work(lambda scenario, *, seed, replication: {"x": float("inf")}, Job("k", {}, 1, 0, 1.0))
    assert isinstance(done, Finished)
    assert "ValueError" in done.reason


SCRIPT = """
import importlib.util, sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
import standin
from sim.study.executor import InlineExecutor
from sim.study.run import run_study

def counted(scenario, *, seed, replication):
    begun = Path({out!r} + ".begun")
    with begun.open("a") as file:
        file.write("x")
    while begun.stat().st_size == {stop_at}:
        time.sleep(1)
    return standin.simulate(scenario, seed=seed, replication=replication)

run_study({study!r}, Path({out!r}), quiet=True, executors=lambda n: InlineExecutor(counted))
"""


def script(study_file, out, stop_at=0):
    """Return a program that runs a study; it waits for ever in its run number `stop_at`."""
    return SCRIPT.format(here=str(HERE), study=str(study_file), out=str(out), stop_at=stop_at)


def test_a_killed_process_loses_only_the_run_it_was_at(whole, study_file, tmp_path, standin):
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", script(study_file, out, stop_at=7)])
    begun = tmp_path / "out.begun"

    def has_come_so_far() -> bool:
        assert process.poll() is None
        return begun.exists() and begun.stat().st_size == 7

    wait_until(has_come_so_far)
    process.kill()
    process.wait()
    with Store(out / "runs.sqlite") as store:
        kept = len(store.done_keys())
    rest = study(study_file, out, standin.simulate)
    assert 6 == kept < rest.n_done
    assert rest.n_new == rest.n_done - kept
    assert results(out) == results(whole.out)


def test_the_hash_seed_does_not_show(whole, study_file, tmp_path):
    """That of this process is drawn anew whenever the tests are run."""
    out = tmp_path / "there"
    environment = {**os.environ, "PYTHONHASHSEED": "4242"}
    code = script(study_file, out)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert results(out) == results(whole.out)


def test_the_report_is_made_again_from_the_store_alone(study_file, tmp_path, standin):
    first = study(study_file, tmp_path / "out", standin.simulate)
    before = results(tmp_path / "out")
    for name in FILES:
        (tmp_path / "out" / name).unlink()
    study_file.unlink()
    again = report_again(tmp_path / "out")
    assert again.sentences == first.sentences
    assert again.n_new == 0
    assert results(tmp_path / "out") == before


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(ScenarioError, match="holds no study"):
        report_again(tmp_path)


def test_chance_gets_more_runs_than_certainty(whole):
    lines = (whole.out / "tables" / "oom.csv").read_text().splitlines()
    columns = lines[0].split(",")
    rows = [dict(zip(columns, line.split(","), strict=False)) for line in lines[1:]]
    runs = {(row["part"], row["factor"]): {row["runs"]} for row in rows}
    for row in rows:
        runs[row["part"], row["factor"]].add(row["runs"])
    assert runs["check", "6.0"] == {"2"}
    assert runs["around", "1.0"] == {"5"}


def test_a_point_whose_bound_is_tight_is_not_run_again(study_file, tmp_path, standin):
    wavering = study_file.read_text().replace(
        "replications: 4", "replications: {least: 3, most: 6, precision: 0.01}"
    )
    study_file.write_text(wavering)
    study(study_file, tmp_path / "out", standin.simulate)
    header, *lines = (tmp_path / "out" / "tables" / "need.csv").read_text().splitlines()
    names = header.split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines]
    for row in rows:
        tight = float(row["bound_bytes"]) <= 1.01 * float(row["mean_bytes"])
        assert tight or row["n"] == "6"
    assert {row["n"] for row in rows} == {"3", "6"}


def runs_by_point(out):
    header, *lines = (out / "tables" / "need.csv").read_text().splitlines()
    names = header.split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines]
    return {(row["processes.redis.dataset"], row["processes.redis.writes"]): row for row in rows}


def test_the_point_that_the_answer_is_about_is_run_in_full(study_file, tmp_path, standin):
    """However little chance matters there, and on hosts around what it needs as well."""
    text = study_file.read_text().replace(
        "replications: 4", "replications: {least: 3, most: 6, precision: 0.9}"
    )
    study_file.write_text(text)
    outcome = study(study_file, tmp_path / "out", standin.simulate)
    rows = runs_by_point(tmp_path / "out")
    assert {place: row["n"] for place, row in rows.items()} == {
        ("64 MiB", "quiet"): "3",
        ("64 MiB", "busy"): "3",
        ("256 MiB", "quiet"): "3",
        ("256 MiB", "busy"): "6",
    }
    assert "6 runs, normal theory" in outcome.answer
    header, *lines = (tmp_path / "out" / "tables" / "oom.csv").read_text().splitlines()
    names = header.split(",")
    oom = [dict(zip(names, line.split(","), strict=True)) for line in lines]
    below = {row["point"]: row["runs"] for row in oom if row["factor"] == "0.9"}
    assert (below["0"], below["2"], below["3"]) == ("2", "2", "5")


def test_when_more_runs_move_the_answer_it_is_run_in_full_where_it_goes(
    study_file, tmp_path, standin
):
    """The first two runs put `quiet` above `busy`; six runs would not."""

    def misleads(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        redis = scenario["processes"]["redis"]
        if redis["dataset"] == 256 << 20:
            need = 700 << 20 if redis["writes"] == 1000 and replication < 2 else 600 << 20
            need += replication * redis["writes"] // 100
            result["metrics"]["memory_need_bytes"]["total"] = need
        return result

    text = study_file.read_text().replace(
        "replications: 4", "replications: {least: 2, most: 30, precision: 0.9}"
    )
    study_file.write_text(text)
    outcome = study(study_file, tmp_path / "out", misleads)
    rows = runs_by_point(tmp_path / "out")
    answered = max(rows, key=lambda place: float(rows[place]["host_bytes"]))
    assert rows["256 MiB", "quiet"]["n"] == "30"
    assert rows[answered]["n"] == "30"
    assert ", ".join(answered) in outcome.answer.replace("data set ", "").replace("writes ", "")


def test_a_study_that_cannot_be_planned_writes_nothing(study_file, tmp_path, standin):
    study_file.write_text(study_file.read_text().replace("redis.writes:", "redis.writs:"))
    with pytest.raises(ScenarioError, match="writs"):
        study(study_file, tmp_path / "out", standin.simulate)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["metric: fork_latency_ns.meen, ", ""])
def test_a_metric_that_runs_do_not_have_ends_the_study_at_once(
    study_file, tmp_path, standin, where
):
    text = study_file.read_text().replace("answer: {", f"answer: {{{where}")
    if not where:
        text = text.replace("[fork_latency_ns.mean]", "[fork_latency_ns.meen]")
    study_file.write_text(text)
    counting = Counting(standin.simulate)
    with pytest.raises(ScenarioError, match=r"'fork_latency_ns.meen'; did you mean 'fork_lat"):
        study(study_file, tmp_path / "out", counting)
    assert counting.n == 0


def test_only_the_answer_is_tried_when_only_the_answer_is_asked_for(study_file, tmp_path, standin):
    text = study_file.read_text().replace(
        "around: [0.9, 1.0]", "around: [1.0]\n  around_at: answer"
    )
    study_file.write_text(text)
    study(study_file, tmp_path / "out", standin.simulate)
    lines = (tmp_path / "out" / "tables" / "oom.csv").read_text().splitlines()
    around = [line for line in lines if line.startswith("around,")]
    assert len(around) == 1
    assert around[0].startswith("around,256 MiB,busy,")


def test_findings_are_plain_and_say_where_they_come_from(whole):
    facts = json.loads((whole.out / "findings.json").read_text())
    assert facts["provenance"]["seed"] == 7
    assert facts["provenance"]["command"] == f"cowpool study {whole.file}"
    assert facts["study"]["runs"]["need"] == 16


def fills_up(folder, name):
    """Return a report that finds no room at the file `name`."""

    def report(facts, tables, page):
        page.write_text("a page")
        (page.parent / "figures").mkdir()
        raise OSError(errno.ENOSPC, "No space left on device", str(page.parent / name))

    return report


def files_of(out):
    paths = (path for path in out.rglob("*") if path.is_file() and "sqlite" not in path.name)
    return {path: path.read_bytes() for path in paths}


def page_of(facts, tables, page):
    page.write_text(f"a page of {facts['provenance']['runs_done']} runs")


def test_a_disk_that_fills_up_leaves_the_report_that_was_there(
    whole, study_file, tmp_path, standin
):
    """First at the page, after the new runs; then at a figure, after none."""
    out = whole.copied_to(tmp_path / "out")
    study(study_file, out, standin.simulate, report=page_of)
    before = files_of(out)
    study_file.write_text(study_file.read_text().replace("replications: 4", "replications: 5"))
    kept = r"No space left.*everything finished so far is kept"
    for name in ("report.html", "figures/bill.svg"):
        with pytest.raises(PartlyDoneError, match=kept):
            study(study_file, out, standin.simulate, report=fills_up(out, name))
        assert files_of(out) == before
    counting = Counting(standin.simulate)
    outcome = study(study_file, out, counting, report=page_of)
    assert counting.n == 0
    assert outcome.report.read_text() == f"a page of {outcome.n_done} runs"


def test_a_damaged_run_is_run_again_and_the_answer_is_the_same(whole, tmp_path, standin):
    out = whole.copied_to(tmp_path / "out")
    before = results(out)
    with sqlite3.connect(out / "runs.sqlite") as db:
        db.execute("UPDATE runs SET body = x'00112233' WHERE rowid % 7 = 1")
        n_damaged = db.execute("SELECT count(*) FROM runs WHERE rowid % 7 = 1").fetchone()[0]
    db.close()
    outcome = report_again(out)  # without them, and it says so
    assert f"Not finished: {n_damaged} runs" in " ".join(outcome.sentences)
    counting = Counting(standin.simulate)
    study(whole.file, out, counting)
    assert counting.n == n_damaged > 0
    assert results(out) == before


def test_places_of_the_wrong_kind_are_refused_before_anything_runs(study_file, tmp_path, standin):
    out = tmp_path / "out"
    (out / "report.html").mkdir(parents=True)
    counting = Counting(standin.simulate)
    with pytest.raises(ScenarioError, match="is a folder"):
        study(study_file, out, counting, report=page_of)
    assert counting.n == 0


def test_figures_of_an_earlier_report_go_and_files_of_the_user_stay(whole, tmp_path, standin):
    def links(*names):
        rows = "".join(f'<a href="figures/{name}.svg">{name}.svg</a>' for name in names)

        def written(facts, tables, page):
            (page.parent / "figures").mkdir()
            for name in names:
                (page.parent / "figures" / f"{name}.svg").write_text("<svg/>")
            page.write_text(rows)

        return written

    out = whole.copied_to(tmp_path / "out")
    study(whole.file, out, standin.simulate, report=links("bill", "metric_old"))
    for name in ("mine.svg", "metric_old (copy).svg"):
        (out / "figures" / name).write_text("mine")
    report_again(out, report=links("bill", "metric_new"))
    own = {"mine.svg", "metric_old (copy).svg"}
    assert {p.name for p in (out / "figures").iterdir()} == own | {"bill.svg", "metric_new.svg"}
    report_again(out)  # no page: no figures of one
    assert {p.name for p in (out / "figures").iterdir()} == own
    assert not (out / "report.html").exists()
