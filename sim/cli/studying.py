"""What `cowpool study` is to do, whole, as one shard or with shards, and what it says of it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.base.counts import counted
from sim.base.errors import ScenarioError
from sim.base.text import printable
from sim.cli.show import Page
from sim.study.run import StudyOutcome, run_study
from sim.study.shard import Shard
from sim.study.sharded import ShardOutcome, merge_shards, run_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

FAILURES_SHOWN: Final = 10


def wanted(
    files: Sequence[str],
    shard: str | None,
    *,
    merge: bool,
    settings: Sequence[str],
    large: bool,
) -> Callable[..., StudyOutcome | ShardOutcome]:
    """Return what does what is asked for, given the folder and what carries out the runs.

    Raises `ScenarioError` for options that do not go together.
    """
    if merge:
        if shard is not None or settings:
            option = "--shard" if shard is not None else "--set"
            message = "shards have their study with them; leave it out, or leave --merge out"
            raise ScenarioError(message, key=option)
        return partial(merge_shards, [Path(name) for name in files], report=drawn_report)
    if len(files) > 1:
        message = f"is more than one study with {files[0]}; --merge puts the shards of one together"
        raise ScenarioError(message, files[1])
    if shard is None:
        return partial(run_study, files[0], settings=settings, large=large, report=drawn_report)
    return partial(run_shard, files[0], Shard.parsed(shard), settings=settings, large=large)


def drawn_report(facts: Mapping[str, Any], tables: Mapping[str, Any], page: Path) -> None:
    """Write a report; what draws is imported when the runs are done, so that they start at once."""
    from sim.report.page import write_report

    write_report(facts, tables, page)


def tell_failures(outcome: StudyOutcome | ShardOutcome) -> None:
    """Say on standard error which runs failed, and why."""
    failures = outcome.failures
    for failure in failures[:FAILURES_SHOWN]:
        sys.stderr.write(printable(f"failed: {failure}\n"))
    if len(failures) > FAILURES_SHOWN:
        more = len(failures) - FAILURES_SHOWN
        where = "`cowpool status`" if isinstance(outcome, ShardOutcome) else "the report"
        sys.stderr.write(f"failed: {more:,} more; {where} has them all\n")


def tell(outcome: StudyOutcome | ShardOutcome) -> None:
    """Print what came of a study, or of a shard."""
    n_failed = len(outcome.failures)
    page = Page()
    n_runs = outcome.n_done + n_failed
    runs = f"{counted(n_runs, 'run')}, {outcome.n_new:,} of them new, {n_failed:,} failed"
    if isinstance(outcome, ShardOutcome):
        page.sentence(f"{str(outcome.shard).capitalize()}: {runs}.")
        page.sentence(
            f"No answer yet: `cowpool study --merge DIR...` with the folders of all"
            f" {outcome.shard.of:,} shards makes the runs that rest on the results of all points,"
            " and the report."
        )
        page.lines([f"folder: {outcome.out}"])
        return
    for sentence in outcome.sentences:
        page.sentence(sentence)
    page.sentence(runs)
    page.lines([f"report: {outcome.report}"])
