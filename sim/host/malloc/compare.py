"""Prediction and real run of a script of malloc and free, side by side.

Compared are the minor faults of every operation but those that make or end processes and threads,
how it ended, and the figures of every heap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sim.host.malloc.record import HeapRecord

SAME: Final = "|"
DIFFERENT: Final = "!"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One operation as predicted and as it happened."""

    predicted: HeapRecord
    real: HeapRecord

    @property
    def differences(self) -> list[str]:
        """Name what differs: `minflt`, `ending`, or a figure such as ``P rss``."""
        ours, theirs = self.predicted, self.real
        found = []
        if ours.is_counted and ours.minflt != theirs.minflt:
            found.append("minflt")
        if ours.ending != theirs.ending:
            found.append("ending")
        for mine, other in zip(ours.figures, theirs.figures, strict=True):
            found += [
                f"{mine.process} {name}"
                for name in ("rss", "size")
                if getattr(mine, name) != getattr(other, name)
            ]
        return found

    def lines(self) -> list[str]:
        """Return the operation's lines: predicted left, real right, `!` where they differ."""
        differences = self.differences
        minflt = f"minflt={self.real.minflt}" if self.predicted.is_counted else "minflt=-"
        ending = f" ending={self.real.ending}" if self.real.ending else ""
        rows = [(self.predicted.headline(), minflt + ending, {"minflt", "ending"} & {*differences})]
        for ours, theirs in zip(self.predicted.figures, self.real.figures, strict=True):
            marked = {name for name in differences if name.startswith(f"{ours.process} ")}
            rows.append((str(ours), f"rss={theirs.rss} size={theirs.size}", marked))
        width = max(len(left) for left, _, _ in rows)
        return [
            f"{left:<{width}}  {DIFFERENT if marked else SAME} {right}"
            + (f"  <- {', '.join(sorted(name.split()[-1] for name in marked))}" if marked else "")
            for left, right, marked in rows
        ]

    def to_json(self) -> dict[str, Any]:
        """Return both sides and the names of what differs, as plain JSON values."""
        return {
            "operation": str(self.predicted.operation),
            "predicted": self.predicted.to_json(),
            "kernel": self.real.to_json(),
            "differences": self.differences,
        }


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a script, predicted and real.

    `faults` are those compared; `rss` is that of every heap after every operation, in pages.
    """

    faults: int
    real_faults: int
    rss: int
    real_rss: int

    def errors(self) -> tuple[float, float]:
        """Return by how much faults and RSS are wrong, as shares of the real ones."""
        return (
            abs(self.faults - self.real_faults) / max(1, self.real_faults),
            abs(self.rss - self.real_rss) / max(1, self.real_rss),
        )


def compare(predicted: Iterable[HeapRecord], real: Sequence[HeapRecord]) -> list[Comparison]:
    """Pair the records of one script, operation by operation."""
    return [Comparison(ours, theirs) for ours, theirs in zip(predicted, real, strict=True)]


def count_differences(comparisons: Iterable[Comparison]) -> int:
    """Return how many figures differ."""
    return sum(len(comparison.differences) for comparison in comparisons)


def totals(comparisons: Iterable[Comparison]) -> Totals:
    """Return sums over comparisons."""
    faults = real_faults = rss = real_rss = 0
    for c in comparisons:
        if c.predicted.is_counted:
            faults += c.predicted.minflt
            real_faults += c.real.minflt
        rss += sum(f.rss for f in c.predicted.figures)
        real_rss += sum(f.rss for f in c.real.figures)
    return Totals(faults, real_faults, rss, real_rss)
