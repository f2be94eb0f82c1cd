"""Prediction and real run of a script of malloc and free, side by side.

Compared are the minor faults of every operation but those that make or end processes and threads,
how it ended, and the figures of every heap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.host.compare import count_differences, side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sim.script.malloc.record import HeapRecord

EXACT: Final = frozenset({"glibc"})
"""The models whose every figure has to be right."""
WITHIN: Final = 0.01
NOTES_PAGES: Final = 12
"""Of the others, faults and RSS over a script have to be within 1 %, or a dozen pages a process."""


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
        return side_by_side(rows)

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

    `faults` are those compared, in `processes` processes; `rss` is that of every heap after every
    operation, `observations` figures in all, in pages.
    """

    faults: int
    real_faults: int
    rss: int
    real_rss: int
    processes: int
    observations: int

    def errors(self) -> tuple[float, float]:
        """Return by how much faults and RSS are wrong, as shares of the real ones."""
        return (
            abs(self.faults - self.real_faults) / max(1, self.real_faults),
            abs(self.rss - self.real_rss) / max(1, self.real_rss),
        )

    def within(self, share: float, pages: int) -> bool:
        """Whether faults and RSS are wrong by at most a share, or by so many pages a process."""
        faults, rss = self.errors()
        few_faults = abs(self.faults - self.real_faults) <= pages * self.processes
        few_pages = abs(self.rss - self.real_rss) <= pages * self.observations
        return (faults <= share or few_faults) and (rss <= share or few_pages)

    def __str__(self) -> str:
        faults, rss = self.errors()
        return (
            f"faults {self.faults} predicted, {self.real_faults} real ({faults:.2%}); "
            f"resident, on average, {self.rss / self.observations:.0f} and "
            f"{self.real_rss / self.observations:.0f} pages ({rss:.2%})"
        )


def compare(predicted: Iterable[HeapRecord], real: Sequence[HeapRecord]) -> list[Comparison]:
    """Pair the records of one script, operation by operation."""
    return [Comparison(ours, theirs) for ours, theirs in zip(predicted, real, strict=True)]


def totals(comparisons: Sequence[Comparison]) -> Totals:
    """Return sums over the comparisons of one script."""
    faults = real_faults = rss = real_rss = observations = 0
    names = set()
    for c in comparisons:
        if c.predicted.is_counted:
            faults += c.predicted.minflt
            real_faults += c.real.minflt
        for ours, theirs in zip(c.predicted.figures, c.real.figures, strict=True):
            rss += ours.rss
            real_rss += theirs.rss
            observations += 1
            names.add(ours.process)
    return Totals(faults, real_faults, rss, real_rss, len(names), observations)


def agree(comparisons: Sequence[Comparison], library: str) -> bool:
    """Whether prediction and real run agree as well as the model of `library` claims to."""
    if library in EXACT:
        return not count_differences(comparisons)
    return totals(comparisons).within(WITHIN, NOTES_PAGES)
