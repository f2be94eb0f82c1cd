"""How far a study is, on standard error: a bar with the time left, or lines where there is none.

The bar counts expected work, not runs, so that the time left is about right although runs differ
a hundredfold in size.
"""

import sys
import time
from types import TracebackType
from typing import Any, Final, Protocol, Self, TextIO

LINE_EVERY_S: Final = 10.0
"""Distance of progress lines where standard error is no terminal."""


class Progress(Protocol):
    """What a study tells whoever is watching."""

    def begin(self, what: str, n_runs: int, work: float) -> None:
        """Begin a round of `n_runs` runs of `work` altogether."""

    def advance(self, work: float) -> None:
        """Note that one run is finished, which was expected to take `work`."""

    def note(self, what: str) -> None:
        """Say what the study is busy with besides runs."""


class Silent:
    """Tells nobody."""

    def begin(self, what: str, n_runs: int, work: float) -> None:
        """Ignore it."""

    def advance(self, work: float) -> None:
        """Ignore it."""

    def note(self, what: str) -> None:
        """Ignore it."""


_BAR: Final = 30
_LEAST_BAR: Final = 5
_FIGURES: Final = len("  0:00:00 left 0:00:00 ") + 1
"""Width of what stands behind the number of runs, and of the gaps."""


class ProgressBar:
    """A bar on a terminal, or a line now and then elsewhere; a context manager."""

    def __init__(self, stream: TextIO | None = None) -> None:
        from rich import progress
        from rich.console import Console

        self._console = Console(file=sys.stderr if stream is None else stream)
        self._live = self._console.is_terminal
        self._column = progress.BarColumn(bar_width=_BAR)
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            self._column,
            progress.TextColumn("{task.fields[runs]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(elapsed_when_finished=False),
            console=self._console,
            disable=not self._live,
            speed_estimate_period=60,
        )
        self._task: Any = None
        self._what = ""
        self._rounds = 0
        self._done = self._total = 0
        self._work_done = self._work = 0.0
        self._began_s = self._said_s = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def begin(self, what: str, n_runs: int, work: float) -> None:
        """Begin a round; the bar starts over, or goes on if the round is about the same."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        if what == self._what:  # a search has many rounds of few runs
            self._rounds += 1
            self._total += n_runs
            self._work += work
        else:
            self._rounds = 1
            self._done, self._total = 0, n_runs
            self._work_done, self._work = 0.0, work
            self._began_s = self._said_s = time.monotonic()
        room = self._console.width - _FIGURES - len(f"{n_runs} of {n_runs} runs")
        beside = len(what) + _LEAST_BAR < room
        self._column.bar_width = max(_LEAST_BAR, min(_BAR, room - len(what) * beside))
        if (
            self._live and not beside and what != self._what
        ):  # what it is about stands above the bar: no figure is cut
            self._say(what)
        self._task = self._bar.add_task(what if beside else "", total=self._work, runs=self._runs())
        self._bar.update(self._task, completed=self._work_done)
        if not self._live and self._rounds == 1:
            self._say(f"{what}: {n_runs} run{'s' if n_runs != 1 else ''}")
        self._what = what

    def advance(self, work: float) -> None:
        """Note that one run is finished; before the first round nothing is shown of it."""
        if self._task is None:
            return
        self._done += 1
        self._work_done += work
        self._bar.update(self._task, advance=work, runs=self._runs())
        now_s = time.monotonic()
        if not self._live and now_s - self._said_s >= LINE_EVERY_S:
            self._said_s = now_s
            left_s = (now_s - self._began_s) * (self._work / self._work_done - 1)
            planned = " that are planned so far" if self._rounds > 1 else ""
            self._say(f"{self._runs()}{planned}, about {max(0, round(left_s))} s left")

    def note(self, what: str) -> None:
        """Say what the study is busy with."""
        self._say(what)

    def _runs(self) -> str:
        return f"{self._done} of {self._total} runs"

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False)
