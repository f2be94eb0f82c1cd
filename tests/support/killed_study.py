"""A study that is there to be killed, as a copy of a process (`support.copies`):

    Original(PRELOADED).copy(CODE, [STUDY, OUT, LOG, HOW, ADDRESS | SHARD | FOLDER ...], folder)

HOW is `dask`, or `loky`, `shard` or `merge` and how many workers.  Runs take milliseconds and write
down in LOG who makes them; LOG.failed has a line for each that failed, from before its store knows.
The exit status is the study's, or 70 if it raised.
"""

import traceback
from functools import partial
from pathlib import Path

from support import patience

CODE = """
import sys
from support.killed_study import told
sys.exit(told(*sys.argv[1:]))
"""
PRELOADED = """
from contextlib import suppress
import loky.process_executor, pandas, scipy.stats
import sim.study.named_pool, sim.study.run, sim.study.sharded
import support.killed_study, support.quick_runs
with suppress(ImportError):
    import distributed
from sim.scenario.resolve import open_scenario
open_scenario("redis_bgsave").resolved()
"""


class Telling:
    """Writes down what failed, which a later run of the same thing would hide."""

    def __init__(self, executor, log):
        self.executor, self.path, self.close = executor, Path(f"{log}.failed"), executor.close

    def run(self, jobs):
        for finished in self.executor.run(jobs):
            if finished.body is None:
                with self.path.open("a") as file:
                    file.write(f"{finished.key} {finished.reason!r}\n")
            yield finished


def main(study, out, log, how, *rest):
    # Imported by the copies' original; not by the tests that have it.
    from sim.study import named_pool
    from sim.study.local_pool import LokyExecutor
    from sim.study.pool import PoolExecutor
    from sim.study.run import run_study
    from sim.study.shard import Shard
    from sim.study.sharded import merge_shards, run_shard
    from support import quick_runs

    named_pool.ANSWERS_WITHIN_S = patience.LONGEST_S  # its workers may just have been killed
    simulate = partial(quick_runs.logged, log)
    how, _, workers = how.partition(" ")

    def executors(n_workers):
        if how == "dask":
            executor = PoolExecutor(partial(named_pool._DaskPool, rest[0]), simulate)
        else:
            executor = LokyExecutor(int(workers), simulate)
        return Telling(executor, log)

    options = {"quiet": True, "executors": executors}
    if how == "shard":
        return run_shard(study, Shard.parsed(rest[0]), Path(out), **options).exit_status
    if how == "merge":
        return merge_shards([Path(each) for each in rest], Path(out), **options).exit_status
    return run_study(study, Path(out), **options).exit_status


def told(*arguments):
    """Return the exit status of `main`."""
    try:
        return main(*arguments)
    except Exception:
        traceback.print_exc()
        return 70
