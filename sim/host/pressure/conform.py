"""`cowpool conform --pressure`: scripts that need swap, predicted, and run for real."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from sim.base.files import write_file
from sim.host.conditions import group_conditions
from sim.host.pressure.compare import compare
from sim.host.pressure.swap import swap_on, why_not
from sim.host.session import DIFFERENT, DONE, UNCHECKED, Session, require_work, worst
from sim.script.pressure.grammar import load_pressure_script
from sim.script.pressure.random import random_script
from sim.script.pressure.shrink import shrink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.script.pressure.grammar import PressureScript

SHRINKING_RUNS: Final = 80


def run_pressure_conform(
    paths: Sequence[str | Path] = (),
    *,
    kernel: bool = False,
    random: int | None = None,
    seed: int | None = None,
    as_json: bool = False,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Predict scripts, compare if asked, and return the exit status.

    The parameters and the status are those of `sim.host.conform.run_conform`: 1 if any script
    differs in all its tries.  Raises `ScenarioError` if a script cannot be read.
    """
    require_work(paths, random, seed)
    session = _Session(as_json, out, err)
    scripts = [(str(path), load_pressure_script(path)) for path in paths]
    with ExitStack() as stack:
        if kernel and session.find_kernel():
            stack.enter_context(swap_on())
        statuses = [session.script(name, script) for name, script in scripts]
        if random is not None and seed is not None:
            statuses.append(session.random(random, seed))
    status = worst(statuses)
    session.finish(status)
    return status


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

    def script(self, name: str, script: PressureScript) -> int:
        """Predict one script, and check it if asked, a line for each of its; return its status."""
        found = compare(name, script, kernel=self._usable)
        self._write(f"{found.line()}\n")
        for line in found.steps():
            self._write(f"{line}\n")
        self._keep(name, **found.to_json())
        if not self._usable:
            return UNCHECKED if self._asked else DONE
        return DONE if found.holds else DIFFERENT

    def random(self, count: int, seed: int) -> int:
        """Draw, predict and check `count` scripts, a line each; return the status.

        The first that differs is made shorter and kept.
        """
        held = first = swapping = forking = 0
        wrong = None
        for index in range(count):
            script = random_script(seed, index)
            name = f"script {index} of seed {seed}"
            found = compare(name, script, kernel=self._usable)
            held += found.holds
            swapping += found.swaps
            forking += found.swaps and len(script.processes) > 1
            first += found.holds and found.tries == 1
            self._write(f"{found.line()}\n")
            self._keep(name, **found.to_json())
            if self._usable and not found.holds and wrong is None:
                wrong = index, script
        told = f"{count} scripts of seed {seed}, {swapping} of which swap, {forking} with children"
        if not self._usable:
            self._write(f"{told}: predicted, unchecked\n")
            return UNCHECKED if self._asked else DONE
        self._write(f"{told}: {held} equal, {first} at the first try\n")
        if wrong is not None:
            self._report_failure(*wrong, seed)
        return DONE if held == count else DIFFERENT

    def _report_failure(self, index: int, script: PressureScript, seed: int) -> None:
        self._say(f"script {index} of seed {seed} differs; looking for its shortest form")
        shortest = shrink(
            script, lambda shorter: not compare("", shorter, kernel=True).holds, SHRINKING_RUNS
        )
        path = Path(f"pressure-{seed}-{index}.txt")
        write_file(path, str(shortest))
        self._write(f"repeat it with: cowpool conform --pressure {path} --kernel\n")
