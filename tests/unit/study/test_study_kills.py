"""SIGKILL of whoever makes a study, at any moment: no finished run is lost, and none is wrong."""

import os
import random
import signal
import sqlite3
from contextlib import closing, suppress

import pytest
from support.clusters import dask_cluster
from support.copies import Original
from support.killed_study import CODE, PRELOADED
from support.patience import wait_until
from support.samples import sample
from support.stores import rows_of

KILLS = {"loky 2": sample(2, 7), "dask": sample(2, 6), "shards": sample(1, 6), "loky 4": 6}
"""How many there are in a study: 5 in all, or 100."""
MOST_RUNS_BETWEEN = 12
WORKERS_OF_SHARD = sample(1, 2)


def kept(out):
    """Return the runs that a store holds, times included: one made again has another."""
    path = out / "runs.sqlite"
    if not path.exists():
        return set()
    with closing(sqlite3.connect(path)) as db, suppress(sqlite3.OperationalError):
        return set(db.execute("SELECT key, body, wall_s FROM runs WHERE status = 'done'"))
    return set()  # killed before there was a table


class Killer:
    """Carries out commands until they are done, killing them or their workers on the way."""

    def __init__(self, original, luck, folder, kills):
        folder.mkdir()
        self.original, self.luck, self.log, self.left = original, luck, folder / "log", kills
        self.log.touch()

    @property
    def run_failed(self):
        """Whether a run ever failed: one dies of it that is killed twice."""
        return self.log.with_suffix(".failed").exists()

    def carry_out(self, study, out, *how):
        before = set()
        while True:
            left = self.left
            process = self._begun(study, out, *how)
            self._kill_on_the_way(process, in_cluster=how[0] == "dask")
            status = process.wait()
            assert before <= kept(out)  # nothing is lost, and nothing made again
            before = kept(out)
            if status == 0:
                return
            # Killed; or a run has failed: the same command makes it again.
            assert self.left < left
            assert status == -signal.SIGKILL or (self.run_failed and status in (1, 3))

    def _begun(self, study, out, *how):
        return self.original.copy(CODE, [study, out, self.log, *how], self.log.parent)

    def _kill_on_the_way(self, process, in_cluster):
        begun = len(self._workers())
        while self.left:
            until = len(self._workers()) + self.luck.randint(1, MOST_RUNS_BETWEEN)
            wait_until(lambda n=until: len(self._workers()) >= n or process.poll() is not None)
            if process.poll() is not None:
                return
            pid, parent = self._workers()[begun:][-1]
            if self.luck.random() < 0.5:
                self.left -= 1
                process.kill()
                return
            if in_cluster:  # the worker, or the child in which it makes its runs
                pid = self.luck.choice([pid, parent])
            elif parent != process.pid:  # an orphan, which is about to end
                continue
            self.left -= 1
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _workers(self):
        """Return who began each run, process and parent."""
        whole_lines = self.log.read_text().rpartition("\n")[0].splitlines()
        return [tuple(map(int, line.split())) for line in whole_lines]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with dask_cluster(2, tmp_path_factory.mktemp("cluster")) as (address, _):
        yield address


@pytest.fixture(scope="module")
def original():
    with Original(PRELOADED) as process:
        yield process


def carried_out(killer, how, study, folder, address):
    """Return where a study is that was carried out, killed on the way."""
    if how != "shards":
        killer.carry_out(study, folder / "out", how, *address)
        return folder / "out"
    shards = [folder / f"{number}-of-2" for number in (1, 2)]
    for number, shard in enumerate(shards, 1):
        killer.carry_out(study, shard, f"shard {WORKERS_OF_SHARD}", f"{number}/2")
    killer.carry_out(study, folder / "out", f"merge {WORKERS_OF_SHARD}", *shards)
    return folder / "out"


@pytest.mark.slow
@pytest.mark.stress
@pytest.mark.parametrize("turn", range(sample(1, 4)))
@pytest.mark.parametrize("how", list(KILLS)[: sample(3, 4)])
def test_kills_lose_nothing(lasting_study, original, rows_made_here, tmp_path, request, how, turn):
    address = [request.getfixturevalue("cluster")] if how == "dask" else []
    luck, left = random.Random(f"{how}/{turn}"), KILLS[how]
    while left:  # a study may end before it was killed as often: then another one
        folder = tmp_path / f"{left} left"
        killer = Killer(original, luck, folder, left)
        found = rows_of(carried_out(killer, how, lasting_study, folder, address))
        if killer.run_failed:  # what later rounds made without that run stays, outside of the plan
            assert all(set(rows) <= set(found[name]) for name, rows in rows_made_here.items())
            found |= {name: rows_made_here[name] for name in ("runs", "scenarios")}
        assert found == rows_made_here
        left = killer.left
