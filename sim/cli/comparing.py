"""The command `compare`: the same scenario under other settings, pair by pair."""

from __future__ import annotations

import shlex
from contextlib import closing
from math import isinf
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli.commands import (
    ClusterOption,
    ExecutorOption,
    JobsOption,
    JsonOption,
    MemoryLimitOption,
    PluginOption,
    ScenarioArgument,
    SeedOption,
    SetOption,
    TimeLimitOption,
    app,
    load_if_named,
    print_json,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.cli.tables import Table
    from sim.study.compare import Compared
    from sim.study.winner import Winner


@app.command()
def compare(
    scenario: ScenarioArgument,
    others: Annotated[
        list[str],
        typer.Option(
            "--vs",
            metavar="KEY.PATH=VALUE",
            help="What is different, several in quotes; may be repeated, each a comparison.",
        ),
    ],
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME", help="A metric to compare; may be repeated."),
    ] = None,
    least: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Say which has least of a metric, by fresh runs."),
    ] = None,
    most: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Say which has most of a metric, by fresh runs."),
    ] = None,
    settings: SetOption = None,
    runs: Annotated[
        int | None, typer.Option("--runs", min=1, help="At most so many pairs of runs.")
    ] = None,
    seed: SeedOption = None,
    jobs: JobsOption = None,
    executor: ExecutorOption = None,
    cluster: ClusterOption = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
    time_limit: TimeLimitOption = None,
    memory_limit: MemoryLimitOption = None,
) -> int:
    """Compare a scenario with itself under other settings.

    Exit status 1 if a metric cannot be told apart yet, if runs are no answers, or if fresh runs do
    not say that the one with least, or most, of a metric is the one.
    """
    from sim.base.errors import ScenarioError
    from sim.cli.limiting import limits_of
    from sim.cli.running import is_study, known
    from sim.engine.room import machine_bytes, require_room
    from sim.scenario import load_scenario
    from sim.study import compare as comparing
    from sim.study.executor import executor_for
    from sim.study.named_pool import named_executors
    from sim.study.progress import ProgressBar
    from sim.study.winner import winner_of

    if least is not None and most is not None:
        raise ScenarioError("one of `--least` and `--most` is asked for at a time", key="--most")
    how, choosing = ("most", most) if least is None else ("least", least)
    if is_study(scenario):
        raise ScenarioError("is a study; name a scenario", scenario, 1)
    loaded = load_if_named(plugin)
    programs, schedulers = known(loaded)
    given = settings or []
    base = load_scenario(scenario, given, programs, schedulers)
    chosen = int(base["run"]["seed"]) if seed is None else seed
    variants = {"base": base}
    for text in others:
        own = load_scenario(scenario, [*given, *shlex.split(text)], programs, schedulers)
        _refuse_seed(text, base, own)
        variants[text] = own
    for each in variants.values():
        each["run"]["seed"] = chosen
    wanted = comparing.metrics_of(metrics or [])
    if choosing is not None:
        comparing.metrics_of([choosing], f"--{how}")
        wanted = tuple(dict.fromkeys((*(wanted if metrics else ()), choosing)))
    require_room(max(variants.values(), key=machine_bytes))
    limits = limits_of(time_limit, memory_limit)
    with (
        named_executors(executor, cluster, jobs, loaded, limits) as executors,
        closing(executor_for(jobs, loaded, limits, executors)) as carries,
        ProgressBar() as progress,
    ):
        found = comparing.compare(variants, wanted, carries, progress, seed=chosen, most=runs)
        winner = None
        if choosing is not None:
            winner = winner_of(
                found, variants, choosing, how, carries, progress, seed=chosen, most=runs
            )
    if as_json:
        document = _document(found)
        if choosing is not None:
            document["winner"] = _of_winner(winner)
        print_json(document)
    else:
        _show(found, wanted if metrics else ())
        if choosing is not None:
            nobody = choosing in found.absent
            _show_winner(winner, f"{how} {choosing}", nobody=nobody)
    if choosing is not None:  # and that alone was asked
        return 0 if winner is not None and winner.told and not winner.left_out else 1
    told = bool(found.rows) and all(row.verdict != "cannot tell" for row in found.rows)
    told = told and not (metrics and found.too_few)
    return 0 if told and not found.unanswered else 1


def _refuse_seed(text: str, base: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raise `ScenarioError` if a variant is to have a seed of its own."""
    from sim.base.errors import ScenarioError

    named = any(part.partition("=")[0].strip() == "run.seed" for part in shlex.split(text))
    if named or own["run"]["seed"] != base["run"]["seed"]:
        message = f"{text} changes nothing: all variants have one seed; give it with --seed"
        raise ScenarioError(message, key="--vs")


def _show(found: Compared, asked: Sequence[str] = ()) -> None:
    """Print what came of a comparison, and which of the metrics `asked` for have no row."""
    from sim.base.counts import counted, out_of
    from sim.cli.compared import largest_change
    from sim.cli.show import Page
    from sim.study.first_kill import ABOUT_KILLS

    page = Page()
    about_kills = sorted({row.metric for row in found.rows} & ABOUT_KILLS)
    but = f" of all but {' and '.join(about_kills)}" if about_kills else ""
    for name, reasons in found.unanswered.items():
        which = "all" if found.n_unanswered.get(name) == found.n else "some"
        page.sentence(
            f"{name}: no answer in {which} runs, which are left out{but}: {'; '.join(reasons)}."
        )
    for what, names in found.conditions.items():
        everywhere = set(names) > found.left_out.keys()  # and of the base
        page.sentence(f"{what}." if everywhere else f"{', '.join(names)}: {what}.")
    if not found.rows:
        for sentence in _nothing(found):
            page.sentence(sentence)
        return
    if largest := largest_change(found.rows):
        page.sentence(largest, "bold")
    for variant in found.left_out:
        page.lines(["", f"--vs {variant}"])
        table = _table(found, variant)
        if table.rows:
            page.table(table.lines(page.width))
        for sentence in (*_lacking(found, variant), *_missing(found, variant, asked)):
            page.sentence(sentence)
    page.lines([""])
    if any(row.metric.startswith("memory_need_bytes") for row in found.rows):
        for name, n in found.only_room.items():
            page.sentence(
                f"{name}: in {out_of(n, found.n, 'run')} reclaim took pages: their"
                " memory_need_bytes is what there was room for, not what is needed."
            )
    page.sentence(
        f"Medians over {counted(found.n, 'pair of runs')} with the same random numbers; changes"
        f" are medians over pairs. {_of_limits(found)}"
    )


def _of_limits(found: Compared) -> str:
    """Say what the limits are, and what common random numbers gained."""
    from sim.cli.compared import times
    from sim.study.compare import SAME_WITHIN

    said = f"There are no limits of fewer than {found.n_least:,} pairs."
    if any(row.limits is not None for row in found.rows):
        said = (
            f"The limits, from and to, hold together in {100 * found.confidence:g} % of"
            " comparisons, whatever the distribution;"
            f" the same: both within {100 * SAME_WITHIN:g} %."
        )
    if any(row.n_cut_off for row in found.rows):
        said += " A run without a kill counts as longer than it was watched."
    gains = [row.gain for row in found.rows if row.gain is not None]
    if gains:
        shrunk = " to ".join(dict.fromkeys(times(gain) for gain in (min(gains), max(gains))))
        said += f" With other ones the variance of a change would be {shrunk} times as large."
    return said


def _table(found: Compared, variant: str) -> Table:
    """Return a row for each metric of a variant."""
    from sim.cli.compared import change, middle
    from sim.cli.tables import Table

    table = Table(("metric", "base", "other", "change", "verdict", "from", "to"), left=(0, 4))
    for row in (row for row in found.rows if row.variant == variant):
        shown = (middle(row, row.base), middle(row, row.other))
        by, low, high = change(row)
        table.rows.append((row.metric, *shown, by, row.verdict, low, high))
    return table


def _lacking(found: Compared, variant: str) -> list[str]:
    """Say what it takes to tell what cannot be told."""
    from sim.cli.compared import to_tell

    rows = [row for row in found.rows if row.variant == variant]
    lacks = [f"{row.metric} {lack}" for row in rows if (lack := to_tell(row))]
    return [f"Cannot tell: {', '.join(lacks)}."] if lacks else []


def _nothing(found: Compared) -> list[str]:
    """Say why there is no row at all, of any variant."""
    from sim.base.counts import counted

    left = {variant: found.n - lost for variant, lost in found.left_out.items()}
    if not any(left.values()):
        return [f"Nothing can be compared: {_all_pairs(found)} left out."]
    said = dict.fromkeys(s for variant in left for s in _few(found, variant))
    if said:
        return ["Nothing can be compared.", *said]
    pairs = max(left.values())
    few = f"{counted(pairs, 'pair of runs')} {'has' if pairs == 1 else 'have'}"
    return [f"Nothing can be compared: {few} none of it."]


def _all_pairs(found: Compared) -> str:
    return "the one pair of runs is" if found.n == 1 else f"all {found.n:,} pairs of runs are"


def _missing(found: Compared, variant: str, asked: Sequence[str]) -> list[str]:
    """Say why metrics that were asked for have no row, and which percentiles have none."""
    there = {row.metric for row in found.rows if row.variant == variant}
    known = {*there, *found.too_few.get(variant, ())}
    said = _few(found, variant)
    if absent := " or ".join(metric for metric in asked if metric not in known):
        if found.left_out[variant] == found.n:
            said.append(f"Of {absent} {_all_pairs(found)} left out.")
        else:
            said.append(f"No pair of runs has any {absent}.")
    return said


def _few(found: Compared, variant: str) -> list[str]:
    """Say which percentiles are not compared, as some run has too few values."""
    from sim.stats.enough import BULK, percentile_needs
    from sim.study.percentiles import percent_of

    said = []
    for metric in found.too_few.get(variant, ()):
        percent = percent_of(metric) or 0.0
        of_forks = "; of requests and waits, forks count" if percent > BULK else ""
        said.append(
            f"{metric} is not compared: too few values: {metric.rpartition('.')[2]} needs"
            f" {percentile_needs(percent):,} a run{of_forks}."
        )
    return said


def _show_winner(winner: Winner | None, asked: str, *, nobody: bool = False) -> None:
    """Say which has least, or most, what fresh runs say of it, and of each other beside it."""
    from sim.base.counts import counted
    from sim.cli.compared import change, figure, verdict
    from sim.cli.show import Page
    from sim.study.compare import SAME_WITHIN

    page = Page()
    page.lines([""])
    if winner is None and nobody:
        page.sentence(f"No run has any {asked.split()[-1]}: nobody is chosen.")
        return
    if winner is None:
        page.sentence(f"Which has {asked} cannot be told: fewer than two have an answer to that.")
        return
    fresh, rows = winner.fresh, winner.fresh.rows
    of = f"the median of {counted(fresh.n, 'fresh run')}, which it was not chosen by"
    value = "no figure" if winner.value is None else figure(winner.metric, winner.value)
    has = f"It is {winner.name} that has {asked}"
    if winner.beaten:
        has = f"Which has {asked} cannot be told: {winner.name} was chosen, and another is better"
    elif not winner.told:
        has += ", but not beyond doubt"
    page.sentence(f"{has}: {value} ({of}).")
    for row in rows:
        by, low, high = change(row)
        limits = f" ({low} to {high})" if row.limits is not None and not row.identical else ""
        what = {
            "same": f"has as much, within {100 * SAME_WITHIN:g} %",
            "cannot tell": verdict(row),
            winner.worse: f"has {winner.worse}: {by}{limits}",
        }.get(row.verdict, f"has {row.verdict} by fresh runs: {by}{limits}")
        page.sentence(f"{row.variant} {what}.")
    if winner.value == 0 and not rows and winner.told:
        page.sentence("None of the others has any either.")
    if any(row.limits is not None and not row.identical for row in rows):
        page.sentence(f"These limits hold together in {100 * fresh.confidence:g} % of choices.")
    for name in winner.left_out:
        page.sentence(f"{name} could not be chosen: some of its runs have no answer.")
    for name, reasons in fresh.unanswered.items():
        page.sentence(f"{name}: no answer in some of the fresh runs: {'; '.join(reasons)}.")


def _finite(value: float | None) -> float | None:
    return None if value is None or isinf(value) else value


def _of_winner(winner: Winner | None) -> dict[str, Any] | None:
    if winner is None:
        return None
    return {
        "variant": winner.name,
        "metric": winner.metric,
        "is": winner.how,
        "told": winner.told,
        "median": None if winner.value is None else _finite(winner.value),
        "left_out": list(winner.left_out),
        "fresh": _document(winner.fresh),
    }


def _document(found: Compared) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "pairs": found.n,
        "confidence": found.confidence,
        "only_room": dict(found.only_room),
        "conditions": {what: list(names) for what, names in found.conditions.items()},
        "unanswered": {name: list(reasons) for name, reasons in found.unanswered.items()},
        "pairs_left_out": dict(found.left_out),
        "too_few_values": {name: list(few) for name, few in found.too_few.items()},
        "nobody_has": sorted(found.absent),
        "rows": [
            {
                "variant": row.variant,
                "metric": row.metric,
                "base": _finite(row.base),
                "other": _finite(row.other),
                "kind": "ratio" if row.is_ratio else "difference",
                "median": None if row.limits is None else row.limits.median,
                "low": None if row.limits is None else _finite(row.limits.low),
                "high": None if row.limits is None else _finite(row.limits.high),
                "verdict": row.verdict,
                "pairs": row.n,
                "pairs_cut_off": row.n_cut_off,
                "gain_of_common_random_numbers": row.gain,
                "more_pairs": row.more_runs,
            }
            for row in found.rows
        ],
    }
