"""``cowpool conform --spawn``: what starting a program costs parents of different size."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TextIO

from sim.base.limits import meminfo_bytes
from sim.base.units import GIB, MIB, PAGE_BYTES, format_bytes
from sim.host.compare import DIFFERENT as DIFFERENCE
from sim.host.compare import SAME
from sim.host.conditions import cannot_run, host_conditions
from sim.host.kernel import HostError
from sim.host.session import DIFFERENT, DONE, RUNS_UNTIL_BELIEVED, UNCHECKED
from sim.host.spawn.real import SpawnRunner
from sim.script.grammar import Verb
from sim.script.spawn import (
    NOMINAL_PARENT,
    NOMINAL_PROGRAM,
    Method,
    Spawn,
    SpawnedProgram,
    predict_spawns,
    some_touches,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from sim.program.image import ProgramImage, Touch

PARENT_BYTES: Final = (MIB, 16 * MIB, 256 * MIB, GIB)
HEADING: Final = (
    "# minor faults of the child (to its end), of the parent (until the child is reaped), and of "
    "the parent as it writes all its pages again\n"
)
SPAWNS: Final = 3
"""Spawns of each parent; what is shown is the last, the first having warmed up what is cold."""
_COUNTS: Final = ("child", "parent", "rewrite")


@dataclass(frozen=True, slots=True)
class Row:
    """One parent and one method: each spawn as predicted and, where it was run, as it happened."""

    parent_bytes: int
    method: Method
    predicted: Sequence[Spawn]
    real: Sequence[Spawn] | None

    @property
    def differences(self) -> list[str]:
        """Name the counts that differ in any of the spawns."""
        pairs = zip(self.predicted, self.real or (), strict=self.real is not None)
        return sorted(
            {name for p, r in pairs for name in _COUNTS if getattr(p, name) != getattr(r, name)}
        )

    def line(self, *, time: bool) -> str:
        """Return the row as it is printed: predicted, then the kernel's."""
        start = f"{format_bytes(self.parent_bytes):>8}  {self.method:<13}"
        left = f"{start} {_counts(self.predicted[-1], time)}"
        if self.real is None:
            return left
        sign = DIFFERENCE if self.differences else SAME
        right = f"{left:<80} {sign} {_counts(self.real[-1], time)}"
        return right + (f"  <- {', '.join(self.differences)}" if self.differences else "")

    def to_json(self) -> dict[str, Any]:
        """Return both sides as plain JSON values."""
        return {
            "parent_bytes": self.parent_bytes,
            "method": str(self.method),
            "predicted": [_values(spawn) for spawn in self.predicted],
            "kernel": None if self.real is None else [_values(spawn) for spawn in self.real],
            "differences": self.differences,
        }


def _counts(spawn: Spawn, time: bool) -> str:
    text = " ".join(f"{name}={getattr(spawn, name)}" for name in _COUNTS)
    return f"{text} ns={spawn.spawn_ns}" if time and spawn.spawn_ns is not None else text


def _values(spawn: Spawn) -> dict[str, int | None]:
    return {**{name: getattr(spawn, name) for name in _COUNTS}, "spawn_ns": spawn.spawn_ns}


def run_spawns(
    *,
    kernel: bool = False,
    prices: NDArray[np.int64] | None = None,
    as_json: bool = False,
    sizes: Sequence[int] = PARENT_BYTES,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Predict spawns, run them for real if asked, print both, and return the exit status.

    Without prices no times are printed.  0 done; 1 prediction and kernel differ; 3 the kernel could
    not be asked, the reason is on `err`.
    """
    out, err = out or sys.stdout, err or sys.stderr
    unchecked: list[str] = []
    with ExitStack() as stack:
        runner = None
        try:
            runner = stack.enter_context(SpawnRunner())
        except (HostError, OSError) as error:
            unchecked.append(str(error))
        if kernel and runner is not None:
            unchecked += _objections(err)
        table = _Table(runner, ask=kernel and not unchecked, prices=prices)
        rows = []
        if not as_json:
            out.write(HEADING)
        for size in sizes:
            if table.asks and size > meminfo_bytes("MemAvailable") // 4:
                unchecked.append(f"memory is short for a parent of {format_bytes(size)}")
                continue
            for method in Method:
                rows.append(table.row(size, method))
                if not as_json:
                    out.write(rows[-1].line(time=prices is not None) + "\n")
    differences = any(row.differences for row in rows)
    status = DIFFERENT if differences else UNCHECKED if kernel and unchecked else DONE
    if kernel:
        for reason in unchecked:
            err.write(f"unchecked: {reason}\n")
    if as_json:
        verdict = {DONE: "done", DIFFERENT: "different", UNCHECKED: "unchecked"}[status]
        document = {"schema_version": 1, "spawns": [r.to_json() for r in rows], "verdict": verdict}
        out.write(json.dumps(document, indent=1) + "\n")
    elif kernel and table.asks:
        err.write("the counts differ\n" if differences else "no difference\n")
    return status


def _objections(err: TextIO) -> list[str]:
    """Print what the kernel is like; return why its counts could not be relied upon."""
    conditions = host_conditions()
    for condition in conditions:
        err.write(f"{condition}\n")
    return [str(condition) for condition in conditions if Verb.FORK in condition.spoils]


class _Table:
    """Makes the rows."""

    def __init__(
        self, runner: SpawnRunner | None, *, ask: bool, prices: NDArray[np.int64] | None
    ) -> None:
        self._runner = runner
        self._prices = prices
        self.asks = ask and cannot_run() is None
        self._touches: tuple[Touch, ...] = some_touches(runner.image if runner else NOMINAL_PROGRAM)

    def row(self, parent_bytes: int, method: Method) -> Row:
        """Predict one parent and method; again for real, until a difference is believed."""
        pages = parent_bytes // PAGE_BYTES
        parent: ProgramImage = NOMINAL_PARENT
        touches = (*NOMINAL_PROGRAM.touches, *self._touches)
        program = SpawnedProgram(replace(NOMINAL_PROGRAM, touches=touches), 1)
        if self._runner is not None:
            parent = self._runner.parent
            program = self._runner.program(self._touches)
        predicted = predict_spawns(
            method, pages, program=program, parent=parent, spawns=SPAWNS, prices=self._prices
        )
        row = Row(parent_bytes, method, predicted, None)
        if self.asks and self._runner is not None:
            for _ in range(RUNS_UNTIL_BELIEVED):
                real = self._runner.run(method, pages, self._touches, spawns=SPAWNS)
                row = Row(parent_bytes, method, predicted, real)
                if not row.differences:
                    break
        return row
