"""Print the table of README.md, from runs of save.yaml.

python experiments/011_save_begins_to_swap/figures.py
"""

import sys
from pathlib import Path

from sim.base.units import format_duration
from sim.engine.run import simulate
from sim.scenario.resolve import open_scenario

HOSTS = {
    "4 GiB, enough": {"host.memory": "4 GiB", "host.swap": 0},
    "1365 MiB, no swap": {"host.swap": 0},
    "1365 MiB, swap on nvme": {"host.swap.device": "nvme"},
    "1365 MiB, swap on ssd": {"host.swap.device": "ssd"},
    "1365 MiB, swap on disk": {"host.swap.device": "disk"},
}


def say(*parts):
    """Print a line of the table, as soon as it is known."""
    sys.stdout.write(" ".join(parts) + "\n")
    sys.stdout.flush()


def row(name, document):
    """Return a line of the table."""
    saved = [mark["t_ns"] for mark in document["marks"] if mark["kind"].startswith("save_")]
    save = f"{(saved[1] - saved[0]) / 1e9:.1f} s" if len(saved) == 2 else "did not end"
    if document["kills"]:
        save = f"killed after {(document['kills'][0]['t_ns'] - saved[0]) / 1e9:.1f} s"
    latency = document["metrics"]["request_latency_ns"]
    killed = ", ".join(kill["process"] for kill in document["kills"]) or "nobody"
    swap = document.get("swap", {"peak_bytes": 0})["peak_bytes"] / 2**20
    return (
        f"| {name} | {killed} | {save} | {swap:.0f} MiB | "
        + " | ".join(format_duration(latency[which]) for which in ("p50", "p99", "max"))
        + " |"
    )


if __name__ == "__main__":
    source = open_scenario(Path(__file__).parent / "save.yaml")
    say("| host | killed | save took | on swap at most | request, p50 | p99 | slowest |")
    say("|---|---|---|---|---|---|---|")
    for name, how in HOSTS.items():
        say(row(name, simulate(source.resolved(how), seed=1).to_json()))
