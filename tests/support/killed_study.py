"""A study that is there to be killed, as a process of its own:

    python -m support.killed_study STUDY OUT LOG HOW [ADDRESS | SHARD | FOLDER ...]

Its runs take milliseconds and write down in LOG who makes them.  The exit status is the study's.
"""

import sys
from functools import partial
from pathlib import Path

from sim.study.local_pool import LokyExecutor
from sim.study.named_pool import _DaskPool
from sim.study.pool import PoolExecutor
from sim.study.run import run_study
from sim.study.shard import Shard
from sim.study.sharded import merge_shards, run_shard
from support import quick_runs


def main(study, out, log, how, *rest):
    simulate = partial(quick_runs.logged, log)

    def executors(n_workers):
        if how == "dask":
            return PoolExecutor(partial(_DaskPool, rest[0]), simulate)
        return LokyExecutor(4 if how == "loky 4" else 2, simulate)

    options = {"quiet": True, "executors": executors}
    if how == "shard":
        return run_shard(study, Shard.parsed(rest[0]), Path(out), **options).exit_status
    if how == "merge":
        return merge_shards([Path(each) for each in rest], Path(out), **options).exit_status
    return run_study(study, Path(out), **options).exit_status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
