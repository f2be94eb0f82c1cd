"""How far a study is: what is done, failed and left, by point and part, and how long that takes."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pandas as pd
import pytest

from sim.base.errors import ScenarioError
from sim.cli import main
from sim.study.executor import InlineExecutor
from sim.study.run import run_study
from sim.study.status import LEAST_FINISHED, left_of, status_of
from sim.study.store import Store
from sim.study.stored import Ended, Outcome, Place, PlannedRun, Session

STORE = "runs.sqlite"


@pytest.fixture(scope="module")
def stopped(study_text, tmp_path_factory, standin):
    """A study that was stopped at its 11th run; the third had failed."""
    folder = tmp_path_factory.mktemp("status")
    (folder / "small.yaml").write_text(study_text)
    n = 0

    def simulate(scenario, *, seed, replication):
        nonlocal n
        n += 1
        if n == 11:
            raise KeyboardInterrupt
        if n == 3:
            raise RuntimeError("no such luck")
        return standin.simulate(scenario, seed=seed, replication=replication)

    with pytest.raises(KeyboardInterrupt):
        run_study(
            folder / "small.yaml",
            folder / "out",
            quiet=True,
            executors=lambda _: InlineExecutor(simulate),
        )
    return folder / "out"


def test_what_is_done_failed_and_left_is_counted_by_part_and_point(stopped):
    status = status_of(stopped / STORE)
    assert (status.whole.done, status.whole.failed) == (9, 1)
    assert status.whole.planned == status.whole.done + status.whole.failed + status.whole.left
    for counts in (status.parts, status.points):
        for what in ("planned", "done", "failed", "left"):
            assert sum(getattr(c, what) for c in counts.values()) == getattr(status.whole, what)
    assert set(status.parts) == {"need", "check"}
    assert status.points["need", 3].planned == 4
    assert status.point_names[3] == "data set 256 MiB, writes busy"


def test_a_failure_is_told_with_its_origin(stopped):
    (failed,) = status_of(stopped / STORE).failures
    assert failed.reason == "RuntimeError: no such luck"
    assert failed.raised_in.endswith(" simulate")
    assert failed.point_name.startswith("data set ")
    with Store(stopped / STORE) as store:
        assert store.failure(failed.run).endswith("no such luck\n")


def test_nobody_runs_a_study_that_was_stopped(stopped):
    status = status_of(stopped / STORE)
    assert status.process is None
    assert status.left.time_s is None  # nobody is at work
    assert status.left.work_s > 0
    assert status.plain()["running"] in (False, None)


def test_nothing_is_changed_by_looking(stopped, tmp_path):
    out = shutil.copytree(stopped, tmp_path / "out")
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in out.rglob("*") if p.is_file()}
    status_of(out / STORE)
    after = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in out.rglob("*") if p.is_file()}
    assert after == before


HOLDING = """
import sys
from pathlib import Path
from sim.study.store import Store
store = Store(Path(sys.argv[1]))
store._put_meta("x", "y")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked who holds a file")
def test_whoever_runs_it_now_is_named(stopped, tmp_path):
    out = shutil.copytree(stopped, tmp_path / "out")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(out / STORE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "held\n"
        status = status_of(out / STORE)
        assert status.process == process.pid
        assert status.whole == status_of(stopped / STORE).whole
        assert status.plain()["running"] is True
    finally:
        process.kill()
        process.communicate()
    assert status_of(out / STORE).process is None


def test_where_nobody_can_tell_who_runs_it_that_is_said(stopped, monkeypatch):
    monkeypatch.setattr(sys, "platform", "elsewhere")
    status = status_of(stopped / STORE)
    assert not status.watched
    assert status.plain()["running"] is None


def plan_of(*scenarios):
    return [PlannedRun(Place("runs", 0, 0, n), f"k{n}", s) for n, s in enumerate(scenarios)]


def test_time_left_rests_on_runs_of_the_same_scenario_else_on_all():
    plan = plan_of(*"aaaabbc")
    outcomes = {f"k{n}": Outcome(None, wall) for n, wall in ((0, 60), (1, 3), (2, 4), (4, 9))}
    left = left_of(plan, outcomes, None, Ended(4, 76), 1000)
    assert left.runs == 3
    assert left.alike == 1
    assert left.work_s == 4 + 9 + 4  # a: 4 s, b: 9 s; c: the low median of all finished runs
    assert left.time_s is None


def test_one_slow_first_run_does_not_stand_for_all_of_its_scenario():
    """Of `b` only the first run of the process is finished, which is short, and took longest."""
    plan = plan_of(*"aaaa", *"b" * 300)
    outcomes = {f"k{n}": Outcome(None, 0.04) for n in range(3)} | {"k4": Outcome(None, 1.5)}
    expected = {"a": 0.2, "b": 0.1}
    left = left_of(plan, outcomes, None, Ended(4, 1.62), 1000, expected.__getitem__)
    assert left.work_s == pytest.approx(0.04 + 299 * 0.02)
    assert left.alike == 1


def test_a_scenario_of_which_nothing_can_be_expected_is_like_all_others(stopped, monkeypatch):
    """Scenarios of an earlier version may lack keys."""
    foretold = status_of(stopped / STORE).left
    monkeypatch.setattr("sim.scenario.effort.expected_work_s", lambda scenario: scenario["nothing"])
    assert status_of(stopped / STORE).left.runs == foretold.runs


def test_as_many_are_made_at_a_time_as_was_seen():
    plan = plan_of(*"aaaaaaaa")
    outcomes = {f"k{n}": Outcome(None, 10) for n in range(4)}
    session = Session(1000, Ended(100, 500))
    left = left_of(plan, outcomes, session, Ended(104, 540), 1020)
    assert left.at_once == 2  # 40 s of runs in 20 s
    assert left.finished == 4
    assert left.time_s == 4 * 10 / 2
    # However many are made at a time, the last takes as long as it takes.
    alone = left_of(plan, outcomes, session, Ended(140, 5000), 1020)
    assert alone.at_once == 225
    assert alone.time_s == 10


def test_too_few_finished_runs_say_nothing_of_time():
    plan = plan_of(*"aaaa")
    outcomes = {"k0": Outcome(None, 10)}
    session = Session(1000, Ended(0, 0))
    assert left_of(plan, {}, session, Ended(0, 0), 1020).work_s is None
    few = left_of(plan, outcomes, session, Ended(LEAST_FINISHED - 1, 10), 1020)
    assert (few.work_s, few.time_s) == (30, None)
    assert left_of(plan, outcomes, session, Ended(LEAST_FINISHED, 10), 1020).time_s == 60


def test_a_failure_says_nothing_of_how_long_runs_take():
    plan = plan_of("a", "a")
    left = left_of(plan, {"k0": Outcome("no", 900)}, None, Ended(1, 900), 1000)
    assert (left.runs, left.work_s) == (1, None)


def test_nothing_left_takes_no_time():
    assert left_of([], {}, None, Ended(0, 0), 1000).work_s == 0


def damage(store, n):
    """Overwrite the middle of the results of the first `n` finished runs."""
    with closing(sqlite3.connect(store)) as db, db:
        rows = db.execute(
            "SELECT key, body FROM runs WHERE status = 'done' AND key IN"
            " (SELECT key FROM plan WHERE part = 'need') LIMIT ?",
            (n,),
        ).fetchall()
        for key, body in rows:
            spoilt = body[: len(body) // 2] + bytes(40) + body[len(body) // 2 + 40 :]
            db.execute("UPDATE runs SET body = ? WHERE key = ?", (spoilt, key))
    return {key for key, _ in rows}


@pytest.mark.parametrize(("n", "words"), [(1, "1 run is damaged"), (2, "2 runs are damaged")])
def test_damaged_runs_are_told_and_are_not_done(stopped, tmp_path, capsys, n, words):
    out = shutil.copytree(stopped, tmp_path / "out")
    before = status_of(out / STORE)
    assert before.damaged == before.plain()["damaged"] == 0
    keys = damage(out / STORE, n)
    status = status_of(out / STORE)
    assert status.damaged == n
    assert status.whole.done == before.whole.done - n
    assert status.whole.left == before.whole.left + n
    assert main(["status", str(out)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"{words}; `cowpool study` makes {'it' if n == 1 else 'them'} again." in told
    assert main(["export", str(out), "--format", "csv"]) == 0
    assert words in capsys.readouterr().err
    runs = pd.read_csv(out / "export" / "runs.csv")
    assert set(runs[runs["status"] == "damaged"]["run"]) == keys
    main(["report", str(out)])
    assert words in " ".join(capsys.readouterr().out.split())
    page = " ".join((out / "report.html").read_text().split())
    assert f"the stored results of {n} are damaged" in page


def test_a_folder_without_a_plan_is_refused(tmp_path):
    with Store(tmp_path / STORE):
        pass
    with pytest.raises(ScenarioError, match="holds no study"):
        status_of(tmp_path / STORE)
    assert os.listdir(tmp_path) == [STORE]  # noqa: PTH208
