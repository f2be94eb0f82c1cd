"""What a study adds to each of its runs: counted, as no test may rest on a clock.

`benchmarks/carrying.py` has it in milliseconds: 20 are allowed, by far the most of them for the
process of a worker.  Here it is what the study's own process does, some 1,000 calls a run.
"""

import sys
from concurrent.futures import Future

import pytest

from sim.study.executor import InlineExecutor
from sim.study.pool import PoolExecutor
from sim.study.run import run_study
from sim.study.store import Store

STUDY = """\
version: 1
name: many
base: redis_bgsave
set: {run.horizon: 60 s}
axes: {processes.redis.dataset: [64 MiB, 256 MiB]}
replications: %d
one_at_a_time: 0
seed: 7
answer: {metric: cow_copies}
"""
MOST_CALLS, MOST_STATEMENTS = 2_000, 10
FEW, MANY = 10, 30


class AtOnce:
    """A pool that has done what it is given when it says that it will."""

    _max_workers = 4

    def submit(self, function, /, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future

    def shutdown(self, wait=True):
        pass


class Counts:
    """Counts calls, statements of SQL and results that are read, of all but the runs themselves."""

    def __init__(self, simulate, monkeypatch):
        self.calls = self.statements = self.read = 0
        self._simulate = simulate
        self._kept = {}
        opened, result = Store.__init__, Store.result

        def traced(store, path):
            opened(store, path)
            store._db.set_trace_callback(self._statement)

        def read(store, key):
            self.read += 1
            return result(store, key)

        monkeypatch.setattr(Store, "__init__", traced)
        monkeypatch.setattr(Store, "result", read)

    def _statement(self, text):
        self.statements += 1

    def simulate(self, scenario, *, seed, replication):
        sys.setprofile(None)
        key = scenario["processes"]["redis"]["dataset"], replication
        if key not in self._kept:
            self._kept[key] = self._simulate(scenario, seed=seed, replication=replication)
        sys.setprofile(self._call)
        return self._kept[key]

    def _call(self, frame, event, argument):
        self.calls += event in ("call", "c_call")

    def of(self, study, out, executor):
        """Return how many of each a study takes."""
        before = self.calls, self.statements, self.read
        sys.setprofile(self._call)
        try:
            run_study(study, out, quiet=True, executors=lambda n_workers: executor)
        finally:
            sys.setprofile(None)
        after = self.calls, self.statements, self.read
        return [b - a for a, b in zip(before, after, strict=True)]


@pytest.mark.parametrize("how", ["inline", "pool"])
def test_a_run_adds_little_however_many_there_are(tmp_path, standin, monkeypatch, how):
    counts = Counts(standin.simulate, monkeypatch)
    executor = InlineExecutor(counts.simulate)
    if how == "pool":
        executor = PoolExecutor(AtOnce, counts.simulate)
    found = {}
    for n in (FEW, FEW, MANY, 2 * MANY - FEW):  # the first imports what it needs
        (tmp_path / "many.yaml").write_text(STUDY % n)
        found[n] = counts.of(tmp_path / "many.yaml", tmp_path / f"{len(found)}-{n}", executor)
    few, many, most = found.values()
    first, second = (
        [(b - a) / (2 * (MANY - FEW)) for a, b in zip(*pair, strict=True)]
        for pair in ((few, many), (many, most))
    )
    assert 0 < first[0] < MOST_CALLS
    assert 0 < first[1] <= MOST_STATEMENTS
    assert first[2] == 0 < few[2]  # those of curves are read, however many runs there are
    # And no more where there are more of them.
    assert second == [pytest.approx(each, rel=0.05) for each in first]
