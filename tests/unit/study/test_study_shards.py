"""Shards: whatever their number and order, together they are the study, row for row."""

import itertools
import json
import random
import shutil

import pytest
from support import quick_runs
from support.samples import sample
from support.stores import rows_of

from sim.base.errors import ScenarioError
from sim.study.executor import InlineExecutor
from sim.study.run import report_again, run_study
from sim.study.shard import Shard
from sim.study.sharded import merge_shards, run_shard
from sim.study.store import Store

ADAPTIVE = "replications: {least: 3, most: 6, precision: 0.01}"
"""Some of the points of the study are run six times, some three."""
OUTGROWN = "need: {set: {host.memory: {times: processes.redis.dataset, by: 1.4}}}"
"""The host on which a need is measured is too small for some."""


class Counting:
    def __init__(self):
        self.n = 0

    def __call__(self, scenario, *, seed, replication):
        self.n += 1
        return quick_runs.simulate(scenario, seed=seed, replication=replication)


def inline(simulate=quick_runs.simulate):
    return lambda n: InlineExecutor(simulate)


def sharded(study_file, folder, of, simulate=quick_runs.simulate):
    folders = []
    for number in range(1, of + 1):
        out = folder / f"{number}-of-{of}"
        run_shard(study_file, Shard(number, of), out, quiet=True, executors=inline(simulate))
        folders.append(out)
    return folders


def merged(folders, out, simulate=quick_runs.simulate):
    return merge_shards(folders, out, quiet=True, executors=inline(simulate))


@pytest.fixture(params=["as often", "adaptive", "outgrown"])
def any_study(request, study_file):
    text = study_file.read_text()
    if request.param == "adaptive":
        text = text.replace("replications: 4", ADAPTIVE)
    if request.param == "outgrown":
        text = text.replace(text[text.index("need:") : text.index("check:")], f"{OUTGROWN}\n")
    study_file.write_text(text)
    return study_file


@pytest.mark.stress
def test_shards_merged_in_any_order_are_the_study(any_study, tmp_path):
    whole = run_study(any_study, tmp_path / "whole", quiet=True, executors=inline())
    expected = rows_of(tmp_path / "whole")
    findings = (tmp_path / "whole" / "findings.json").read_bytes()
    luck = random.Random(5)
    for number, of in enumerate([3, 1, 2, 7, 40][: sample(2, 5)]):
        counting = Counting()
        folders = sharded(any_study, tmp_path / f"shards{of}", of, counting)
        for order in range(sample(1, 6)):
            luck.shuffle(folders)
            out = tmp_path / f"merged-{number}-{order}"
            rest = Counting()
            outcome = merged(folders, out, rest)
            assert rows_of(out) == expected
            assert (out / "findings.json").read_bytes() == findings
            assert outcome.n_new == rest.n
            assert counting.n + rest.n == whole.n_new  # each run once, by somebody


def test_shards_are_as_large_as_each_other(study_file, tmp_path):
    sizes = []
    for folder in sharded(study_file, tmp_path, 5):
        with Store(folder / "runs.sqlite") as store:
            sizes.append(len(store.plan()))
    n_runs = 4 * 4 + 4 * 2 * 2  # needs of four points, two hosts of the check each
    assert sum(sizes) == n_runs
    assert max(sizes) - min(sizes) <= 1


def test_a_shard_where_results_decide_has_whole_points(study_file, tmp_path):
    study_file.write_text(study_file.read_text().replace("replications: 4", ADAPTIVE))
    points = []
    for folder in sharded(study_file, tmp_path, 3):
        with Store(folder / "runs.sqlite") as store:
            points.append({run.place.point for run in store.plan()})
    assert sorted(itertools.chain(*points)) == [0, 1, 2, 3]


def test_a_shard_without_runs_is_one(study_file, tmp_path):
    out = tmp_path / "out"
    outcome = run_shard(study_file, Shard(900, 900), out, quiet=True, executors=inline())
    assert (outcome.n_done, outcome.exit_status) == (0, 0)


def test_runs_that_failed_in_a_shard_are_made_again_at_the_merge(study_file, tmp_path):
    def breaks(scenario, *, seed, replication):
        if replication == 1:
            raise RuntimeError("no such luck")
        return quick_runs.simulate(scenario, seed=seed, replication=replication)

    out = tmp_path / "1-of-1"
    outcome = run_shard(study_file, Shard(1, 1), out, quiet=True, executors=inline(breaks))
    assert outcome.exit_status == 3
    assert all("run 1: RuntimeError: no such luck" in failure for failure in outcome.failures)
    run_study(study_file, tmp_path / "whole", quiet=True, executors=inline())
    assert merged([out], tmp_path / "merged").exit_status == 0
    assert rows_of(tmp_path / "merged") == rows_of(tmp_path / "whole")


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "a/b", "1/0", "-1/4", "1/4/4", ""])
def test_what_is_no_shard_is_told(text):
    with pytest.raises(ScenarioError, match="^--shard: .* is no shard; 1/40 is the first of 40"):
        Shard.parsed(text)


@pytest.fixture(scope="module")
def three(tmp_path_factory, study_text):
    """Return the folders of three shards of a study; nobody changes them."""
    folder = tmp_path_factory.mktemp("shards")
    (folder / "small.yaml").write_text(study_text)
    return sharded(folder / "small.yaml", folder, 3)


def refused(folders, out):
    with pytest.raises(ScenarioError) as told:
        merged(folders, out)
    assert not out.exists()
    return str(told.value)


def test_a_missing_shard_is_named(three, tmp_path):
    told = refused([three[2], three[0]], tmp_path / "out")
    assert told == "--merge: 1 of 3 shards is missing: 2; name all folders"


def test_a_shard_that_is_there_twice_is_named(three, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(three[1], again)
    told = refused([*three, again], tmp_path / "out")
    assert told == f"{again}: is shard 2 of 3, and so is {three[1]}; name one of them"


def test_shards_of_different_studies_are_not_merged(three, study_file, tmp_path):
    study_file.write_text(study_file.read_text().replace("seed: 7", "seed: 8"))
    (*_, other) = sharded(study_file, tmp_path / "other", 3)
    told = refused([*three[:2], other], tmp_path / "out")
    assert told == f"{other}: is a shard of another study than {three[0]}; merge those of one"


def test_shards_of_different_numbers_are_not_merged(three, study_file, tmp_path):
    (*_, other) = sharded(study_file, tmp_path / "other", 2)
    told = refused([*three, other], tmp_path / "out")
    assert f"{other}: is shard 2 of 2, and {three[0]} is shard 1 of 3" in told


def test_an_unfinished_shard_is_not_merged(three, study_file, tmp_path):
    def stops(scenario, *, seed, replication):
        raise KeyboardInterrupt

    out = tmp_path / "unfinished"
    with pytest.raises(KeyboardInterrupt):
        run_shard(study_file, Shard(2, 3), out, quiet=True, executors=inline(stops))
    told = refused([three[0], out, three[2]], tmp_path / "out")
    assert told.startswith(f"{out}: shard 2 of 3 has ")
    assert told.endswith(" runs still to be made; run it again")


def test_a_folder_that_holds_no_shard_is_refused(three, study_file, tmp_path):
    assert "holds no shard" in refused([tmp_path / "nothing"], tmp_path / "out")
    run_study(study_file, tmp_path / "whole", quiet=True, executors=inline())
    told = refused([*three, tmp_path / "whole"], tmp_path / "out")
    assert "holds a whole study, not a shard of one" in told


def test_a_folder_has_one_shard(three, study_file, tmp_path):
    out = tmp_path / "out"
    run_shard(study_file, Shard(1, 3), out, quiet=True, executors=inline())
    with pytest.raises(ScenarioError, match="holds shard 1 of 3; give each shard a folder"):
        run_shard(study_file, Shard(2, 3), out, quiet=True, executors=inline())
    with pytest.raises(ScenarioError, match="is the folder of a shard; name another one"):
        merged(three, three[1])


def test_a_shard_alone_has_no_report(three):
    with pytest.raises(ScenarioError, match=r"holds shard 2 of 3; `cowpool study --merge` reports"):
        report_again(three[1])


def test_folders_of_shards_are_only_read(three, tmp_path):
    before = [sorted((path.name, path.stat().st_mtime_ns) for path in f.iterdir()) for f in three]
    merged(three, tmp_path / "out")
    after = [sorted((path.name, path.stat().st_mtime_ns) for path in f.iterdir()) for f in three]
    assert after == before


def test_the_answer_of_a_merge_names_the_command_of_the_study(three, tmp_path):
    merged(three, tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert facts["provenance"]["command"].startswith("cowpool study ")
    assert "--shard" not in facts["provenance"]["command"]
