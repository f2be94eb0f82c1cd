"""What a report reads of every run is kept beside its result, and says the same."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from sim.scenario import load_scenario
from sim.study.executor import InlineExecutor
from sim.study.job import Job, simulate_once, work
from sim.study.packed import pack, unpack
from sim.study.records import (
    GISTS,
    _folded,
    _unfolded,
    read_distributions,
    read_records,
)
from sim.study.run import report_again, run_study
from sim.study.store import Store

RESULT = {
    "metrics": {
        "forks": 2, "fork_latency_ns": {"count": 2, "p99": None}, "oom_kills": 0,
        "request_latency_ns": {"count": 0},
    },
    "stages": {"cow_copy/copy": 380},
    "processes": [
        {"name": "web", "peak_rss_bytes": 8192, "ended": "running"},
        {"name": "web/1", "peak_rss_bytes": 9000, "ended": "evicted"},
        {"name": "cron", "peak_rss_bytes": 9999, "ended": "exit 0"},
    ],
    "ending": "horizon",
    "simulated_ns": 60,
    "validity": [
        {"code": "evicted", "severity": "error", "what": "web/1 was evicted", "where": "web/1"},
        {"code": "all_warmup", "severity": "note", "what": "", "where": ""},
    ],
    "kills": [{"limit_of": "pod"}, {"limit_of": None}],
    "distributions": {"fork": {"p": [50, 100], "ns": [7, 9], "n": 2}},
    "work": {"fork": {"entries": 7}},
    "series": {"t_ns": [0, 60], "free_pages": [10, 2]},
}  # fmt: skip
OF_IT = {
    "record 4": {
        "scalars": {
            "fork_latency_ns.count": 2.0, "fork_latency_ns.p99": None, "forks": 2.0,
            "oom_kills": 0.0, "request_latency_ns.count": 0.0,
        },
        "stages_ns": {"cow_copy/copy": 380},
        "resident_bytes": 8192,
        "ran_out": True,
        "ending": "horizon",
        "cut_off": True,
        "errors": (RESULT["validity"][0],),
        "ended_ns": 60,
        "long_run": "",
        "besides_bytes": None,
        "needs_more": False,
    },
    "distributions 2": [[50, 100], {"fork": [2, [7, 9]]}, {}],
    "work 1": {"fork": {"entries": 7}},
}  # fmt: skip
"""What is kept of a result.  If this is to be otherwise, it has the next number: stores that have
the old one would go on with it."""


@pytest.fixture
def carried_out(study_file, tmp_path, standin):
    out = tmp_path / "out"
    run_study(study_file, out, quiet=True, executors=lambda n: InlineExecutor(standin.simulate))
    return out


def written(out):
    return {
        path.relative_to(out): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.name != "runs.sqlite"
    }


def changed(out, statement, *values):
    with closing(sqlite3.connect(out / "runs.sqlite")) as db, db:
        return db.execute(statement, values).fetchall()


def test_a_report_says_the_same_with_them_and_without(carried_out, monkeypatch):
    expected = written(carried_out)
    (n_runs,) = changed(carried_out, "SELECT count(*) FROM runs")
    changed(carried_out, "DELETE FROM gists")
    report_again(carried_out)
    assert written(carried_out) == expected
    assert changed(carried_out, "SELECT count(*) FROM gists") == [(len(GISTS) * n_runs[0],)]

    asked = []
    own = Store.result
    monkeypatch.setattr(Store, "result", lambda self, key: asked.append(key) or own(self, key))
    report_again(carried_out)
    assert written(carried_out) == expected
    assert len(set(asked)) < n_runs[0] / 4  # curves and the like, of the answer's point alone


def test_one_that_is_damaged_or_of_another_result_does_not_count(carried_out):
    with Store(carried_out / "runs.sqlite") as store:
        records, _ = read_records(store)
        distributions = read_distributions(store, [record.key for record in records])
    one, other = records[0].key, records[-1].key
    (body,) = changed(carried_out, "SELECT body FROM runs WHERE key = ?", other)[0]
    changed(carried_out, "UPDATE gists SET body = x'0011' WHERE key = ?", other)
    changed(carried_out, "UPDATE runs SET body = ? WHERE key = ?", body, one)
    with Store(carried_out / "runs.sqlite") as store:
        found, _ = read_records(store)
        assert found[1:] == records[1:]
        assert found[0].scalars == records[-1].scalars != records[0].scalars
        assert read_distributions(store, [r.key for r in found[1:]]) == distributions[1:]
        assert read_distributions(store, [one]) == distributions[-1:]


def test_a_store_that_has_others_gets_these_once(carried_out, monkeypatch):
    """As of an earlier version, of which there are records and no distributions."""
    with Store(carried_out / "runs.sqlite") as store:
        keys = [record.key for record in read_records(store)[0]]
        distributions = read_distributions(store, keys)
        assert distributions == [store.result(key)["distributions"] for key in keys]
    changed(carried_out, "UPDATE gists SET kind = 'distributions 1' WHERE kind LIKE 'distr%'")
    for read in (len(set(keys)), 0):
        asked = []
        own = Store.result
        with Store(carried_out / "runs.sqlite") as store, monkeypatch.context() as patched:
            patched.setattr(Store, "result", lambda s, key: asked.append(key) or own(s, key))  # noqa: B023
            assert read_distributions(store, [*keys, "none"])[:-1] == distributions
        assert len(asked) == read + 1


def test_whoever_makes_a_run_makes_what_a_reader_would(carried_out):
    rows = "SELECT key, kind, made_of, body FROM gists ORDER BY key, kind"
    made = changed(carried_out, rows)
    changed(carried_out, "DELETE FROM gists")
    report_again(carried_out)
    assert changed(carried_out, rows) == made


LEAK = [
    "groups.web.memory_max=6MiB", "processes.web.group=web", "processes.web.app=4MiB",
    "processes.web.workers=2", "processes.web.worker_heap=1MiB", "processes.web.leak=64KiB",
    "processes.web.duration=1s",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "settings"),
    [("redis_bgsave", ["processes.redis.dataset=4MiB"]), ("prefork_web", LEAK)],
)
def test_it_is_the_same_before_a_result_is_packed(name, settings):
    job = Job("key", load_scenario(name, settings), 1, 0, 1.0, gists=True)
    finished = work(simulate_once, job)
    result = unpack(finished.body)
    assert dict(finished.gists) == {kind: pack(made(result)) for kind, made in GISTS.items()}
    assert bool(result["metrics"]["oom_kills"]) == (name == "prefork_web")
    assert work(simulate_once, replace(job, gists=False)).gists == ()


def test_percentiles_that_are_not_those_of_the_others_are_kept():
    tables = {"a": {"p": [50, 100], "ns": [1, 2], "n": 3}, "b": {"p": [100], "ns": [4], "n": 1}}
    assert _unfolded(_folded({"distributions": tables})) == tables
    assert _unfolded(_folded({})) == {}


def test_what_is_kept_of_a_result_has_the_name_that_it_had():
    assert {kind: made(RESULT) for kind, made in GISTS.items()} == OF_IT


@pytest.mark.parametrize(
    ("limits", "refused_by", "by_the_host"),
    [
        (["pod", None], [], True),
        (["pod"], [], False),
        (["pod"], ["hugetlb"], False),
        (["pod"], ["hugetlb", "memory"], True),
        ([], ["hugetlb"], False),
        ([], ["promise"], True),
        ([], ["argument"], True),  # then for another reason
        ([None], ["hugetlb"], True),
    ],
)
def test_what_would_have_come_on_any_host_asks_for_no_larger_one(limits, refused_by, by_the_host):
    kills = [{"limit_of": limit} for limit in limits]
    refusals = [{"by": by} for by in refused_by]
    result = {**RESULT, "kills": kills, "evidence": {"refusals": refusals}}
    assert GISTS["record 4"](result)["cut_off"] is by_the_host
