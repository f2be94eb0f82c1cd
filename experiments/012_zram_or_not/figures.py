"""Print the table of README.md, from runs of desktop.yaml.

python experiments/012_zram_or_not/figures.py

What zram holds takes memory that is not simulated: it is taken off host.memory here, once for how
much the run before had there at most, divided by how well it compresses, until both agree.
"""

import sys
from itertools import pairwise
from pathlib import Path

from sim.engine.run import simulate
from sim.scenario.resolve import open_scenario

MEMORY_MIB = 2048


def say(*parts):
    """Print a line of the table, as soon as it is known."""
    sys.stdout.write(" ".join(parts) + "\n")
    sys.stdout.flush()


def figures(source, how):
    """Return what a run says: killed, swap at most in MiB, rounds a second, p99 between rounds."""
    resolved = source.resolved(how)
    document = simulate(resolved, seed=1).to_json()
    since_ns, until_ns = resolved["run"]["warmup"], resolved["run"]["horizon"]
    ends = {}
    for mark in document["marks"]:
        if mark["kind"] == "round" and mark["t_ns"] >= since_ns:
            ends.setdefault(mark["name"], []).append(mark["t_ns"])
    took = sorted(b - a for times in ends.values() for a, b in pairwise(times))
    killed = sum(process["ended"] == "oom-killed" for process in document["processes"])
    swap_mib = document.get("swap", {"peak_bytes": 0})["peak_bytes"] / 2**20
    rate = sum(map(len, ends.values())) / (until_ns - since_ns) * 1e9
    return killed, swap_mib, rate, took[len(took) * 99 // 100] / 1e6


def on_zram(source, ratio):
    """Return the same where zram compresses to a part of 1 / `ratio`, and the memory left."""
    memory = MEMORY_MIB
    while True:
        how = {"host.memory": f"{memory} MiB", "host.swap": {"size": "3 GiB", "device": "zram"}}
        found = figures(source, how)
        left = MEMORY_MIB - int(found[1] / ratio)
        if left >= memory - 8:
            return found, memory
        memory = left


def show(name, memory, found):
    """Print a line of the table."""
    killed, swap_mib, rate, p99_ms = found
    swapped = f"{swap_mib:.0f} MiB"
    say(f"| {name} | {memory} MiB | {killed} | {swapped} | {rate:.0f} | {p99_ms:.0f} ms |")


if __name__ == "__main__":
    source = open_scenario(Path(__file__).parent / "desktop.yaml")
    say("| swap | memory for pages | killed | swapped out at most | rounds a second | p99 |")
    say("|---|---|---|---|---|---|")
    show("none", MEMORY_MIB, figures(source, {}))
    for device in ("nvme", "ssd"):
        how = {"host.swap": {"size": "3 GiB", "device": device}}
        show(device, MEMORY_MIB, figures(source, how))
    for ratio in (2, 4):
        found, memory = on_zram(source, ratio)
        show(f"zram, {ratio} to 1", memory, found)
