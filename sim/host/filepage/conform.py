"""`cowpool conform --filepage`: scripts of reads under a limit, predicted, and run for real."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from sim.base.files import write_file
from sim.base.units import PAGE_BYTES
from sim.host.conditions import group_conditions
from sim.host.filepage.compare import BAND, compare, ranges
from sim.host.filepage.real import FileReader, why_not
from sim.host.kernel import HostError
from sim.host.session import (
    DIFFERENT,
    DONE,
    UNCHECKED,
    Session,
    require_work,
    worst,
)
from sim.script.fewest import fewest
from sim.script.filepage.grammar import PageScript, load_page_script
from sim.script.filepage.random import FILES, random_page_script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.host.filepage.compare import Compared
    from sim.script.filepage.grammar import Line

DEFAULT_LIMIT: Final = (64 << 20) // PAGE_BYTES
"""Of scripts that are named, where nothing is said: 64 MiB."""
SHRINKING_RUNS: Final = 60


def run_filepage_conform(
    paths: Sequence[str | Path],
    *,
    kernel: bool = False,
    random: int | None = None,
    seed: int | None = None,
    limit_pages: int | None = None,
    as_json: bool = False,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Predict which pages stay in the page cache, compare if asked, and return the exit status.

    The parameters and the status are those of `sim.host.conform.run_conform`.  Of random scripts
    one in ten may be off by two pages.  Raises `ScenarioError` if a script cannot be read.
    """
    require_work(paths, random, seed)
    session = _Session(as_json, out, err)
    scripts = [(str(path), load_page_script(path)) for path in paths]
    if kernel:
        session.find_kernel()
    statuses = [
        session.script(name, script, limit_pages or DEFAULT_LIMIT) for name, script in scripts
    ]
    if random is not None and seed is not None:
        statuses.append(session.random(random, seed, limit_pages))
    status = worst(statuses)
    session.finish(status)
    return status


class _Session(Session):
    """One invocation of the command."""

    def __init__(self, as_json: bool, out: TextIO | None, err: TextIO | None) -> None:
        super().__init__(as_json, out, err)
        self._asked = self._usable = False

    def _subject(self) -> dict[str, Any]:
        return {"filepage": True}

    def find_kernel(self) -> None:
        """Print what the kernel is like, and whether it can be asked."""
        self._asked = True
        if reason := why_not():
            self._say(f"unchecked: {reason}")
            return
        self._conditions = group_conditions()
        for condition in self._conditions:
            self._say(str(condition))
        self._usable = True

    def script(self, name: str, script: PageScript, limit_pages: int) -> int:
        """Predict one script, and check it if asked; return its status."""
        found = self._compare(name, script, limit_pages)
        self._write(f"{found.line()}\n")
        for line in _maps(script, found):
            self._write(f"{line}\n")
        self._keep(name, **found.to_json())
        if found.real is None:
            return UNCHECKED if self._asked else DONE
        self._say(f"{name}: {found.different} pages differ")
        return DIFFERENT if found.different else DONE

    def random(self, count: int, seed: int, limit_pages: int | None) -> int:
        """Draw, predict and check `count` scripts, a line each; show the first that is far off."""
        results = []
        far = None
        for index in range(count):
            script, limit = random_page_script(seed, index)
            limit = limit_pages or limit
            found = self._compare(f"script {index} of seed {seed}", script, limit)
            results.append(found)
            self._write(f"{found.line()}\n")
            self._keep(found.name, **found.to_json())
            if found.different > BAND.close and far is None:
                far = index, script, limit
        if not self._usable:
            self._write(f"{count} scripts of seed {seed}: predicted, unchecked\n")
            return UNCHECKED if self._asked else DONE
        exact = sum(found.different == 0 for found in results)
        close = sum(0 < found.different <= BAND.close for found in results)
        told = f"{count} scripts of seed {seed}: {exact} exact, {close} within {BAND.close} pages"
        self._write(f"{told}, {count - exact - close} not\n")
        if far is not None:
            self._report_failure(*far, seed)
        return DONE if BAND.holds([found.different for found in results]) else DIFFERENT

    def _compare(self, name: str, script: PageScript, limit_pages: int) -> Compared:
        with ExitStack() as stack:
            reader = None
            if self._usable:
                try:
                    reader = stack.enter_context(FileReader(script.pages))
                except HostError as error:
                    self._say(f"{name}: unchecked: {error}")
                    self._usable = False
            return compare(reader, name, script, limit_pages)

    def _report_failure(self, index: int, script: PageScript, limit: int, seed: int) -> None:
        self._say(f"script {index} of seed {seed} differs; looking for its shortest form")

        def fails(lines: list[Line]) -> bool:
            shorter = PageScript(script.files, tuple(lines))
            return self._compare("", shorter, limit).different > BAND.close

        lines = fewest(list(script.lines), fails, SHRINKING_RUNS)
        path = Path(f"filepage-{seed}-{index}.txt")
        write_file(path, str(PageScript(dict(FILES), tuple(lines))))
        group = f"{limit * PAGE_BYTES // 1024}K"
        again = f"cowpool conform --filepage {path} --group {group} --kernel"
        self._write(f"repeat it with: {again}\n")


def _maps(script: PageScript, found: Compared) -> list[str]:
    """Return a line for each map and file: which pages are there, and which differ."""
    lines = []
    for number, row in enumerate(found.predicted.resident):
        for at, (name, pages) in enumerate(zip(script.files, row, strict=True)):
            told = " ".join(f"{first}-{end}" for first, end in ranges(pages)) or "none"
            line = f"  map {number + 1} {name} {int(pages.sum())}: {told}"
            if found.real is not None:
                wrong = ranges(pages != found.real.resident[number][at])
                line += "".join(f" !{first}-{end}" for first, end in wrong)
            lines.append(line)
    return lines
