"""Print the table of README.md, from runs of files_and_memory.yaml.

python experiments/013_swappiness/figures.py
"""

import sys
from pathlib import Path

from sim.engine.run import simulate
from sim.scenario.resolve import open_scenario


def say(*parts):
    """Print a line of the table, as soon as it is known."""
    sys.stdout.write(" ".join(parts) + "\n")
    sys.stdout.flush()


def figures(source, swappiness, group=None):
    """Return a row: rounds a second of both, pages swapped, refaults of files, after warm-up."""
    how = {"host.swappiness": swappiness}
    if group is not None:
        how |= {"host.memory": "256 MiB", "groups.pod.memory_max": group}
        how |= {"processes.reader.group": "pod", "processes.worker.group": "pod"}
    resolved = source.resolved(how)
    document = simulate(resolved, seed=1).to_json()
    since_ns, until_ns = resolved["run"]["warmup"], resolved["run"]["horizon"]
    rates = [
        sum(mark["kind"] == kind and mark["t_ns"] >= since_ns for mark in document["marks"])
        / (until_ns - since_ns)
        * 1e9
        for kind in ("file", "memory")
    ]
    metrics = document["metrics"]
    return (
        f"| {swappiness} | {rates[0]:.0f} | {rates[1]:.0f} | {metrics['pages_swapped_out']:,} | "
        f"{metrics['pages_swapped_in']:,} | {metrics['refaults']:,} |"
    )


if __name__ == "__main__":
    source = open_scenario(Path(__file__).parent / "files_and_memory.yaml")
    for title, group in (("the machine is short", None), ("a group is full", "62 MiB")):
        say(f"| {title}: swappiness | file rounds/s | memory rounds/s | out | in | refaults |")
        say("|---|---|---|---|---|---|")
        for swappiness in (0, 1, 60, 100, 200):
            say(figures(source, swappiness, group))
        say("")
