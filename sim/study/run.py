"""Carrying out a study: in rounds, into the store, and from there to the answer.

A study can be stopped at any time and in any way; the same command goes on where it was.  Which
runs are made depends on the study and on results, never on how many workers there are or which of
them was faster.
"""

import json
import platform
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from sim.base.errors import PartlyDoneError, ScenarioError
from sim.base.files import CannotWriteError, remove_unfinished, require_places, stage
from sim.base.garbage import put_off
from sim.base.limits import Limits
from sim.base.units import S, format_duration
from sim.engine.room import machine_bytes, require_room
from sim.program.plugin import Plugin
from sim.scenario.study import load_study
from sim.study.analyse import Findings, analyse
from sim.study.base import planner_again, planner_of, require_same_results
from sim.study.executor import Executor, RunFactory, available_cpus, executor_for
from sim.study.packed import damaged_words
from sim.study.plan import Planner
from sim.study.pool import PoolGoneError
from sim.study.progress import ProgressBar, Silent
from sim.study.rounds import Rounds
from sim.study.shard import Shard
from sim.study.stated_ranges import check_uncertain
from sim.study.store import READ_ONLY, STORE_NAME, Store

EXIT_DONE: Final = 0
EXIT_NO_ANSWER: Final = 1
EXIT_PARTLY: Final = 3
PAGE_NAME: Final = "report.html"
FINDINGS_NAME: Final = "findings.json"
DEFAULT_OUT: Final = Path("out")
_FIGURE: Final = re.compile(r'href="(figures/[\w-]+\.(?:svg|png))"')

Report = Callable[[Mapping[str, Any], Mapping[str, Any], Path], None]
"""Writes findings (facts and tables) as a report into a file."""


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """What came of a study.

    `sentences` begin with the answer; `report` is the page, if one was written.  `n_new` runs
    were carried out this time, `n_done` are finished in all; `failures` says why others are not.
    """

    sentences: tuple[str, ...]
    out: Path
    report: Path | None
    n_done: int
    n_new: int
    failures: tuple[str, ...]
    exit_status: int

    @property
    def answer(self) -> str:
        """The answer in one sentence."""
        return self.sentences[0]

    @property
    def n_failed(self) -> int:
        """How many runs failed."""
        return len(self.failures)

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON-able values."""
        return {
            "answer": self.answer,
            "sentences": list(self.sentences),
            "out": str(self.out),
            "report": None if self.report is None else str(self.report),
            "runs_done": self.n_done,
            "runs_new": self.n_new,
            "runs_failed": self.n_failed,
            "failures": list(self.failures),
        }


def run_study(
    path: str | Path,
    out: Path | None = None,
    *,
    jobs: int | None = None,
    report: Report | None = None,
    quiet: bool = False,
    settings: Sequence[str] = (),
    plugin: Plugin | None = None,
    limits: Limits | None = None,
    large: bool = False,
    executors: RunFactory | None = None,
) -> StudyOutcome:
    """Carry out the study in the file `path`, or go on with it, and say what came of it.

    Parameters
    ----------
    out
        Folder of its store, tables and report; default ``out/NAME``.
    jobs
        How many runs at once; default one per CPU that this process may use.
    report
        What writes the report from the findings; without it, only tables are written.
    quiet
        Show no progress.
    settings
        Changes as on the command line, ``key.path=value``; see `sim.scenario.study`.
    plugin
        Programs and schedulers besides those that ship; its digest is part of each run's key.
    limits
        What one run may take of this machine; one that takes more has failed.
    large
        Carry it out although it is beyond the limits of `sim.study.limits`.
    executors
        Makes what carries out the runs, for a number of them at a time.

    Raises `ScenarioError` for a study that cannot be carried out; nothing has run or been written
    then.  Raises `PartlyDoneError` if the disk gives out later: what was finished is kept.
    """
    study = prepare_study(path, settings, plugin, large=large)
    folder = DEFAULT_OUT / study.planner.study.name if out is None else out
    executor = executor_for(jobs, plugin, limits, executors)
    return carry_out(study, folder, executor, written_by(study, folder, report), quiet=quiet)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A study's planner, and what its store keeps of it: nothing has run or been written yet."""

    planner: Planner
    kept: Mapping[str, Any]


def prepare_study(
    path: str | Path, settings: Sequence[str], plugin: Plugin | None, *, large: bool
) -> Prepared:
    """Read the study in the file `path`; raises `ScenarioError` if it cannot be carried out."""
    study = load_study(path, settings)
    if not study.file.varied:
        raise study.error("is all it has, and no axes; use `cowpool plan`", "plan")
    planner, kept = planner_of(study, large=large, plugin=plugin)
    check_uncertain(planner)
    return Prepared(planner, {**kept, "command": command_of("study", path, settings, plugin)})


Ended = TypeVar("Ended")


def carry_out(
    study: Prepared,
    folder: Path,
    executor: Executor,
    ended: Callable[[Store, int], Ended],
    *,
    quiet: bool,
    shard: Shard | None = None,
) -> Ended:
    """Carry out a study, or a `shard` of it, or go on with it, into the store in `folder`.

    Return what `ended` makes of the store and the number of runs that were carried out.  Closes
    the executor.  Raises what `run_study` raises.
    """
    planner = study.planner
    bar = nullcontext(Silent()) if quiet else ProgressBar()
    with closing(executor):
        cells = [*planner.main_cells(), *planner.check_cells()]
        require_room(max((cell.scenario for cell in cells), key=machine_bytes))
        _require_writable(folder)
        try:
            with Store(folder / STORE_NAME) as store, bar as progress:
                if shard is not None:
                    _require_no_other(store, study.kept["shard"], folder)
                store.start_plan(study.kept)
                rounds = Rounds(store, planner, cells, progress, shard)
                rounds.carry_out(executor)
                executor.close()  # its workers' memory is free for the report
                if shard is None:
                    progress.note("writing the report")
                return ended(store, rounds.n_new)
        except (CannotWriteError, PoolGoneError) as error:
            message = f"{error}; everything finished so far is kept, the same command goes on"
            raise PartlyDoneError(message) from error


def written_by(
    study: Prepared, folder: Path, report: Report | None
) -> Callable[[Store, int], StudyOutcome]:
    """Return what writes tables, findings and report of a study that has been carried out."""

    def written(store: Store, n_new: int) -> StudyOutcome:
        with put_off():
            findings = analyse(store, study.planner, study.kept["command"])
            return _written(findings, folder, report, n_new=n_new, wall_s=store.wall_s())

    return written


def _require_no_other(store: Store, shard: Mapping[str, Any], folder: Path) -> None:
    """Raise `ScenarioError` if a folder holds a study, or a shard, that is not this one."""
    if store.session() is None:
        return
    given = store.study().get("shard")
    if given != shard:
        other = "a whole study" if given is None else str(Shard(**given))
        message = f"holds {other}; give each shard a folder of its own with --out"
        raise ScenarioError(message, str(folder))


def command_of(verb: str, path: str | Path, settings: Sequence[str], plugin: Plugin | None) -> str:
    """Return what repeats a study, or a plan."""
    words = ["cowpool", verb, str(path)]
    words += [word for setting in settings for word in ("--set", setting)]
    words += ["--plugin", plugin.path] if plugin else []
    return shlex.join(words)


def report_again(
    out: Path, *, report: Report | None = None, plugin: Plugin | None = None
) -> StudyOutcome:
    """Write the report of the study in the folder `out` again, from its store.

    Raises `ScenarioError` if there is none, if it is one shard, or if it was carried out with
    another plug-in or by a cowpool whose results are of another version.
    """
    path = out / STORE_NAME
    if not path.exists():
        raise ScenarioError("holds no study; run `cowpool study` first", str(out))
    _require_writable(out)
    with Store(path, READ_ONLY) as store, put_off():
        kept = store.study()
        if "shard" in kept:
            message = f"holds {Shard(**kept['shard'])}; `cowpool study --merge` reports on all"
            raise ScenarioError(message, str(out))
        planner = planner_again(kept, plugin)
        require_same_results(store, planner)
        findings = analyse(store, planner, kept["command"])
        return _written(findings, out, report, n_new=0, wall_s=store.wall_s(), again=True)


def _require_writable(out: Path) -> None:
    """Raise `ScenarioError` before anything runs if results could not be written afterwards."""
    require_places(out, (PAGE_NAME, FINDINGS_NAME), ("tables", "figures"))


def _written(
    findings: Findings,
    out: Path,
    report: Report | None,
    *,
    n_new: int,
    wall_s: float,
    again: bool = False,
) -> StudyOutcome:
    """Write tables, findings and report; return what came of the study.

    `wall_s` is how long all its runs took, one after the other.

    A report of the same findings that is there already is left alone, unless it is asked for
    `again`.
    """
    facts = json.dumps(findings.facts, indent=1, sort_keys=True, allow_nan=False)
    texts = {FINDINGS_NAME: facts + "\n"}
    for name, frame in findings.tables.items():
        if not frame.empty:  # an empty file would be taken for a result
            texts[f"tables/{name}.csv"] = frame.to_csv(index=False, lineterminator="\n")
    page = out / PAGE_NAME
    remove_unfinished(out)
    if again or not page.is_file() or any(_differs(out / n, text) for n, text in texts.items()):
        tables = [f"tables/{name}.csv" for name in findings.tables]
        with stage(out, FINDINGS_NAME, [*tables, PAGE_NAME, *_figures_of(page)]) as made:
            (made / "tables").mkdir()
            for name, text in texts.items():
                (made / name).write_text(text, encoding="utf-8")
            if report is not None:
                facts_now = {**findings.facts, "made": _made(wall_s)}
                report(facts_now, findings.tables, made / PAGE_NAME)
    told, provenance = findings.facts["answer"], findings.facts["provenance"]
    failures = tuple(
        f"{f['part']} ({f['where']}), host {f['host']}, run {f['replication']}: {f['reason']}"
        for f in findings.facts["failures"]
    )
    sentences = [told["sentence"], *told["more"]]
    if provenance["runs_missing"]:
        missing, damaged = provenance["runs_missing"], provenance["runs_damaged"]
        runs = "1 run is" if missing == 1 else f"{missing:,} runs are"
        sentences.append(f"Not finished: {runs} still to be made.{damaged_words(damaged)}")
    return StudyOutcome(
        sentences=tuple(sentences),
        out=out,
        report=None if report is None else page,
        n_done=provenance["runs_done"],
        n_new=n_new,
        failures=failures,
        exit_status=_exit_status(told, failed=bool(failures)),
    )


def _figures_of(page: Path) -> list[str]:
    """Return the files that a page of an earlier report links to; none if there is no page."""
    try:
        return _FIGURE.findall(page.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return []


def _made(wall_s: float) -> dict[str, str]:
    """Return when and where a report was made, which no finding depends on."""
    machine = f"{platform.system()} {platform.release()} ({platform.machine()})"
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "duration": format_duration(round(wall_s * S)),
        "machine": f"{machine}, {available_cpus()} CPUs, Python {platform.python_version()}",
    }


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() != text.encode()
    except OSError:
        return True


def _exit_status(told: Mapping[str, Any], *, failed: bool) -> int:
    """Return 1 if there is no answer, or one that its check refutes; that goes before failures."""
    check = told["check"]
    if told["kind"] != "answered" or (check is not None and check["refuted"]):
        return EXIT_NO_ANSWER
    return EXIT_PARTLY if failed else EXIT_DONE
