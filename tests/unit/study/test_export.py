"""What `cowpool export` writes: every planned run, in tidy columns with units in their names."""

import importlib.util
import io
import shutil

import pandas as pd
import pytest

from sim.study import export as exporting
from sim.study.executor import InlineExecutor
from sim.study.reasons import last_line, raised_in
from sim.study.run import run_study
from sim.study.snapshot import snapshot
from sim.study.store import Store
from sim.study.stored import Place, PlannedRun

PARQUET = importlib.util.find_spec("pyarrow") is not None


@pytest.fixture(scope="module")
def done(study_text, tmp_path_factory, standin):
    """A study of which one replication fails at each point of one data set, and one was killed."""

    def simulate(scenario, *, seed, replication):
        if replication == 1 and scenario["processes"]["redis"]["dataset"] == 64 << 20:
            raise RuntimeError("no such luck")
        return standin.simulate(scenario, seed=seed, replication=replication)

    folder = tmp_path_factory.mktemp("export")
    (folder / "small.yaml").write_text(study_text)
    out = folder / "out"
    run_study(folder / "small.yaml", out, quiet=True, executors=lambda _: InlineExecutor(simulate))
    return out


@pytest.fixture
def out(done, tmp_path):
    return shutil.copytree(done, tmp_path / "out")


def exported(out, formats=("csv",)):
    with snapshot(out / "runs.sqlite") as store:
        exporting.export(store, out / "export", formats)
    return [pd.read_csv(out / "export" / f"{name}.csv") for name in ("runs", "points")]


def test_every_planned_run_is_a_row_and_every_cell_a_point(out):
    runs, points = exported(out)
    with Store(out / "runs.sqlite") as store:
        plan = store.plan()
    places = list(zip(runs["part"], runs["point"], runs["host"], runs["replication"], strict=True))
    assert places == [
        (run.place.part, run.place.point, run.place.host, run.place.replication) for run in plan
    ]
    assert len(points) == len({place[:3] for place in places})
    assert points["planned"].sum() == len(runs)


def test_axes_are_columns_in_base_units(out):
    runs, points = exported(out)
    for table in (runs, points):
        main = table[table["part"] == "need"]
        assert set(main["processes.redis.dataset_bytes"]) == {64 << 20, 256 << 20}
        assert set(main["processes.redis.writes_per_s"]) == {1000, 40000}
        assert "host.memory_bytes" in table.columns  # no axis, but runs differ in it
        assert not any(name.startswith("host.published") for name in table.columns)
    # One input at a time: what was changed is a column too, and the others are as they were.
    inputs = runs[runs["part"] == "inputs"]
    assert inputs["processes.redis.save_speed_bytes_per_s"].nunique() == 3
    assert runs[runs["part"] == "need"]["processes.redis.save_speed_bytes_per_s"].nunique() == 1
    assert "host.prices.cow_copy" in " ".join(runs.columns)


def test_figures_are_those_of_the_runs(out):
    runs, _ = exported(out)
    with Store(out / "runs.sqlite") as store:
        for _, row in runs[runs["status"] == "done"].iterrows():
            metrics = store.result(row["run"])["metrics"]
            assert row["memory_need_bytes.total"] == metrics["memory_need_bytes"]["total"]
            assert row["fork_latency_ns.mean"] == metrics["fork_latency_ns"]["mean"]
            assert pd.isna(row["vfork_latency_ns.mean"])  # no vfork, so it has no mean


def test_failed_and_cut_off_runs_are_rows_with_their_origin(out):
    runs, points = exported(out)
    failed = runs[runs["status"] == "failed"]
    assert len(failed) > 0
    assert set(failed["replication"]) == {1}
    assert set(failed["reason"]) == {"RuntimeError: no such luck"}
    assert failed["raised_in"].str.match(r".*test_export\.py:\d+ simulate$").all()
    assert failed["memory_need_bytes.total"].isna().all()
    assert failed["run"].notna().all()
    assert points["failed"].sum() == len(failed)
    killed = runs[runs["ran_out"] == True]  # noqa: E712  # a column
    assert len(killed) > 0
    assert (killed["cut_off"] & (killed["answered"] == False)).all()  # noqa: E712
    assert (killed["validity"] == "need_cut_off").all()


def test_means_are_over_the_runs_that_answer(out):
    runs, points = exported(out)
    for _, point in points.iterrows():
        own = runs[
            (runs["part"] == point["part"])
            & (runs["point"] == point["point"])
            & (runs["host"] == point["host"])
        ]
        good = own[own["answered"] == True]["cow_copies"]  # noqa: E712  # a column
        assert (point["planned"], point["answered"]) == (len(own), len(good))
        if len(good):
            found = [point[f"cow_copies_{end}"] for end in ("mean", "min", "max", "n")]
            assert found == pytest.approx([good.mean(), good.min(), good.max(), len(good)])
        else:
            assert pd.isna(point["cow_copies_mean"])


def test_a_run_that_was_never_made_is_a_row(out):
    with Store(out / "runs.sqlite") as store:
        run = store.plan()[-1]
        store.add_to_plan([PlannedRun(Place("need", 0, 0, 99), "never", run.scenario)], {})
    runs, points = exported(out)
    (row,) = runs[runs["replication"] == 99].to_dict("records")
    assert row["status"] == "not made"
    assert pd.isna(row["answered"])
    assert points["planned"].sum() - points["done"].sum() - points["failed"].sum() == 1


@pytest.mark.skipif(not PARQUET, reason="pyarrow is not installed")
def test_parquet_says_the_same_as_csv(out):
    runs, points = exported(out, ("csv", "parquet"))
    for name, table in (("runs", runs), ("points", points)):
        other = pd.read_parquet(out / "export" / f"{name}.parquet")
        assert list(other.columns) == list(table.columns)
        assert other["planned" if name == "points" else "replication"].dtype.kind in "iu"
        pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(other.to_csv(index=False))), table)


def test_what_an_earlier_export_left_is_replaced(out):
    first = exported(out)[0]
    with Store(out / "runs.sqlite") as store:
        store._db.execute("DELETE FROM plan WHERE replication > 0")
    second = exported(out)[0]
    assert len(second) < len(first)
    assert set(second["replication"]) == {0}


def test_an_export_of_nothing_planned_has_no_rows(tmp_path):
    path = tmp_path / "runs.sqlite"
    kept = {"study": {"version": 1, "name": "x", "base": "redis_bgsave", "seed": 1,
                      "axes": {"host.cpus": [1, 2]}}, "file": "x.yaml"}  # fmt: skip
    with Store(path) as store:
        store.start_plan(kept)
    with snapshot(path) as store:
        runs, points = exporting.frames(store)
    assert len(runs) == len(points) == 0


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 0}, {"a": {"b": 1}}, {"a": None, "a.b": 1}),
        ({"a": {"b": 1}}, {"a": 0}, {"a": 0, "a.b": None}),
        ({"a": [1, 2]}, {"a": [1, 3]}, {"a": "[1, 3]"}),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}, {"b": 3}]}, {"a.0.b": 2, "a.1.b": 3}),
        ({"a": None}, {"a": {"b": 1}}, {"a.b": 1}),
        ({}, {"a": {}}, {}),
    ],
)
def test_leaves_that_differ_are_found(one, other, found):
    assert dict(exporting.differences(one, other)) == found
    for path in found:
        assert exporting.leaf_at(other, path) == found[path]


def test_columns_of_keys_have_units_as_metrics_have_them():
    scenario = {"processes": {"cache": {"program": "redis"}}}
    keys = ["host.memory", "host.cpus", "processes.cache.save_every", "processes.cache.start",
            "processes.cache.save_speed", "processes.cache.writes", "groups.pod.memory_max",
            "host.zones.1.memory", "host.disk.latency", "policy.scheduler.quantum"]  # fmt: skip
    names = exporting.column_names(keys, scenario)
    ends = ["_bytes", "", "_ns", "_ns", "_bytes_per_s", "_per_s", "_bytes", "_bytes", "_ns", "_ns"]
    assert list(names.values()) == [key + end for key, end in zip(keys, ends, strict=True)]


def test_a_reason_without_a_traceback_has_no_place():
    assert raised_in("its worker process died") is None
    assert last_line("") == "no reason is known"
