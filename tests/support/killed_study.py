"""A study that is there to be killed, as a process of its own:

    python -m support.killed_study STUDY OUT LOG HOW [ADDRESS | SHARD | FOLDER ...]

Its runs take milliseconds and write down in LOG who makes them; LOG.failed has a line for each that
failed, from before its store knows.  The exit status is the study's, or 70 if it raised.
"""

import sys
import traceback
from functools import partial
from pathlib import Path

from sim.study import named_pool
from sim.study.local_pool import LokyExecutor
from sim.study.pool import PoolExecutor
from sim.study.run import run_study
from sim.study.shard import Shard
from sim.study.sharded import merge_shards, run_shard
from support import patience, quick_runs

named_pool.ANSWERS_WITHIN_S = patience.LONGEST_S  # its workers may just have been killed


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
    simulate = partial(quick_runs.logged, log)

    def executors(n_workers):
        if how == "dask":
            executor = PoolExecutor(partial(named_pool._DaskPool, rest[0]), simulate)
        else:
            executor = LokyExecutor(4 if how == "loky 4" else 2, simulate)
        return Telling(executor, log)

    options = {"quiet": True, "executors": executors}
    if how == "shard":
        return run_shard(study, Shard.parsed(rest[0]), Path(out), **options).exit_status
    if how == "merge":
        return merge_shards([Path(each) for each in rest], Path(out), **options).exit_status
    return run_study(study, Path(out), **options).exit_status


if __name__ == "__main__":
    try:
        status = main(*sys.argv[1:])
    except Exception:
        traceback.print_exc()
        status = 70
    sys.exit(status)
