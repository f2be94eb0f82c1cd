"""Print the table of README.md, from runs of jobs.yaml.

python experiments/010_swap_or_kill/figures.py
"""

import sys
from itertools import pairwise
from pathlib import Path

from sim.engine.run import simulate
from sim.scenario.resolve import open_scenario

HOSTS = {
    "no swap": {},
    **{
        f"zram, {ratio} to 1": {
            "host.swap": {"size": "64 MiB", "device": "zram", "compression_ratio": ratio}
        }
        for ratio in (2, 6)
    },
    "nvme": {"host.swap": {"size": "64 MiB", "device": "nvme"}},
    "ssd": {"host.swap": {"size": "64 MiB", "device": "ssd"}},
    "disk": {"host.swap": {"size": "64 MiB", "device": "disk"}},
    "4 MiB of ssd": {"host.swap": {"size": "4 MiB", "device": "ssd"}},
}


def say(*parts):
    """Print a line of the table, as soon as it is known."""
    sys.stdout.write(" ".join(parts) + "\n")
    sys.stdout.flush()


def figures(source, how):
    """Return jobs killed, rounds a second of all, and p99 from one round to the next, in ms."""
    resolved = source.resolved(how)
    document = simulate(resolved, seed=1).to_json()
    since_ns, until_ns = resolved["run"]["warmup"], resolved["run"]["horizon"]
    ends = {}
    for mark in document["marks"]:
        if mark["kind"] == "round" and mark["t_ns"] >= since_ns:
            ends.setdefault(mark["name"], []).append(mark["t_ns"])
    rounds = sum(map(len, ends.values()))
    took = sorted(b - a for times in ends.values() for a, b in pairwise(times))
    killed = sum(process["ended"] == "oom-killed" for process in document["processes"])
    return killed, rounds / (until_ns - since_ns) * 1e9, took[len(took) * 99 // 100] / 1e6


if __name__ == "__main__":
    source = open_scenario(Path(__file__).parent / "jobs.yaml")
    say("| swap | jobs killed | rounds a second | from one round to the next, p99 |")
    say("|---|---|---|---|")
    for name, how in HOSTS.items():
        killed, rate, p99_ms = figures(source, how)
        say(f"| {name} | {killed} | {rate:.1f} | {p99_ms:.0f} ms |")
