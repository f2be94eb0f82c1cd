"""`cowpool export` and `cowpool status`, as typed; and what the page about them shows."""

import csv
import itertools
import json
import re
from pathlib import Path

import pytest

from sim.cli import main, results
from sim.study.packed import pack
from sim.study.plan import scenario_digest
from sim.study.store import Store
from sim.study.stored import Place, PlannedRun

PAGE = (Path(__file__).parents[2] / "docs/results.md").read_text(encoding="utf-8")
N_POINTS = 30
STUDY = {
    "version": 1,
    "name": "kept",
    "question": "How much memory does it take?",
    "base": "redis_bgsave",
    "seed": 1,
    "axes": {
        "processes.redis.dataset": [f"{n} MiB" for n in range(1, N_POINTS // 2 + 1)],
        "processes.redis.writes": ["100/s", "5000/s"],
    },
}


def result(n):
    need = {"total": 1000 * n}
    codes = [{"code": "need_cut_off", "severity": "error"}] if n % 5 == 4 else []
    metrics = {"oom_kills": 0, "memory_need_bytes": need, "fork_latency_ns": {"mean": None}}
    return {"metrics": metrics, "ending": "idle", "validity": codes, "processes": []}


@pytest.fixture
def out(tmp_path):
    """A store of which every third replication failed, and the last ones were never made."""
    out = tmp_path / "out"
    with Store(out / "runs.sqlite") as store:
        axes = STUDY["axes"].values()
        levels = enumerate(itertools.product(*axes))
        kept = {
            "study": STUDY,
            "file": "kept.yaml",
            "command": "cowpool study kept",
            "point_names": {str(n): f"dataset {a}, writes {b}" for n, (a, b) in levels},
            "point_keys": list(STUDY["axes"]),
        }
        store.start_plan(kept)
        for point in range(N_POINTS):
            redis = {
                "program": "redis",
                "dataset": (point // 2 + 1) << 20,
                "writes": (100.0, 5000.0)[point % 2],
            }
            scenario = {"host": {"memory": 1 << 30}, "processes": {"redis": redis}}
            sha = scenario_digest(scenario)
            places = [Place("need", point, 0, n) for n in range(4)]
            runs = [PlannedRun(p, f"run {point} {p.replication}", sha) for p in places]
            store.add_to_plan(runs, {sha: pack(scenario)})
            for run in runs[:3] if point % 2 else runs:
                n = run.place.replication
                if n == 2:
                    trace = 'Traceback\n  File "x.py", line 7, in f\nValueError: no luck\n'
                    store.put_failed(run.key, trace, 1.0)
                else:
                    store.put_done(run.key, pack(result(point + n)), 2.0)
    return out


@pytest.mark.parametrize("width", [60, 80])
def test_status_fits_and_says_what_is_left_and_why_runs_failed(out, width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["status", str(out)]) == 0
    told = capsys.readouterr().out
    assert "75 of 120 runs that are planned so far are done, 30 failed, 15 are left." in told
    assert "cowpool study kept" in told
    assert "That takes 30 s, one at a time: 15 runs of 2 s on average (15 like finished" in told
    assert "failed: need (dataset 1 MiB, writes 100/s), host 0, run 2: ValueError: no luck" in told
    assert "[x.py:7 f]" in told
    assert "and 10 more; --json has them all" in told  # points
    assert "failed: 20 more; --json has them all" in told
    rows = [line for line in told.splitlines() if re.search(r"\s{2}", line)]
    assert len(rows) > 20
    assert all(len(line) <= width for line in rows)


def test_status_is_one_document_too(out, capsys):
    assert main(["status", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [told[what] for what in ("planned", "done", "failed", "left")] == [120, 75, 30, 15]
    assert told["rest"]["work_s"] == 30
    assert len(told["points"]) == N_POINTS
    assert len(told["failures"]) == 30
    assert told["failures"][0]["raised_in"] == "x.py:7 f"
    assert told["process"] is None


def test_points_with_something_left_are_shown_first(out, capsys):
    main(["status", str(out)])
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("need: ")]
    assert len(shown) == 20
    with Store(out / "runs.sqlite") as store:
        some = "(SELECT body FROM runs WHERE body NOT NULL LIMIT 1)"
        store._db.execute(
            f"UPDATE runs SET status = 'done', reason = NULL, body = coalesce(body, {some})"
        )
    main(["status", str(out)])
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("need: ")]
    assert all(line.split()[-1] == "1" for line in shown[:15])  # of each of these one is left
    assert all(line.split()[-1] == "0" for line in shown[15:])


def test_an_export_says_what_it_wrote(out, capsys):
    assert main(["export", str(out), "--format", "csv"]) == 0
    folder = out / "export"
    assert capsys.readouterr().out.splitlines() == [
        f"{folder}/runs.csv: 120 rows",
        f"{folder}/points.csv: 30 rows",
    ]
    with (folder / "runs.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["status"] for row in rows].count("failed") == 30
    assert [row["status"] for row in rows].count("not made") == 15
    assert {row["processes.redis.writes_per_s"] for row in rows} == {"100.0", "5000.0"}


def test_an_export_goes_where_it_is_sent(out, tmp_path, capsys):
    assert main(["export", str(out), "--to", str(tmp_path / "there"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["runs"], told["points"]) == (120, 30)
    assert all(Path(file).parent == tmp_path / "there" for file in told["files"])
    assert all(Path(file).is_file() for file in told["files"])
    assert not (out / "export").exists()


def test_without_pyarrow_there_is_no_parquet_and_one_line_says_so(out, capsys, monkeypatch):
    monkeypatch.setattr(results, "find_spec", lambda name: None)
    assert main(["export", str(out)]) == 0
    told = capsys.readouterr()
    assert told.err == "no Parquet, which needs pyarrow: pip install 'cowpool[parquet]'\n"
    assert sorted(p.name for p in (out / "export").iterdir()) == ["points.csv", "runs.csv"]
    assert main(["export", str(out), "--format", "parquet"]) == 2
    told = capsys.readouterr().err
    assert told == "--format: parquet needs pyarrow; pip install 'cowpool[parquet]'\n"


@pytest.mark.parametrize("command", ["export", "status"])
def test_a_folder_without_a_study_is_refused_in_one_line(command, tmp_path, capsys):
    assert main([command, str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"{tmp_path}: holds no study; run `cowpool study` first\n"
    assert list(tmp_path.iterdir()) == []


def test_the_snippet_of_the_page_works_as_written(out, tmp_path, capsys, monkeypatch):
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert main(["export", str(out), "--to", str(tmp_path / "out/redis_bgsave/export")]) == 0
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(compile(snippet, "docs/results.md", "exec"), {})
    told = capsys.readouterr().out
    assert re.search(r"^failed +30$", told, re.MULTILINE)
    assert "ValueError: no luck" in told
    assert re.search(r"^1048576 +100\.0 +3\.0 ", told, re.MULTILINE)  # runs 0, 1 and 3 answer


def test_every_column_of_an_export_is_on_the_page(out, tmp_path):
    assert main(["export", str(out), "--to", str(tmp_path / "x"), "--format", "csv"]) == 0
    names = (tmp_path / "x/runs.csv").read_text().splitlines()[0].split(",")
    said = set(re.findall(r"`([a-z_]+)`", PAGE))
    own = [name for name in names if "." not in name and name != "oom_kills"]
    assert "raised_in" in own
    assert [name for name in own if name not in said] == []
