"""`cowpool conform --malloc`: predict scripts of malloc and free, and run them for real."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from sim.base.files import write_file
from sim.base.limits import meminfo_bytes
from sim.base.units import format_bytes
from sim.host.compare import count_differences
from sim.host.conditions import EVERY_VERB, cannot_run, host_conditions
from sim.host.kernel import HostError
from sim.host.malloc.compare import EXACT, agree, compare, totals
from sim.host.malloc.real import library_path, run_script
from sim.host.session import (
    DIFFERENT,
    DONE,
    RUNS_UNTIL_BELIEVED,
    UNCHECKED,
    Session,
    require_work,
    verdict,
    worst,
)
from sim.script.malloc.grammar import Verb, format_script, load_script
from sim.script.malloc.predict import predict
from sim.script.malloc.random import LARGER_SIZES, random_script, script_generator, shrink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.host.malloc.compare import Comparison
    from sim.script.malloc.grammar import Operation
    from sim.script.malloc.record import HeapRecord

GLIBC_OF_MODEL: Final = "2.36"


def run_malloc_conform(
    paths: Sequence[str | Path],
    library: str,
    *,
    kernel: bool = False,
    random: int | None = None,
    seed: int | None = None,
    as_json: bool = False,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Predict scripts, compare them with the real library if asked, and return the exit status.

    The parameters and the status are those of `sim.host.conform.run_conform`; `library` is what
    is modelled, and run: a name of `sim.alloc.models.MODELS`.

    Raises `ScenarioError` if a script cannot be read or is not valid.
    """
    require_work(paths, random, seed)
    session = _Session(library, kernel, as_json, out, err)
    scripts = [(str(path), load_script(path)) for path in paths]
    if kernel:
        session.find_library()
    statuses = [session.script(name, script) for name, script in scripts]
    if random is not None and seed is not None:
        statuses.append(session.random(random, seed))
    status = worst(statuses)
    session.finish(status)
    return status


class _Session(Session):
    """One invocation of the command."""

    def __init__(
        self, library: str, kernel: bool, as_json: bool, out: TextIO | None, err: TextIO | None
    ) -> None:
        super().__init__(as_json, out, err)
        self._library = library
        self._asked = kernel
        self._usable = False

    def find_library(self) -> None:
        """Print what kernel and library are like, and whether scripts can be run with them."""
        reason = cannot_run()
        if reason is None:
            try:
                path = library_path(self._library)
            except HostError as error:
                reason = str(error)
        if reason is not None:
            self._say(f"unchecked: {reason}")
            return
        self._conditions = host_conditions()
        for condition in self._conditions:
            self._say(str(condition))
        if path is None:
            version = (os.confstr("CS_GNU_LIBC_VERSION") or "").removeprefix("glibc ")
            note = "" if version == GLIBC_OF_MODEL else f" (the model is of {GLIBC_OF_MODEL})"
            self._say(f"malloc: glibc {version}{note}")
        else:
            self._say(f"malloc: {path}")
        self._usable = True

    def script(self, name: str, script: list[Operation]) -> int:
        """Predict one script, and check it if asked; return its status."""
        predicted = predict(script, self._library)
        objection = self._objection(script)
        if objection is not None:
            if objection:
                self._say(f"{name}: unchecked: {objection}")
            self._write("".join(f"{record}\n" for record in predicted))
            self._keep(
                name,
                operations=[
                    {"operation": str(record.operation), "predicted": record.to_json()}
                    for record in predicted
                ],
            )
            return UNCHECKED if self._asked else DONE
        comparisons = self._compare(script, predicted)
        self._write("".join(f"{line}\n" for c in comparisons for line in c.lines()))
        self._keep(name, operations=[c.to_json() for c in comparisons])
        same = agree(comparisons, self._library)
        if self._library in EXACT:
            differences = count_differences(comparisons)
            self._say(f"{name}: {verdict(differences)}")
        else:
            word = "agrees" if same else "differs"
            self._say(f"{name}: {word}: {totals(comparisons)}")
        return DONE if same else DIFFERENT

    def random(self, count: int, seed: int) -> int:
        """Draw, predict and check `count` scripts; stop at the first that differs."""
        operations = 0
        status = DONE
        for index in range(count):
            script = draw(seed, index, self._library)
            predicted = predict(script, self._library)
            operations += len(script)
            objection = self._objection(script)
            if objection is not None:
                if objection:
                    self._say(f"script {index} of seed {seed}: unchecked: {objection}")
                status = UNCHECKED if self._asked else DONE
            elif not agree(self._compare(script, predicted), self._library):
                self._report_failure(script, seed, index)
                return DIFFERENT
        exact = "checked, no difference" if self._library in EXACT else "checked, all agree"
        checked = exact if self._usable else "predicted, unchecked"
        self._write(f"{count} scripts of seed {seed}, {operations} operations: {checked}\n")
        self._keep(f"random, seed {seed}", scripts=count, operations_checked=operations)
        return status

    def _subject(self) -> dict[str, Any]:
        return {"malloc": self._library}

    def _objection(self, script: Sequence[Operation]) -> str | None:
        """Return why a script is not run for real ("": it was said before), ``None`` if it is."""
        if not self._usable:
            return ""
        for condition in self._conditions:
            if condition.spoils >= EVERY_VERB:
                return str(condition)
        needed, available = _bytes_needed(script), meminfo_bytes("MemAvailable")
        if needed > available // 2:
            return f"memory: the script may touch {format_bytes(needed)}, too much for this host"
        return None

    def _compare(
        self, script: list[Operation], predicted: Sequence[HeapRecord]
    ) -> list[Comparison]:
        """Run the script for real; again while it differs, until the difference is believed."""
        comparisons: list[Comparison] = []
        for _ in range(RUNS_UNTIL_BELIEVED):
            comparisons = compare(predicted, run_script(script, self._library))
            if agree(comparisons, self._library):
                break
        return comparisons

    def _report_failure(self, script: list[Operation], seed: int, index: int) -> None:
        self._say(f"script {index} of seed {seed} differs; looking for its shortest form")
        shortest = shrink(script, self._differs)
        path = Path(f"malloc-{self._library}-{seed}-{index}.txt")
        write_file(path, format_script(shortest))
        self.script(str(path), shortest)
        again = f"cowpool conform --malloc {self._library} {path} --kernel"
        self._write(f"repeat it with: {again}\n")

    def _differs(self, script: list[Operation]) -> bool:
        return not agree(self._compare(script, predict(script, self._library)), self._library)


def draw(seed: int, index: int, library: str) -> list[Operation]:
    """Return random script `index` of a seed, of what the model of `library` has."""
    rng = script_generator(seed, index)
    if library in EXACT:
        return random_script(rng)
    return random_script(rng, threads=False, sizes=LARGER_SIZES)


def _bytes_needed(script: Sequence[Operation]) -> int:
    """Return a bound on the memory that `script` can touch: each allocation in each process."""
    making = (Verb.MALLOC, Verb.CALLOC, Verb.REALLOC)
    asked = sum(operation.end for operation in script if operation.verb in making)
    return asked * (1 + sum(operation.verb is Verb.FORK for operation in script))
