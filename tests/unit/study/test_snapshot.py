"""A store is read while it is written, and after its writer was killed; nothing is changed."""

import os
import subprocess
import sys

import pytest

from sim.base.errors import ScenarioError
from sim.study import snapshot as reading
from sim.study.snapshot import holder, snapshot
from sim.study.store import Store
from sim.study.stored import Ended

WRITER = """
import os, sys
from pathlib import Path
from sim.study.packed import pack
from sim.study.store import Store
from sim.study.stored import Place, PlannedRun
store = Store(Path(sys.argv[1]))
store.start_plan({"file": "x"})
runs = [PlannedRun(Place("need", 0, 0, n), str(n), "s") for n in range(6)]
store.add_to_plan(runs, {"s": pack({"host": {}})})
for n in range(4):
    store.put_done(str(n), pack({"n": n}), 0.5)
store.put_failed("4", "no luck", 0.25)
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.sqlite"


@pytest.fixture
def writer(path):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "written\n"
    yield process
    process.kill()
    process.communicate()


def seen(folder):
    return {each.name: (each.stat().st_mtime_ns, each.read_bytes()) for each in folder.iterdir()}


def told(path):
    with snapshot(path) as store:
        assert [run.key for run in store.plan()] == list("012345")
        assert {key: o.reason for key, o in store.outcomes().items()} == {
            **dict.fromkeys("0123"),
            "4": "no luck",
        }
        assert [store.result(str(n)) for n in range(4)] == [{"n": n} for n in range(4)]
        assert store.ended() == Ended(5, 2.25)
        assert store.session().before == Ended(0, 0)
        return store.study()


def test_a_store_is_read_while_it_is_held_and_stays_as_it_is(path, writer):
    before = seen(path.parent)
    assert told(path) == {"file": "x"}
    assert seen(path.parent) == before
    assert writer.poll() is None


def test_a_store_is_read_after_its_writer_was_killed(path, writer):
    writer.kill()
    writer.wait()
    before = seen(path.parent)
    assert before.keys() == {"runs.sqlite", "runs.sqlite-wal"}  # what was finished last is there
    assert told(path) == {"file": "x"}
    assert seen(path.parent) == before


def test_a_store_that_was_closed_is_read_where_it_is(path, writer, monkeypatch):
    writer.communicate("")
    monkeypatch.setattr(reading.shutil, "copyfile", None)
    before = seen(path.parent)
    assert told(path) == {"file": "x"}
    assert seen(path.parent) == before


def test_a_folder_that_may_only_be_read_will_do(path, writer):
    writer.kill()
    writer.wait()
    path.parent.chmod(0o555)
    try:
        if os.access(path.parent, os.W_OK):
            pytest.skip("root may write everywhere")
        assert told(path) == {"file": "x"}
    finally:
        path.parent.chmod(0o755)


def test_who_holds_a_store_is_known_without_a_lock(path, writer):
    if sys.platform != "linux":
        pytest.skip("only Linux is asked who holds a file")
    assert holder(path) == writer.pid
    writer.kill()
    writer.wait()
    assert holder(path) is None


GROWING = """
import os, sys, time
from pathlib import Path
from sim.study.packed import pack
from sim.study.store import Store
from sim.study.stored import Place, PlannedRun
body = os.urandom(3000)
with Store(Path(sys.argv[1])) as store:
    store.start_plan({"file": "x"})
    for n in range(1_000_000):
        store.put_done(str(n), body, 1.0)
        run = PlannedRun(Place("need", n, 0, 0), str(n), "s")
        store.add_to_plan([run], {"s": pack({})})
        if n == 0:
            print("written", flush=True)
        time.sleep(0.002)  # faster than any study, and slower than a copy
"""


def test_a_store_is_whole_whatever_is_written_meanwhile(path):
    """Plan and results grow together, through a journal that begins anew again and again."""
    process = subprocess.Popen(
        [sys.executable, "-c", GROWING, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "written\n"
        counts, journals = [0], set()
        while len(counts) < 20 or len(journals) < 3:
            journals.add(reading._head(path.with_name("runs.sqlite-wal")))
            with snapshot(path) as store:
                plan, outcomes = store.plan(), store.outcomes()
                assert [run.place.point for run in plan] == list(range(len(plan)))
                assert outcomes.keys() == {run.key for run in plan}
                counts.append(len(plan))
        assert counts == sorted(counts)
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


def test_a_store_that_is_written_all_the_time_is_told_in_one_line(path, monkeypatch):
    with Store(path) as store:
        store.start_plan({})
        monkeypatch.setattr(reading, "_head", lambda _: os.urandom(32))
        with pytest.raises(ScenarioError, match="faster than it can be read"), snapshot(path):
            pass


def test_what_is_no_store_is_refused(path):
    path.write_text("version: 1\n" * 100)
    with pytest.raises(ScenarioError, match="is not a cowpool store"), snapshot(path):
        pass


def test_a_store_of_another_version_is_refused_here_too(path):
    with Store(path) as store:
        store._put_meta("schema_version", "99")
    with pytest.raises(ScenarioError, match=r"another version of cowpool \(store schema 99"):
        snapshot(path).__enter__()
