"""What a study means before it runs: points, runs, hosts, and the time they may take."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sim.base.counts import counted
from sim.base.units import S, format_bytes, format_duration
from sim.program.plugin import Plugin
from sim.scenario.explain import Section, explain_scenario
from sim.scenario.explain.warnings import warnings_section
from sim.scenario.questions import Replications, Search
from sim.scenario.study import Study, load_study
from sim.stats.tolerance import supported_content, values_needed
from sim.study.base import planner_of
from sim.study.container import container_cells, names_of
from sim.study.executor import available_cpus
from sim.study.how_many import runs_of
from sim.study.inputs import input_cells
from sim.study.objectives import conditions_of, require_horizons
from sim.study.plan import Cell, Planner
from sim.study.plan_run import point_of_plan, replications_for
from sim.study.planning import may_know_runs
from sim.study.points import Axis, place_text
from sim.study.sizes import sizes_of
from sim.study.stated_ranges import check_uncertain

Line = tuple[str, str]

MOST_WARNINGS: Final = 8
"""Most warnings about points of a study."""
MOST_LEVELS: Final = 12
"""An axis of more levels is told by its ends."""
KEEP_S: Final = 0.005
"""Time of a worker to hand over the result of a run, which is stored: measured, 2 to 5 ms."""
START_S: Final = 1.5
"""Time to start a worker that loads compiled code: measured on an idle machine."""
REPORT_S: Final = 3.5
"""Time to write the report of a small study and its figures: CPU time, 3.7 s measured."""


def explain_study(
    path: str | Path,
    settings: Sequence[str] = (),
    *,
    jobs: int | None = None,
    large: bool = False,
    plugin: Plugin | None = None,
) -> list[Section]:
    """Return what the study in the file `path` would run, section by section.

    Every scenario of the study is resolved, so what cannot be is refused here already, with a
    `ScenarioError`.  `jobs` is how many runs go on at a time; default one per CPU.
    """
    source = load_study(path, settings)
    planner, _ = planner_of(source, large=large, plugin=plugin)
    check_uncertain(planner)
    study = planner.study
    n_jobs = available_cpus() if jobs is None else jobs
    question = [("question", study.question)] if study.question else []
    answer = study.answer.metric
    if study.need is not None:
        answer = f"{answer}, as a bound for {_bounded(planner)}"
    axes = [(axis.label, _axis_words(axis)) for axis in planner.axes]
    labels = [axis.label for axis in planner.axes]
    name = planner.points[0].name
    named = [("name", name)] if name else []
    if study.plan is not None or study.catalogue is not None:
        return [
            Section(f"Study {study.name}", (*question, ("base", study.base))),
            Section("Plan", tuple(_plan(source, planner, n_jobs))),
            *explain_scenario(planner.main_cells()[0].scenario, planner.programs),
        ]
    return [
        *_warnings(planner),
        Section(f"Study {study.name}", (*question, ("base", study.base), ("answer", answer))),
        Section("Points", (*axes, ("points", f"{len(planner.points)}, {planner.design.words}"))),
        Section("Runs", tuple(_runs(planner, n_jobs))),
        Section("The first point", (*named, *zip(labels, planner.points[0].levels, strict=True))),
        *explain_scenario(planner.main_cells()[0].scenario, planner.programs),
    ]


def _plan(study: Study, planner: Planner, jobs: int) -> list[tuple[str, str]]:
    """Return what `cowpool plan` would do with a study, `jobs` runs at a time, as labelled lines.

    Raises `ScenarioError` as `run_plan` does.
    """
    point = point_of_plan(study, planner)
    sizes = sizes_of(study, planner, point)
    asked, objectives = study.file.plan or Search(), study.file.objectives
    conditions = conditions_of(study)
    ends = (sizes.every[0], sizes.every[-1])
    cells = (planner.size_cell("sizes", point, 0, each.sets) for each in ends)
    require_horizons(study, conditions, (cell.scenario for cell in cells))
    middle = planner.size_cell("sizes", point, 0, sizes.every[len(sizes.every) // 2].sets)
    n = replications_for(study, planner, point, sizes)
    about = runs_of(n, asked, len(sizes.every))
    seconds = format_duration(round((START_S + about * (middle.weight + KEEP_S) / jobs) * S))
    runs = f"at most some {about:,} for {counted(n, 'replication')}, about {seconds}"
    known = "nothing feeds back on memory: runs that are known from others are not made, so"
    known += f" {n:,} may do, and it is seen as they are made how many are known"
    is_one_run = may_know_runs(planner, point, sizes, conditions)
    which = "smallest" if sizes.smallest else "largest"
    share, sure = f"{100 * objectives.share:g} %", f"{100 * objectives.confidence:g} %"
    reach = f"{sizes.every[0].name} to {sizes.every[-1].name}"
    return [
        ("looks for", f"the {which} {sizes.title} of {len(sizes.every)} sizes, {reach}"),
        ("where", f"in {share} of runs, surely at {sure}: {'; '.join(map(str, conditions))}"),
        ("runs", f"{runs} with {jobs} at a time"),
        *([("known", known)] if is_one_run else []),
    ]


def _warnings(planner: Planner) -> list[Section]:
    """Return what bars an answer at the points behind the first, whose scenario is explained."""
    lines: list[Line] = []
    for cell in planner.main_cells()[1:]:
        section = warnings_section(cell.scenario, planner.programs)
        where = place_text(planner.axes, planner.points[cell.point])
        lines += (
            [] if section is None else [(f"{where}: {what}", why) for what, why in section.lines]
        )
    if len(lines) > MOST_WARNINGS:
        more = len(lines) - MOST_WARNINGS
        lines[MOST_WARNINGS:] = [(f"and {more:,} more", "at further points")]
    return [Section("Warnings", tuple(lines))] if lines else []


def _bounded(planner: Planner) -> str:
    """Return what share of events the bound will cover, and why no more."""
    answer = planner.study.answer
    share, level = 100 * answer.content, f"at {100 * answer.confidence:g} % confidence"
    needed = values_needed(content=answer.content, confidence=answer.confidence)
    n = min(planner.replications(cell).most for cell in planner.main_cells())
    if n >= needed:
        return f"{share:g} % of {answer.event} {level}"
    if answer.normal_because is not None:
        return f"{share:g} % of {answer.event} {level}, declared normal: {answer.normal_because}"
    less = 100 * supported_content(n, confidence=answer.confidence)
    return f"{less:g} % of {answer.event} {level}: {share:g} % would take {counted(needed, 'run')}"


def _runs(planner: Planner, jobs: int) -> list[Line]:
    study = planner.study
    main = planner.main_cells()
    what = "on a large host" if planner.main_part == "need" else "on the scenario's host"
    orders = [(cell, planner.replications(cell)) for cell in main]
    lines = [(f"each point {what}", f"{_times([r for _, r in orders])}; hosts of {_sizes(main)}")]
    # What the answer will be is not known yet: it is taken for the heaviest point it may be about.
    heaviest = max((main[point] for point in planner.candidates()), key=lambda cell: cell.weight)
    if study.one_at_a_time:
        once = Replications(least=study.one_at_a_time, most=study.one_at_a_time)
        tried = input_cells(planner, heaviest.point, reads_disk=False)
        names = ", ".join(dict.fromkeys(each.label for each, _, _ in tried))
        lines.append(
            ("one input at a time", f"{counted(len(tried), 'run')} of the answer's point: {names}")
        )
        lines.append(("all at their worst ends", f"{_times([once])}, the answer's point"))
        orders += [(cell, once) for _, _, cell in tried] + [(heaviest, once)]
    if study.sample:
        lines.append(("all inputs drawn", f"{counted(study.sample, 'run')} of the answer's point"))
        orders.append((heaviest, Replications(least=study.sample, most=study.sample)))
    if study.container is not None:
        boxed, cells = study.container, container_cells(planner, heaviest.point)
        in_all = boxed.replications + 2 * boxed.tried
        orders += [(cell, Replications(least=in_all, most=in_all)) for cell in cells]
        without = counted(boxed.replications, "time")
        what = f"{without} without a limit, {boxed.tried} with it, and with less"
        lines.append(("the answer in a container", f"{', '.join(names_of(planner))}: {what}"))
    if study.check is not None:
        often, hosts = study.check.replications, planner.check_cells()
        what = f"each point on {counted(len(study.check.by), 'host')}"
        lines.append((what, f"{_times([often])}; hosts of {_sizes(hosts)}"))
        orders += [(cell, often) for cell in hosts]
        if study.check.around:
            factors = ", ".join(f"{factor:g}" for factor in study.check.around)
            whose = "the answer's" if study.check.around_at == "answer" else "each"
            what = f"{whose} point on {len(study.check.around)} more"
            lines.append((what, f"{_times([often])}; {factors} times the answer"))
            near = [heaviest] if study.check.around_at == "answer" else main
            orders += [(cell, often) for cell in near for _ in study.check.around]
        if study.check.fresh:
            fresh = Replications(least=study.check.fresh, most=study.check.fresh)
            lines.append(("the answer itself", f"{_times([fresh])}, with fresh random numbers"))
            orders.append((heaviest, fresh))
    runs = [sum(r.least for _, r in orders), sum(r.most for _, r in orders)]
    work_s = [
        sum((cell.weight + KEEP_S) * r.least for cell, r in orders),
        sum((cell.weight + KEEP_S) * r.most for cell, r in orders),
    ]
    beside_s = START_S + REPORT_S
    spent = [format_duration(round((beside_s + seconds / jobs) * S, -8)) for seconds in work_s]
    lines.append(("runs altogether", " to ".join(map(str, dict.fromkeys(runs)))))
    between = " to ".join(dict.fromkeys(spent))
    lines.append(
        (
            "time",
            f"very roughly {between}, {jobs} at a time, on an idle machine; of which "
            f"{beside_s:g} s to start and to report, and before it the first compilation",
        )
    )
    return lines


def _axis_words(axis: Axis) -> str:
    names = [level.name for level in axis.levels]
    scale = ""
    if axis.range is not None:
        scale = f", {'logarithmic' if axis.range.log else 'linear'} scale"
    if len(names) > MOST_LEVELS:
        return f"{_levels(len(names))}: {names[0]} to {names[-1]}{scale}"
    return f"{_levels(len(names))}: {', '.join(names)}{scale}"


def _levels(n: int) -> str:
    return counted(n, "level")


def _times(often: Sequence[Replications]) -> str:
    least, most = (sorted({getattr(r, name) for r in often}) for name in ("least", "most"))
    low = f"{least[0]} to {least[-1]}" if least[0] < least[-1] else str(least[0])
    often_words = "once" if low == "1" else f"{low} times"
    if least == most:
        return often_words
    return f"{often_words}, up to {most[-1]} where chance matters"


def _sizes(cells: Sequence[Cell]) -> str:
    sizes = [cell.memory_bytes for cell in cells]
    low, high = format_bytes(min(sizes)), format_bytes(max(sizes))
    return low if low == high else f"{low} to {high}"
