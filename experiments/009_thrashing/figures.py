"""Print the table of README.md, from runs of jobs.yaml.

python experiments/009_thrashing/figures.py
"""

import sys
from pathlib import Path

from sim.engine.run import simulate
from sim.scenario.resolve import open_scenario

DEVICES = ("ssd", "disk")


def say(*parts):
    """Print a line of the table, as soon as it is known."""
    sys.stdout.write(" ".join(parts) + "\n")
    sys.stdout.flush()


def figures(source, copies, device):
    """Return rounds a second, and the share of the CPU that is busy, after warm-up."""
    how = {"processes.job.copies": copies, "host.swap.device": device}
    resolved = source.resolved(how)
    document = simulate(resolved, seed=1).to_json()
    since_ns, until_ns = resolved["run"]["warmup"], resolved["run"]["horizon"]
    rounds = sum(mark["kind"] == "round" and mark["t_ns"] >= since_ns for mark in document["marks"])
    return rounds / (until_ns - since_ns) * 1e9, document["metrics"]["cpu_busy_fraction"]


if __name__ == "__main__":
    source = open_scenario(Path(__file__).parent / "jobs.yaml")
    say("| jobs |", *(f"{device} | CPU |" for device in DEVICES))
    say("|---" * (1 + 2 * len(DEVICES)) + "|")
    for copies in (1, 2, 4, 6, 7, 8, 9, 10):
        found = [figures(source, copies, device) for device in DEVICES]
        say(f"| {copies} |", *(f"{rate:.1f} | {100 * busy:.0f} % |" for rate, busy in found))
