"""Has a change made the simulator slower?  Two commits, timed in turn.

    .venv/bin/python benchmarks/pairs.py COMMIT [--pairs 20] [--case NAME ...]

Times each case of `cases.py` here and in a checkout of COMMIT, one after the other and each first
every second time, in two processes that live through all of it.  Prints the median of the ratios
(here / there, of faults a second of CPU time: above 1 is faster here), its distribution-free
interval at 95 %, and both rates.  Each side times its own version of a case, with the packages
installed here.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import IO

from scipy.stats import binom

HERE = Path(__file__).resolve().parent.parent
CASES = ("zero_fill", "random_copies", "two_fill", "two_of_a_family")
WORKER = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/benchmarks"]
import cases, time
cases.perf_counter = time.process_time
for line in sys.stdin:
    print(getattr(cases, line.strip())(cases.system_of(12 << 30, 2)).per_second, flush=True)
"""


class Side:
    """A process that times the cases of one checkout."""

    def __init__(self, tree: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tree)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tree,
            env=os.environ | {"PYTHONSAFEPATH": "1"},
        )

    def per_second(self, case: str) -> float:
        """Time a case once; return faults a second."""
        asked, answers = _pipes(self._process)
        asked.write(case + "\n")
        asked.flush()
        return float(answers.readline())

    def end(self) -> None:
        """Let the process end."""
        self._process.communicate()


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Lay out a commit's files in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(
            ["git", "worktree", "add", "--detach", "--quiet", str(tree), commit],
            cwd=HERE,
            check=True,
        )
        try:
            yield tree
        finally:
            subprocess.run(
                ["git", "worktree", "remove", "--force", str(tree)], cwd=HERE, check=True
            )


def interval(ratios: list[float]) -> tuple[float, float]:
    """Return order statistics that enclose the median with at least 95 % confidence."""
    ordered = sorted(ratios)
    n = len(ordered)
    below = max(int(binom.ppf(0.025, n, 0.5)) - 1, 0)
    return ordered[below], ordered[n - 1 - below]


def main() -> None:
    """Time pairs and print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("commit")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--case", action="append", dest="cases", metavar="NAME")
    asked = parser.parse_args()
    with checkout(asked.commit) as there:
        sides = (Side(HERE), Side(there))
        for case in asked.cases or CASES:
            for side in sides:
                side.per_second(case)  # compiled code is loaded, memory is warm
            rates: tuple[list[float], list[float]] = ([], [])
            for pair in range(asked.pairs):
                for which in (0, 1) if pair % 2 == 0 else (1, 0):
                    rates[which].append(sides[which].per_second(case))
            ratios = [a / b for a, b in zip(*rates, strict=True)]
            low, high = interval(ratios)
            print(
                f"{case:16} {median(ratios):.3f} ({low:.3f} to {high:.3f}, {asked.pairs} pairs)"
                f"   {median(rates[0]) / 1e6:.2f} for {median(rates[1]) / 1e6:.2f} M/s",
                flush=True,
            )
        for side in sides:
            side.end()


if __name__ == "__main__":
    main()
