"""What carrying out a study adds to its runs, and what two workers reach.

    python benchmarks/carrying.py       # a few minutes; --cluster tcp://... for two workers of Dask
    python benchmarks/carrying.py --dataset 512MiB      # the same with longer runs, of some .05 s

What a study adds to a run is the slope between a study of few and one of many short runs, reading,
estimating and writing tables included, less the time that the runs themselves took in their worker.
What two workers reach is how long two Pythons take that do the same runs in a loop, side by side,
over how long a study with two workers does: in turn, so that a busy machine is busy for both, but
not where others take more than one of two CPUs, and for so many runs that a start, a second more or
less, does not decide.  The report takes half a millisecond of each run, in which no worker has
anything to do: that tells with runs below about .05 s.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from sim.study.named_pool import named_executors
from sim.study.run import run_study
from sim.study.store import Store

STUDY = """\
version: 1
name: carrying
question: What does carrying out a study add?
base: redis_bgsave
set:
  run.sample_every: 50 ms
  processes.redis.save_every: 100 ms
  processes.redis.writes: 5000/s
  host.memory: {memory}
axes: {{processes.redis.dataset: [{dataset}]}}
replications: {n}
seed: 3
answer: {{metric: fork_latency_ns.mean, subject: a Redis host}}
"""
SHORT = {"dataset": "4 MiB", "memory": "64 MiB"}
LONG = {"dataset": "256 MiB", "memory": "1 GiB"}

LOOP = """
import sys, time
from pathlib import Path
from sim.scenario.study import load_study
from sim.study.base import planner_of
from sim.study.job import simulate_once

planner, _ = planner_of(load_study(Path(sys.argv[1])))
scenario, first, n = planner.main_cell(0).scenario, int(sys.argv[2]), int(sys.argv[3])
simulate_once(scenario, seed=3, replication=0)
print("ready", flush=True)
sys.stdin.readline()
for replication in range(first, first + n):
    simulate_once(scenario, seed=3, replication=replication)
"""


def study_s(folder: Path, kind: dict, n: int, jobs: int | None, cluster: str | None) -> tuple:
    """Return how long a study of `n` runs took, its own CPU time, and how long its runs, in s."""
    study = folder / "study.yaml"
    study.write_text(STUDY.format(n=n, **kind))
    out = folder / f"out-{time.monotonic_ns()}"
    with named_executors(None, cluster, None, None, None) as executors:
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        run_study(study, out, jobs=jobs, quiet=True, executors=executors)
        took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    with Store(out / "runs.sqlite") as store:
        return took_s, cpu_s, store.wall_s()


def loops_s(folder: Path, kind: dict, n: int) -> float:
    """Return how long two Pythons took that did half of `n` runs each, side by side, in s."""
    study = folder / "study.yaml"
    study.write_text(STUDY.format(n=n, **kind))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    loops = [
        subprocess.Popen(
            [sys.executable, "-c", LOOP, str(study), str(k * n // 2), str(n // 2)], **pipes
        )
        for k in range(2)
    ]
    for loop in loops:
        loop.stdout.readline()
    began_s = time.perf_counter()
    for loop in loops:
        loop.stdin.write("\n")
        loop.stdin.flush()
    for loop in loops:
        loop.wait()
    took_s = time.perf_counter() - began_s
    for loop in loops:
        loop.communicate()
    return took_s


def added_ms(folder: Path, cluster: str | None, few: int, many: int) -> tuple[float, float]:
    """Return what a study adds to each of its runs, and its process's CPU time a run, in ms."""
    study_s(folder, SHORT, few, 1, cluster)  # compiles, and starts
    few_s, few_cpu_s, few_runs_s = study_s(folder, SHORT, few, 1, cluster)
    many_s, many_cpu_s, many_runs_s = study_s(folder, SHORT, many, 1, cluster)
    n_workers = 2 if cluster else 1
    added_s = many_s - few_s - (many_runs_s - few_runs_s) / n_workers
    return 1000 * added_s / (many - few), 1000 * (many_cpu_s - few_cpu_s) / (many - few)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cluster", help="the address of a cluster of Dask's, with two workers")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--dataset", default=LONG["dataset"], help="of the runs of two workers")
    given = parser.parse_args()
    long = {**LONG, "dataset": given.dataset}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        added, cpu = added_ms(folder, given.cluster, 100, 500)
        print(f"a study adds {added:.1f} ms to each run, {cpu:.1f} ms of CPU in its own process")
        shares, busy = [], []
        for _ in range(given.pairs):
            many_s, _, many_runs_s = study_s(folder, long, given.runs + 2, 2, given.cluster)
            few_s, _, few_runs_s = study_s(folder, long, 2, 2, given.cluster)
            plain_s = loops_s(folder, long, given.runs)
            shares.append(plain_s / (many_s - few_s))
            busy.append((many_runs_s - few_runs_s) / (2 * (many_s - few_s)))
            print(
                f"two workers {many_s - few_s:.2f} s, two loops {plain_s:.2f} s,"
                f" {given.runs} runs of {(many_runs_s - few_runs_s) / given.runs:.3f} s"
            )
        print(f"two workers reach {100 * median(shares):.0f} % of two loops (median of pairs)")
        print(f"and are at a run {100 * median(busy):.0f} % of the time")


if __name__ == "__main__":
    main()
