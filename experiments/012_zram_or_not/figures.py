"""Print the table of README.md, from runs of desktop.yaml.

python experiments/012_zram_or_not/figures.py
"""

import sys
from itertools import pairwise
from pathlib import Path

from sim.engine.run import simulate
from sim.scenario.resolve import open_scenario

SWAP = {
    "none": 0,
    "nvme": {"size": "3 GiB", "device": "nvme"},
    "ssd": {"size": "3 GiB", "device": "ssd"},
    "zram, 1.5 to 1": {"size": "3 GiB", "device": "zram", "compression_ratio": 1.5},
    "zram, 2 to 1": {"size": "3 GiB", "device": "zram", "compression_ratio": 2},
    "zram, 4 to 1": {"size": "3 GiB", "device": "zram", "compression_ratio": 4},
}


def say(*parts):
    """Print a line of the table, as soon as it is known."""
    sys.stdout.write(" ".join(parts) + "\n")
    sys.stdout.flush()


def figures(source, how):
    """Return what a run says: killed, rounds a second, p99 between rounds in ms, and of swap."""
    resolved = source.resolved(how)
    document = simulate(resolved, seed=1).to_json()
    since_ns, until_ns = resolved["run"]["warmup"], resolved["run"]["horizon"]
    ends = {}
    for mark in document["marks"]:
        if mark["kind"] == "round" and mark["t_ns"] >= since_ns:
            ends.setdefault(mark["name"], []).append(mark["t_ns"])
    took = sorted(b - a for times in ends.values() for a, b in pairwise(times))
    killed = sum(process["ended"] == "oom-killed" for process in document["processes"])
    rate = sum(map(len, ends.values())) / (until_ns - since_ns) * 1e9
    return killed, rate, took[len(took) * 99 // 100] / 1e6, document.get("swap", {})


if __name__ == "__main__":
    source = open_scenario(Path(__file__).parent / "desktop.yaml")
    say("| swap | killed | swapped out at most | memory of zram at most | rounds/s | p99 |")
    say("|---|---|---|---|---|---|")
    for name, swap in SWAP.items():
        killed, rate, p99_ms, told = figures(source, {"host.swap": swap})
        out = f"{told.get('peak_bytes', 0) / 2**20:.0f} MiB"
        own = f"{told['zram_peak_bytes'] / 2**20:.0f} MiB" if "zram_peak_bytes" in told else "-"
        say(f"| {name} | {killed} | {out} | {own} | {rate:.0f} | {p99_ms:.0f} ms |")
