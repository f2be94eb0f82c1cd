"""Prediction and kernel side by side.

Compared are the minor faults of reads and writes, how each operation ended, and every figure of
every region; the faults of other calls are the driver's own as well, and are not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from sim.script.record import COUNTS, KILLED, Figures, OpRecord, together

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

SAME: Final = "|"
DIFFERENT: Final = "!"


def side_by_side(rows: Sequence[tuple[str, str, Collection[str]]]) -> list[str]:
    """Return lines of two columns; the third item of a row names what differs in it."""
    width = max(len(left) for left, _, _ in rows)
    return [
        f"{left:<{width}}  {DIFFERENT if marked else SAME} {right}"
        + (f"  <- {', '.join(sorted(name.split()[-1] for name in marked))}" if marked else "")
        for left, right, marked in rows
    ]


@dataclass(frozen=True, slots=True)
class Band:
    """What is claimed of random scripts: which share is exact, and how many figures others miss."""

    exact: float = 1.0
    close: int = 0

    def holds(self, differences: Sequence[int]) -> bool:
        """Whether scripts with so many differences each are as claimed; of few, one may be inexact.

        >>> Band(0.9, 2).holds([0, 0, 2]), Band(0.9, 2).holds([0, 2, 2]), Band().holds([0, 1])
        (True, False, False)
        """
        inexact = sum(number > 0 for number in differences)
        most = max(self.close and 1, round((1 - self.exact) * len(differences)))
        return inexact <= most and all(number <= self.close for number in differences)


EQUAL: Final = Band()
IN_GROUP: Final = Band(exact=0.9, close=1)
"""Of scripts in a control group; where one is not exact a page was missed, or a batch of 64."""


class Compared(Protocol):
    """Anything that knows what differs in it."""

    @property
    def differences(self) -> list[str]:
        """The names of what differs."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One operation as predicted and as it happened.

    `off_pages` is how far off the usage of its group was before it: a page that was missed once is
    missed ever after, and is one difference.
    """

    predicted: OpRecord
    real: OpRecord
    off_pages: int = 0

    @property
    def faults_are_compared(self) -> bool:
        """Whether the faults of the operation are a function of the script."""
        operation = self.predicted.operation
        unsure = (operation.process, operation.region) in self.predicted.unsure
        killed = KILLED in (self.predicted.ending, self.real.ending)  # it cannot tell any more
        return self.predicted.is_touch and not unsure and not killed

    @property
    def differences(self) -> list[str]:
        """Name what differs: `minflt`, `majflt`, `ending`, or a figure such as ``P A rss``."""
        return [name for name, (ours, theirs) in self._values().items() if ours != theirs]

    def _values(self) -> dict[str, tuple[object, object]]:
        values: dict[str, tuple[object, object]] = {}
        if self.faults_are_compared:
            values["minflt"] = self.predicted.minflt, self.real.minflt
            values["majflt"] = self.predicted.majflt, self.real.majflt
        values["ending"] = self.predicted.ending, self.real.ending
        if self.predicted.usage_sure:
            values["usage"] = self.off_pages, _off_pages(self.predicted, self.real)
        values["killed"] = self.predicted.killed, self.real.killed
        for ours, theirs in self._regions():
            whose = ours or theirs
            assert whose is not None
            if (whose.process, whose.region) in self.predicted.unsure:
                continue
            if ours is None or theirs is None:
                values[f"{whose.process} {whose.region}"] = ours is None, theirs is None
                continue
            start = f"{whose.process} {whose.region}"
            values[f"{start} joined"] = ours.joined, theirs.joined
            for name in COUNTS:
                values[f"{start} {name}"] = (
                    self._predicted_count(ours, name, theirs),
                    getattr(theirs, name),
                )
        return values

    def _predicted_count(self, ours: Figures, name: str, theirs: Figures) -> int:
        """Return what the kernel's count stands for: that of one region, or of all joined ones."""
        if name not in theirs.summed:
            return int(getattr(ours, name))
        return together(self.predicted.figures, replace(ours, joined=theirs.joined), name)

    def _regions(self) -> list[tuple[Figures | None, Figures | None]]:
        ours = {(f.process, f.region): f for f in self.predicted.figures}
        theirs = {(f.process, f.region): f for f in self.real.figures}
        return [(ours.get(key), theirs.get(key)) for key in dict.fromkeys([*ours, *theirs])]

    def lines(self) -> list[str]:
        """Return the operation's lines: predicted left, the kernel's right, `!` where they differ.

        Each line begins as it does without a kernel.
        """
        different = self.differences
        real = ["minflt=-"]
        if self.faults_are_compared:
            real = [f"minflt={self.real.minflt}"]
            if self.predicted.majflt or self.real.majflt:
                real.append(f"majflt={self.real.majflt}")
        elif self.predicted.is_touch:
            real = [f"minflt=({self.real.minflt})", f"majflt=({self.real.majflt})"]
        if self.real.ns is not None and self.predicted.ns is not None:
            real.append(f"ns={self.real.ns}")
        if self.real.ending:
            real.append(f"ending={self.real.ending}")
        real += replace(self.real, usage_sure=self.predicted.usage_sure).group_words()
        rows = [
            (
                self.predicted.headline(),
                " ".join(real),
                {"minflt", "majflt", "ending", "usage", "killed"} & {*different},
            )
        ]
        for ours, theirs in self._regions():
            whose = ours or theirs
            assert whose is not None
            start = f"{whose.process} {whose.region}"
            marked = {name for name in different if name == start or name.startswith(start + " ")}
            rows.append((_side(ours, start), _side(theirs, "").strip(), marked))
        return side_by_side(rows)

    def to_json(self) -> dict[str, Any]:
        """Return both sides and the names of what differs, as plain JSON values."""
        return {
            "operation": str(self.predicted.operation),
            "predicted": self.predicted.to_json(),
            "kernel": self.real.to_json(),
            "differences": self.differences,
        }


def _side(figures: Figures | None, start: str) -> str:
    if figures is None:
        return f"  {start} no such region"
    if start:
        return str(figures)
    return figures.counts_text()


def compare(predicted: Iterable[OpRecord], real: Sequence[OpRecord]) -> list[Comparison]:
    """Pair the records of one script, operation by operation."""
    comparisons = []
    off_pages = 0
    for ours, theirs in zip(predicted, real, strict=True):
        comparisons.append(Comparison(ours, theirs, off_pages))
        off_pages = _off_pages(ours, theirs)
    return comparisons


def _off_pages(ours: OpRecord, theirs: OpRecord) -> int:
    return (theirs.usage or 0) - (ours.usage or 0)


def count_differences(comparisons: Iterable[Compared]) -> int:
    """Return how many figures differ."""
    return sum(len(comparison.differences) for comparison in comparisons)
