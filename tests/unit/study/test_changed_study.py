"""A study that was changed makes what is new, and says what a fresh one would say."""

import re
import shutil

import pytest

from sim.base.errors import ScenarioError
from sim.scenario import scenario_sha256
from sim.study import base
from sim.study.executor import InlineExecutor
from sim.study.run import report_again, run_study
from sim.study.snapshot import snapshot
from sim.study.status import status_of
from sim.study.store import Store

STORE = "runs.sqlite"


class Seen:
    """Runs the stand-in and keeps which runs it was asked for."""

    def __init__(self, simulate):
        self.simulate, self.runs = simulate, []

    def __call__(self, scenario, *, seed, replication):
        self.runs.append(scenario_sha256(scenario, seed, replication, 0, None))
        return self.simulate(scenario, seed=seed, replication=replication)


def study(file, out, simulate):
    return run_study(file, out, quiet=True, executors=lambda _: InlineExecutor(simulate))


def told(out):
    """Return findings and tables; of the command that is in them, the name of the file alone."""
    texts = [p for p in sorted(out.rglob("*")) if p.suffix in (".json", ".csv")]
    return {
        str(p.relative_to(out)): re.sub(r"/\S+/small.yaml", "small.yaml", p.read_text())
        for p in texts
    }


@pytest.fixture(scope="module")
def first(study_text, tmp_path_factory, standin):
    folder = tmp_path_factory.mktemp("first")
    (folder / "small.yaml").write_text(study_text)
    seen = Seen(standin.simulate)
    study(folder / "small.yaml", folder / "out", seen)
    return folder, set(seen.runs)


CHANGES = {
    "a point is added": ("[64 MiB, 256 MiB]", "[32 MiB, 64 MiB, 256 MiB]"),
    "a point is taken away": ("[64 MiB, 256 MiB]", "[256 MiB]"),
    "more replications": ("replications: 4\n", "replications: 6\n"),
    "fewer replications": ("replications: 4\n", "replications: 3\n"),
    "another range": (
        "answer: {",
        "uncertain: {processes.redis.save_speed: {low: 50 MiB/s, high: 300 MiB/s}}\nanswer: {",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_study_makes_what_is_new_and_tells_what_a_fresh_one_does(
    change, first, tmp_path, study_text, standin
):
    folder, made_before = first
    old, new = CHANGES[change]
    assert old in study_text
    file = tmp_path / "small.yaml"
    file.write_text(study_text.replace(old, new))
    out = shutil.copytree(folder / "out", tmp_path / "out")
    changed, fresh = Seen(standin.simulate), Seen(standin.simulate)
    outcome = study(file, out, changed)
    whole = study(file, tmp_path / "fresh", fresh)
    assert told(out) == told(tmp_path / "fresh")
    assert set(changed.runs) == set(fresh.runs) - made_before
    assert len(changed.runs) == outcome.n_new
    assert outcome.n_done == whole.n_done
    if change == "a point is taken away":
        assert "64 MiB" not in (out / "tables/runs.csv").read_text().replace("256 MiB", "")
    # What was made for points that are gone is there still, and comes back with them.
    (tmp_path / "small.yaml").write_text(study_text)
    back = Seen(standin.simulate)
    study(tmp_path / "small.yaml", out, back)
    assert back.runs == []
    assert told(out) == told(folder / "out")


def test_a_report_of_results_of_another_version_is_refused(first, tmp_path, monkeypatch):
    folder, _ = first
    out = shutil.copytree(folder / "out", tmp_path / "out")
    before = told(out)
    report_again(out)
    monkeypatch.setattr(base, "RESULTS_VERSION", base.RESULTS_VERSION + 1)
    with pytest.raises(ScenarioError, match="another version of results than this cowpool makes"):
        report_again(out)
    assert told(out) == before


def opened_to_be_read(out):
    """Do as `cowpool export` does first."""
    with snapshot(out / STORE):
        pass


def test_a_store_of_a_version_to_come_is_refused_by_everything(first, tmp_path):
    folder, _ = first
    out = shutil.copytree(folder / "out", tmp_path / "out")
    with Store(out / STORE) as store:
        store._put_meta("schema_version", "99")
    refused = r"another version of cowpool \(store schema 99, not 1\); "
    for reads in (report_again, lambda out: status_of(out / STORE), opened_to_be_read):
        with pytest.raises(ScenarioError, match=f"{refused}use that version, or make the study"):
            reads(out)
    with pytest.raises(ScenarioError, match=f"{refused}choose another folder with --out"):
        Store(out / STORE)
