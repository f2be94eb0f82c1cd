"""Whatever carries out the runs, the store is the same, row for row; and limits hold."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial

import pytest
from support import quick_runs
from support.clusters import dask_cluster
from support.stores import rows_of

from sim.base.errors import PartlyDoneError, ScenarioError
from sim.base.limits import Limits
from sim.scenario import load_scenario
from sim.study.child import DIED
from sim.study.compare import USUAL, compare
from sim.study.executor import InlineExecutor
from sim.study.job import Job
from sim.study.local_pool import LokyExecutor, _LokyPool
from sim.study.named_pool import _DaskPool
from sim.study.packed import unpack
from sim.study.plan_run import run_plan
from sim.study.pool import PoolExecutor
from sim.study.progress import Silent
from sim.study.run import run_study
from sim.study.store import Store


def processes(n_workers):
    return ProcessPoolExecutor(n_workers, mp_context=multiprocessing.get_context("spawn"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Return what returns the address and the process of a cluster that lives.

    One serves all tests; where one has killed it, the next gets another.
    """
    found = []
    with ExitStack() as stack:

        def living():
            if not found or found[-1][1].poll() is not None:
                folder = tmp_path_factory.mktemp("cluster")
                found.append(stack.enter_context(dask_cluster(2, folder)))
            return found[-1]

        yield living


@pytest.fixture(scope="module", params=["loky", "threads", "processes", "dask"])
def make_pool(request):
    """Return what makes a pool of a kind, of so many workers; Dask's are always two.

    All tests of a kind follow each other, so that Dask's cluster does not wait for others.
    """
    if request.param == "dask":
        living = request.getfixturevalue("cluster")
        return lambda n_workers: _DaskPool(living()[0])
    pools = {"loky": _LokyPool, "threads": ThreadPoolExecutor, "processes": processes}
    return pools[request.param]


@pytest.fixture
def pool_executor(make_pool):
    """Return what makes an executor of a kind, with what does a run, and limits."""
    return partial(PoolExecutor, partial(make_pool, 2))


def carried_out(executor, jobs):
    try:
        return {finished.key: finished for finished in executor.run(jobs)}
    finally:
        executor.close()


def jobs_of(n, **scenario):
    return [Job(str(number), scenario, 1, number, 1.0) for number in range(n)]


def test_a_worker_that_is_killed_while_it_says_what_it_found_is_not_waited_for(tmp_path):
    executor = LokyExecutor(2, partial(quick_runs.dies_saying, tmp_path))
    found = carried_out(executor, jobs_of(5))
    assert (tmp_path / "told").exists()
    assert {key: unpack(each.body) for key, each in found.items()} == {
        str(number): {"replication": number} for number in range(5)
    }


def test_the_pool_does_not_show(lasting_study, tmp_path, pool_executor, rows_made_here):
    out = tmp_path / "out"
    executor = pool_executor(quick_runs.simulate)
    run_study(lasting_study, out, quiet=True, executors=lambda n: executor)
    assert rows_of(out) == rows_made_here
    assert [path.name for path in out.iterdir() if "sqlite" in path.name] == ["runs.sqlite"]


def test_one_worker_does_not_show_either(lasting_study, tmp_path, rows_made_here):
    """Above there are two, in test_study_run.py three."""
    out = tmp_path / "out"
    executor = LokyExecutor(1, quick_runs.simulate)
    run_study(lasting_study, out, quiet=True, executors=lambda n: executor)
    assert rows_of(out) == rows_made_here


def test_a_run_has_a_main_thread_elsewhere_and_what_it_prints_is_no_answer(pool_executor):
    found = carried_out(pool_executor(quick_runs.where), jobs_of(4))
    results = [unpack(finished.body) for finished in found.values()]
    assert {result["replication"] for result in results} == {0, 1, 2, 3}
    assert all(result["main"] and result["pid"] != os.getpid() for result in results)
    assert len({result["pid"] for result in results}) <= 2


@pytest.mark.parametrize(
    "executor", [LokyExecutor, lambda n, f: PoolExecutor(partial(ThreadPoolExecutor, n), f)]
)
def test_garbage_is_not_looked_for_in_what_the_first_run_of_a_worker_has_loaded(executor):
    found = carried_out(executor(1, quick_runs.frozen), jobs_of(3))
    assert [unpack(found[key].body)["frozen"] for key in "012"] == [False, True, True]


def test_a_run_that_kills_its_worker_has_failed_and_no_other_has(pool_executor):
    found = carried_out(pool_executor(quick_runs.dies), jobs_of(6))
    assert sorted(found) == [str(n) for n in range(6)]
    assert [key for key, finished in found.items() if finished.body is None] == ["2"]
    assert found["2"].reason == DIED


LIMITS = {
    "time": (Limits(time_ns=2_000_000_000), "the time limit of 2 s is over"),
    "memory": (  # the time is for a machine on which the limit of memory does not hold
        Limits(time_ns=200_000_000_000, memory_bytes=1 << 30),
        "over the memory limit of 1 GiB",
    ),
}


def test_limits_hold(make_pool):
    """Of three runs one takes for ever, and then of three others more and more memory."""
    pool = make_pool(1)
    try:
        for without_end, (limits, reason) in LIMITS.items():
            executor = PoolExecutor(lambda: pool, quick_runs.takes, limits=limits)
            names = (without_end, "nothing", "more")
            jobs = [Job(name, {"takes": name}, 1, 0, 1.0) for name in names]
            reasons = {finished.key: finished.reason for finished in executor.run(jobs)}
            assert reasons["nothing"] is reasons["more"] is None
            assert reasons[without_end].endswith(reason)
    finally:
        executor.close()  # and the pool


def test_what_is_closed_ends_at_once(make_pool):
    """Whoever has begun a run that takes for ever is not waited for.

    It ends after five seconds: workers of a cluster go on with it, and have other tests to serve.
    """
    executor = PoolExecutor(partial(make_pool, 1), quick_runs.takes)
    jobs = [Job(f"{name}{n}", {"takes": name}, 1, n, 1.0) for n, name in enumerate(TAKES)]
    runs = executor.run(jobs)
    assert next(runs).key == "nothing0"
    executor.close()
    runs.close()


def test_workers_of_another_release_are_refused(monkeypatch):
    monkeypatch.setattr("sim.study.pool.RELEASE", "0.1 (results version 1)")
    executor = PoolExecutor(partial(ThreadPoolExecutor, 1))
    with pytest.raises(ScenarioError, match="a worker has cowpool .*, and this is 0.1 "):
        executor.open()
    executor.close()


def test_a_cluster_that_goes_away_ends_the_study_and_what_is_finished_is_kept(
    lasting_study, tmp_path, cluster
):
    address, process = cluster()
    import dask

    class KillsTheCluster(PoolExecutor):
        def run(self, jobs):
            for n, finished in enumerate(super().run(jobs)):
                yield finished
                if n == 3:
                    process.kill()
                    process.wait()

    out = tmp_path / "out"
    executor = KillsTheCluster(partial(_DaskPool, address), quick_runs.simulate)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(PartlyDoneError, match="everything finished so far is kept"),
    ):
        run_study(lasting_study, out, quiet=True, executors=lambda n: executor)
    with Store(out / "runs.sqlite") as store:
        assert len(store.done_keys()) >= 4


TAKES = ("nothing", "five seconds", "five seconds")
PLAN = """\
version: 1
name: small
base: redis_bgsave
set: {run.horizon: 60 s, processes.redis.dataset: 64 MiB, processes.redis.writes: 4000/s}
plan: {minimise: host.memory, in: [72 MiB, 640 MiB], runs: 9}
objectives: {each_run: ["oom_kills = 0"]}
seed: 7
"""


@pytest.mark.parametrize("make_pool", ["loky", "dask"], indirect=True)
def test_plans_and_comparisons_are_the_same_too(pool_executor, tmp_path):
    (tmp_path / "small.yaml").write_text(PLAN)
    variants = {
        name: load_scenario("redis_bgsave", [f"processes.redis.dataset={size}"])
        for name, size in {"base": "64 MiB", "other": "96 MiB"}.items()
    }
    plans, tables = [], []
    for n, make in enumerate((InlineExecutor, pool_executor)):
        out = tmp_path / f"out-{n}"
        executors = partial(lambda make, n_workers: make(quick_runs.simulate), make)
        run_plan(tmp_path / "small.yaml", out, quiet=True, executors=executors)
        plans.append((rows_of(out), (out / "plan.json").read_bytes()))
        with closing(make(quick_runs.simulate)) as executor:
            tables.append(compare(variants, USUAL, executor, Silent(), seed=3, most=8))
    assert plans[0] == plans[1]
    assert tables[0] == tables[1]
    assert tables[0].rows
