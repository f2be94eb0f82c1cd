"""A study in shards: one of them carried out, and all of them put together.

Putting together is carrying out the study as always, where a run that a shard has made is taken
from there.  So the store is the one that a process alone would have written, row for row,
whatever the number of shards and the order in which they are named; and it can be stopped at any
time.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sim.base.counts import counted, is_or_are, out_of
from sim.base.errors import ScenarioError
from sim.base.limits import Limits
from sim.program.plugin import Plugin
from sim.study.base import planner_again, require_same_results
from sim.study.executor import Executor, RunFactory, executor_for
from sim.study.job import Finished, Job
from sim.study.reasons import last_line
from sim.study.run import (
    DEFAULT_OUT,
    EXIT_DONE,
    EXIT_PARTLY,
    Prepared,
    Report,
    StudyOutcome,
    carry_out,
    prepare_study,
    written_by,
)
from sim.study.shard import Shard
from sim.study.snapshot import snapshot
from sim.study.store import STORE_NAME, Store

MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class ShardOutcome:
    """What came of a shard: how many of its runs are finished, how many were made this time."""

    shard: Shard
    out: Path
    n_done: int
    n_new: int
    failures: tuple[str, ...]

    @property
    def exit_status(self) -> int:
        """3 if runs failed, else 0: there is no answer yet that could be no."""
        return EXIT_PARTLY if self.failures else EXIT_DONE

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON-able values."""
        return {
            "shard": self.shard.number,
            "shards": self.shard.of,
            "out": str(self.out),
            "runs_done": self.n_done,
            "runs_new": self.n_new,
            "runs_failed": len(self.failures),
            "failures": list(self.failures),
        }


def run_shard(
    path: str | Path,
    shard: Shard,
    out: Path | None = None,
    *,
    jobs: int | None = None,
    quiet: bool = False,
    settings: Sequence[str] = (),
    plugin: Plugin | None = None,
    limits: Limits | None = None,
    large: bool = False,
    executors: RunFactory | None = None,
) -> ShardOutcome:
    """Carry out a shard of the study in the file `path`, or go on with it.

    The other parameters are those of `sim.study.run.run_study`; `out` is ``out/NAME-3-of-40``
    where it is not given.

    Raises `ScenarioError` for a study that cannot be carried out, or if `out` holds another shard.
    """
    study = prepare_study(path, settings, plugin, large=large)
    study = replace(study, kept={**study.kept, "shard": asdict(shard)})
    name = f"{study.planner.study.name}-{shard.number}-of-{shard.of}"
    folder = DEFAULT_OUT / name if out is None else out

    def told(store: Store, n_new: int) -> ShardOutcome:
        outcomes = store.outcomes()
        failures = tuple(
            f"{run.place.part} {run.place.point}, host {run.place.host}, "
            f"run {run.place.replication}: {last_line(reason)}"
            for run in store.plan()
            if run.key in outcomes and (reason := outcomes[run.key].reason) is not None
        )
        n_done = sum(outcome.reason is None for outcome in outcomes.values())
        return ShardOutcome(shard, folder, n_done, n_new, failures)

    executor = executor_for(jobs, plugin, limits, executors)
    return carry_out(study, folder, executor, told, quiet=quiet, shard=shard)


def merge_shards(
    folders: Sequence[Path],
    out: Path | None = None,
    *,
    jobs: int | None = None,
    report: Report | None = None,
    quiet: bool = False,
    plugin: Plugin | None = None,
    limits: Limits | None = None,
    executors: RunFactory | None = None,
) -> StudyOutcome:
    """Put the shards in `folders` together, make the runs that rest on all of them, and report.

    The other parameters are those of `sim.study.run.run_study`.  Folders of shards are only read.

    Raises `ScenarioError` if one holds no shard or an unfinished one, one of another study or one
    that is there already, and if shards are missing.
    """
    study, found = _opened(folders, plugin)
    folder = DEFAULT_OUT / study.planner.study.name if out is None else out
    if any(folder.resolve() == each.resolve() for each in folders):
        raise ScenarioError("is the folder of a shard; name another one with --out", str(folder))
    executor = _FromShards(found, executor_for(jobs, plugin, limits, executors))
    outcome = carry_out(study, folder, executor, written_by(study, folder, report), quiet=quiet)
    return replace(outcome, n_new=outcome.n_new - executor.n_taken)


def _opened(folders: Sequence[Path], plugin: Plugin | None) -> tuple[Prepared, Mapping[str, Path]]:
    """Return the study that all `folders` are shards of, and where the run of each key is."""
    found: dict[str, Path] = {}
    numbers: dict[int, Path] = {}
    first: tuple[Path, dict[str, Any], Shard] | None = None
    for folder in folders:
        path = folder / STORE_NAME
        if not path.is_file():
            raise ScenarioError("holds no shard of a study", str(folder))
        with snapshot(path) as store:
            kept = store.study()
            given = kept.pop("shard", None)
            if given is None:
                raise ScenarioError("holds a whole study, not a shard of one", str(folder))
            shard = Shard(**given)
            first = first or (folder, kept, shard)
            _require_same_study(first, folder, kept, shard)
            if shard.number in numbers:
                message = f"is {shard}, and so is {numbers[shard.number]}; name one of them"
                raise ScenarioError(message, str(folder))
            numbers[shard.number] = folder
            require_same_results(store, planner_again(kept, plugin))
            outcomes = store.outcomes()
            missing = len({run.key for run in store.plan()} - outcomes.keys())
            if missing:
                message = f"{shard} has {counted(missing, 'run')} still to be made; run it again"
                raise ScenarioError(message, str(folder))
            found |= {key: folder for key, ended in outcomes.items() if ended.reason is None}
    if first is None:
        raise ScenarioError("name the folders of all shards", key="--merge")
    _, kept, shard = first
    if absent := [str(n) for n in range(1, shard.of + 1) if n not in numbers]:
        named = ", ".join(absent[:MOST_NAMED]) + (", ..." if len(absent) > MOST_NAMED else "")
        few = f"{out_of(len(absent), shard.of, 'shard')} {is_or_are(len(absent))} missing"
        message = f"{few}: {named}; name all folders"
        raise ScenarioError(message, key="--merge")
    return Prepared(planner_again(kept, plugin), kept), found


def _require_same_study(
    first: tuple[Path, Mapping[str, Any], Shard],
    folder: Path,
    kept: Mapping[str, Any],
    shard: Shard,
) -> None:
    """Raise `ScenarioError` unless a folder's shard is one of those that the first is one of."""
    first_folder, first_kept, first_shard = first
    for what in ("study", "base", "plugin_sha256"):
        if kept[what] != first_kept[what]:
            message = f"is a shard of another study than {first_folder}; merge those of one"
            raise ScenarioError(message, str(folder))
    if shard.of != first_shard.of:
        message = f"is {shard}, and {first_folder} is {first_shard}; merge those of one number"
        raise ScenarioError(message, str(folder))


class _FromShards:
    """Takes runs from the shards that have made them, and has the others carried out."""

    def __init__(self, found: Mapping[str, Path], executor: Executor) -> None:
        self._found = found
        self._executor = executor
        self.n_taken = 0

    def run(self, jobs: Sequence[Job]) -> Iterator[Finished]:
        """Yield what became of every job."""
        left: list[Job] = []
        there: defaultdict[Path, list[Job]] = defaultdict(list)
        for job in jobs:
            (there[self._found[job.key]] if job.key in self._found else left).append(job)
        for folder, wanted in there.items():
            with snapshot(folder / STORE_NAME) as store:
                for job in wanted:
                    kept = store.finished(job.key)
                    if kept is None:  # damaged
                        left.append(job)
                        continue
                    self.n_taken += 1
                    yield Finished(job.key, *kept)
        yield from self._executor.run(left)

    def close(self) -> None:
        """Stop at once."""
        self._executor.close()
