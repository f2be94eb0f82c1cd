import json
import os
import random
import sqlite3
import subprocess
import sys
import zlib

import pytest

from sim.base.errors import ScenarioError
from sim.base.files import CannotWriteError
from sim.study.packed import pack, unpack
from sim.study.store import Store
from sim.study.stored import Place, PlannedRun


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.sqlite"


def test_a_result_comes_back_as_it_was(path):
    result = {"metrics": {"forks": 1, "p99": None}, "series": [1, 2, 3]}
    with Store(path) as store:
        store.put_done("a", pack(result), 0.5)
    with Store(path) as store:
        assert store.result("a") == result
        assert store.done_keys() == {"a"}


def test_equal_results_have_equal_bytes():
    assert pack({"b": 1, "a": 2}) == pack({"a": 2, "b": 1})
    assert unpack(pack([1.5, None])) == [1.5, None]


def test_a_result_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="Out of range float"):
        pack({"mean": float("nan")})


def test_a_failed_run_is_kept_with_its_reason_and_is_not_done(path):
    with Store(path) as store:
        store.put_failed("a", "Traceback\nValueError: no", 0.1)
        assert store.done_keys() == set()
        assert store.result("a") is None
        assert store.failure("a").endswith("ValueError: no")


def test_a_run_that_succeeds_later_is_no_failure_any_more(path):
    with Store(path) as store:
        store.put_failed("a", "no", 0.1)
        store.put_done("a", pack({}), 0.1)
        assert store.done_keys() == {"a"}
        assert store.failure("a") is None


def test_a_plan_comes_back_in_order_of_place(path):
    runs = [
        PlannedRun(Place("need", 1, 0, 0), "k3", "s"),
        PlannedRun(Place("check", 0, 2, 1), "k1", "s"),
        PlannedRun(Place("need", 0, 0, 0), "k2", "s"),
    ]
    with Store(path) as store:
        store.start_plan({"study": "x"})
        store.add_to_plan(runs, {"s": pack({"host": {}})})
        assert [run.key for run in store.plan()] == ["k1", "k2", "k3"]
        assert store.scenario("s") == {"host": {}}
        assert store.study() == {"study": "x"}


def test_results_outlive_a_new_plan(path):
    with Store(path) as store:
        store.start_plan({})
        store.put_done("a", pack({"x": 1}), 1.0)
        store.start_plan({})
        assert store.plan() == []
        assert store.result("a") == {"x": 1}


def test_a_second_process_is_refused_while_the_first_is_at_work(path):
    code = (
        f"from pathlib import Path; from sim.study.store import Store; Store(Path({str(path)!r}))"
    )
    with Store(path):
        second = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
    assert "another cowpool is at work here" in second.stderr


def test_every_finished_run_survives_a_kill(path):
    code = f"""
import os, signal
from pathlib import Path
from sim.study.packed import pack
from sim.study.store import Store
store = Store(Path({str(path)!r}))
for n in range(10):
    store.put_done(str(n), pack({{"n": n}}), 0.0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -9
    with Store(path) as store:
        assert store.done_keys() == {str(n) for n in range(10)}


def test_a_file_that_is_no_store_is_refused(path):
    path.write_text("version: 1\n" * 100)
    with pytest.raises(ScenarioError, match="not a cowpool store"):
        Store(path)


def test_a_store_of_another_version_is_refused(path):
    with Store(path) as store:
        store._put_meta("schema_version", json.dumps(99))
    with pytest.raises(ScenarioError, match="another version of cowpool"):
        Store(path)


def test_an_empty_store_has_no_study(path):
    with Store(path) as store, pytest.raises(ScenarioError, match="holds no study"):
        store.study()


def test_a_damaged_result_is_no_result_and_is_made_again(path):
    with Store(path) as store:
        for key in "abc":
            store.put_done(key, pack({"metrics": {}}), 0.0)
        assert store.done_keys() == {"a", "b", "c"}
    with sqlite3.connect(path) as db:
        db.execute("UPDATE runs SET body = x'00112233' WHERE key = 'a'")
        db.execute("UPDATE runs SET body = ? WHERE key = 'b'", (zlib.compress(b"{"),))
    db.close()
    with Store(path) as store:
        assert store.done_keys() == {"c"}
        assert store.result("a") is store.result("b") is None
        store.put_done("a", pack({"metrics": {}}), 0.0)
        assert store.done_keys() == {"a", "c"}


def test_a_damaged_scenario_is_mended_by_planning_it_again(path):
    run = PlannedRun(Place("need", 0, 0, 0), "k", "s")
    with Store(path) as store:
        store.start_plan({})
        store.add_to_plan([run], {"s": pack({"host": {}})})
    with sqlite3.connect(path) as db:
        db.execute("UPDATE scenarios SET body = x'00112233'")
    db.close()
    with Store(path) as store:
        with pytest.raises(ScenarioError, match="a scenario in it is damaged"):
            store.scenario("s")
        store.add_to_plan([run], {"s": pack({"host": {}})})
        assert store.scenario("s") == {"host": {}}


def test_a_store_damaged_in_the_middle_is_refused_in_one_line(path):
    with Store(path) as store:
        for n in range(200):
            store.put_done(str(n), pack({"n": [str(i) for i in range(n)]}), 0.0)
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 6] = os.urandom(4096 * 5)
    path.write_bytes(content)
    with pytest.raises(ScenarioError, match="damaged|not a cowpool store|cannot be"):
        plan_anew(path)


def plan_anew(path):
    with Store(path) as store:
        store.done_keys()
        store.start_plan({})


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_file_is_no_store(tmp_path, kind):
    path = tmp_path / "runs.sqlite"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(os.devnull)
    with pytest.raises(ScenarioError, match="is no file"):
        Store(path)


def test_a_full_disk_keeps_what_is_finished(path):
    with Store(path) as store:
        store.put_done("a", pack({"n": 1}), 0.0)
        store._db.execute("PRAGMA max_page_count = 8")  # as much as is there, and little more
        with pytest.raises(CannotWriteError, match=r"full.*check room"):
            store.put_done("b", random.Random(1).randbytes(100_000), 0.0)
        with pytest.raises(CannotWriteError), store._transaction():
            store._put_meta("x", "y" * 100_000)
    with Store(path) as store:
        assert store.result("a") == {"n": 1}
