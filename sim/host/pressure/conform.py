"""`cowpool conform --pressure`: random scripts that need swap, predicted, and run for real."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TextIO

from sim.host.conditions import group_conditions
from sim.host.pressure.real import touch_really
from sim.host.pressure.zram import swap_in_memory, why_not
from sim.host.session import DIFFERENT, DONE, UNCHECKED, Session
from sim.script.pressure import random_script, touch_pages

if TYPE_CHECKING:
    from sim.script.pressure import PressureScript, Touches

TRIES: Final = 3
"""Runs of a script until one is as predicted.

Every two seconds the kernel flushes the statistics that it reclaims by, and what it counts it
counts for the whole machine: a run in which either happened differs from the next one.
"""
ALSO_OTHERS: Final = ("pgactivate", "pgdeactivate")
"""What every program on the machine adds to, by using files: here more of it proves nothing."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A script, its prediction, and how far the closest of its `tries` was from it.

    `pages` are in memory on one side only, over all maps, None where nothing could be compared;
    `counts` are the names that differ.
    """

    name: str
    script: PressureScript
    predicted: Touches
    tries: int = 0
    pages: int | None = None
    counts: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether a run was exactly as predicted."""
        return self.pages == 0 and not self.counts

    @property
    def swaps(self) -> bool:
        """Whether anything is to be swapped out: a script that fits says little."""
        return any(counted["pswpout"] for counted in self.predicted.counts)

    def distance(self) -> tuple[int, int]:
        """Return how far the run was from what was predicted."""
        return self.pages or 0, len(self.counts)

    def line(self) -> str:
        """Return it as it is printed."""
        total = {
            name: sum(counted[name] for counted in self.predicted.counts)
            for name in ("pswpout", "pswpin", "pgscan_anon", "major")
        }
        told = " ".join(f"{name}={n}" for name, n in total.items())
        if self.predicted.killed is not None:
            told += f" killed at step {self.predicted.killed}"
        start = f"{self.name} limit={self.script.limit_pages} swappiness={self.script.swappiness}"
        if self.tries == 0:
            return f"{start} {told}"
        if self.holds:
            return f"{start} {told} equal, try {self.tries}"
        if self.pages is None:
            return f"{start} {told} DIFFERENT: killed elsewhere, or not at all"
        other = f", {' '.join(self.counts)}" if self.counts else ""
        return f"{start} {told} DIFFERENT: {self.pages} pages{other}"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "limit_pages": self.script.limit_pages,
            "swappiness": self.script.swappiness,
            "counts": self.predicted.counts,
            "killed_at_step": self.predicted.killed,
            "resident": [int(resident.sum()) for resident in self.predicted.resident],
            "tries": self.tries,
            "different_pages": self.pages,
            "different_counts": list(self.counts),
        }


def run_pressure_conform(
    *,
    kernel: bool = False,
    random: int,
    seed: int,
    as_json: bool = False,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Draw scripts, predict them, compare if asked, and return the exit status.

    The status is that of `sim.host.conform.run_conform`: 1 if any script differs in all its tries.
    """
    session = _Session(as_json, out, err)
    with ExitStack() as stack:
        if kernel and session.find_kernel():
            stack.enter_context(swap_in_memory())
        status = session.random(random, seed)
    session.finish(status)
    return status


def compare(name: str, script: PressureScript, *, kernel: bool) -> Compared:
    """Predict a script, and carry it out until a run is as predicted; swap is on."""
    limit, swappiness = script.limit_pages, script.swappiness
    predicted = touch_pages(script.steps, limit_pages=limit, swappiness=swappiness)
    if not kernel:
        return Compared(name, script, predicted)
    closest = killed = None
    for number in range(1, TRIES + 1):
        real = touch_really(script.steps, limit_pages=limit, swappiness=swappiness)
        if predicted.killed != real.killed:
            killed = Compared(name, script, predicted, number, None, ("killed",))
            continue
        pairs = zip(predicted.resident, real.resident, strict=True)
        pages = sum(int((mine != theirs).sum()) for mine, theirs in pairs)
        counts = {
            key
            for mine, theirs in zip(predicted.counts, real.counts, strict=True)
            for key in theirs
            if mine[key] != theirs[key] and not (key in ALSO_OTHERS and mine[key] < theirs[key])
        }
        found = Compared(name, script, predicted, number, pages, tuple(sorted(counts)))
        if found.holds:
            return found
        closest = found if closest is None else min(closest, found, key=Compared.distance)
    found_worst = closest or killed
    assert found_worst is not None
    return found_worst


class _Session(Session):
    """One invocation of the command."""

    def __init__(self, as_json: bool, out: TextIO | None, err: TextIO | None) -> None:
        super().__init__(as_json, out, err)
        self._asked = self._usable = False

    def _subject(self) -> dict[str, Any]:
        return {"pressure": True}

    def find_kernel(self) -> bool:
        """Print what the kernel is like; say whether it can be asked."""
        self._asked = True
        if reason := why_not():
            self._say(f"unchecked: {reason}")
            return False
        self._conditions = group_conditions()
        for condition in self._conditions:
            self._say(str(condition))
        self._usable = True
        return True

    def random(self, count: int, seed: int) -> int:
        """Draw, predict and check `count` scripts, a line each; return the status."""
        held = first = swapping = 0
        for index in range(count):
            script = random_script(seed, index)
            name = f"script {index} of seed {seed}"
            found = compare(name, script, kernel=self._usable)
            held += found.holds
            swapping += found.swaps
            first += found.holds and found.tries == 1
            self._write(f"{found.line()}\n")
            self._keep(name, **found.to_json())
        told = f"{count} scripts of seed {seed}, {swapping} of which swap"
        if not self._usable:
            self._write(f"{told}: predicted, unchecked\n")
            return UNCHECKED if self._asked else DONE
        self._write(f"{told}: {held} equal, {first} at the first try\n")
        return DONE if held == count else DIFFERENT
