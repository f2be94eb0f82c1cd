"""A cluster of Dask's on this machine, in processes of its own, over loopback."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent

_CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    n, logs = int(sys.argv[1]), 60
    with LocalCluster(
        n_workers=n, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=logs
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


_IDLE = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "false",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
}
"""Settings without which a cluster that waits takes a tenth of a CPU."""


@contextmanager
def dask_cluster(n_workers, folder):
    """Yield the address of a scheduler, and its process.

    The cluster ends with the block, or with this process.
    """
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    script = folder / "cluster.py"
    script.write_text(_CLUSTER)
    with subprocess.Popen(
        [sys.executable, str(script), str(n_workers)],
        cwd=folder,
        env={**os.environ, **_IDLE, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.stdin.close()
