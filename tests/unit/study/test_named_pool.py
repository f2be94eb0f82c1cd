"""Pools that a command line names: there are none, or they are opened before anything runs."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from sim.base.errors import ScenarioError
from sim.cli import main
from sim.study.named_pool import named_executors

WRONG = {
    "nothing": "'nothing' is not MODULE:FUNCTION, such as concurrent.futures:ThreadPoolExecutor",
    "no.such.module:x": r"cannot import 'no.such.module' \(ModuleNotFoundError: ",
    "concurrent.futures:ThredPoolExecutor": "did you mean 'ThreadPoolExecutor'",
    "builtins:dict": "returns no pool \\(dict\\); a pool has submit and shutdown",
    "concurrent.futures:Executor": r"makes no pool \(TypeError",
}


def names(executor=None, cluster=None, jobs=None):
    with named_executors(executor, cluster, jobs, None, None) as executors:
        return executors


@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_pool_is_refused(name):
    with pytest.raises(ScenarioError, match=f"^--executor: .*{WRONG[name]}"):
        names(name, jobs=2)


def test_no_name_is_no_pool():
    assert names() is None


def test_the_function_is_told_how_many_workers(tmp_path, monkeypatch):
    (tmp_path / "of_mine.py").write_text(
        "from concurrent.futures import ThreadPoolExecutor as Pool\n"
        "def pool(max_workers=7):\n    return Pool(max_workers)\n"
    )
    monkeypatch.chdir(tmp_path)
    for jobs, n_workers in ((None, 7), (3, 3)):
        with named_executors("of_mine:pool", None, jobs, None, None) as executors:
            pool = executors(1)._pool
            assert isinstance(pool, ThreadPoolExecutor)
            assert pool._max_workers == n_workers


def test_an_address_at_which_nobody_answers_is_told_in_a_line(monkeypatch, tmp_path, capsys):
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    monkeypatch.setattr("sim.study.named_pool.ANSWERS_WITHIN_S", 1)
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for address, said in ((f"tcp://127.0.0.1:{port}", "nobody answers"), ("x", "is no address")):
        assert main(["study", "redis_bgsave", "--cluster", address]) == 2
        assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_one_way_to_carry_out_runs_is_enough():
    with pytest.raises(ScenarioError, match="^--cluster: --executor says otherwise"):
        names("a:b", "tcp://127.0.0.1:1")
    with pytest.raises(ScenarioError, match="^--jobs: a cluster has the workers that it has"):
        names(cluster="tcp://127.0.0.1:1", jobs=2)
