"""What a study means before it runs: points, runs, hosts, and the time they may take."""

from collections.abc import Sequence
from pathlib import Path

from sim.scenario.explain import Section
from sim.scenario.study import Replications, StudyFile, load_study
from sim.study.base import planner_of
from sim.study.executor import available_cpus
from sim.study.plan import Cell, Planner
from sim.units import S, format_bytes, format_duration

Line = tuple[str, str]


def explain_study(path: str | Path, *, jobs: int | None = None) -> list[Section]:
    """Return what the study in the file `path` would run, section by section.

    Every scenario of the study is resolved, so what cannot be is refused here already, with a
    `ScenarioError`.  `jobs` is how many runs go on at a time; default one a CPU.
    """
    planner, _ = planner_of(load_study(path))
    study = planner.study
    question = [("question", study.question)] if study.question else []
    asked = f"{100 * study.answer.content:g} % of {study.answer.event}"
    answer = (
        f"{study.answer.metric}, as a bound for {asked}"
        if study.need is not None
        else study.answer.metric
    )
    axes = [
        (axis.label, f"{len(axis.levels)} levels: {', '.join(level.name for level in axis.levels)}")
        for axis in planner.axes
    ]
    return [
        Section(f"Study {study.name}", (*question, ("base", study.base), ("answer", answer))),
        Section("Points", (*axes, ("points", f"{len(planner.points)}, every combination"))),
        Section("Runs", tuple(_runs(planner, available_cpus() if jobs is None else jobs))),
    ]


def _runs(planner: Planner, jobs: int) -> list[Line]:
    study = planner.study
    main, check = planner.main_cells(), planner.check_cells()
    often = study.replications
    if isinstance(often, int):
        often = Replications(least=often, most=often)
    what = "on a roomy host" if planner.main_part == "need" else "on the scenario's host"
    lines = [(f"each point {what}", f"{_times(often)}; hosts of {_sizes(main)}")]
    counts = [(main, often)]
    if study.check is not None:
        counts.append((check, study.check.replications))
        lines.append(
            (
                f"each point on {len(study.check.by)} hosts",
                f"{_times(study.check.replications)}; hosts of {_sizes(check)}",
            )
        )
    around = _around(study, len(planner.points))
    if around:
        lines.append(("on hosts around the answer", f"{around} runs"))
    least = sum(len(cells) * r.least for cells, r in counts) + around
    most = sum(len(cells) * r.most for cells, r in counts) + around
    work_s = [
        sum(cell.weight * n for cells, r in counts for cell in cells for n in (getattr(r, name),))
        for name in ("least", "most")
    ]
    extra_s = sum(cell.weight for cell in main) * around / max(len(main), 1)
    spent = [format_duration(round((s + extra_s) * S / jobs)) for s in work_s]
    lines.append(("runs altogether", f"{least}" if least == most else f"{least} to {most}"))
    between = spent[0] if least == most else f"{spent[0]} to {spent[1]}"
    lines.append(("time", f"very roughly {between}, {jobs} at a time"))
    return lines


def _around(study: StudyFile, n_points: int) -> int:
    if study.check is None:
        return 0
    return n_points * len(study.check.around) * study.check.replications.most


def _times(replications: Replications) -> str:
    if replications.least == replications.most:
        return f"{replications.least} times"
    return f"{replications.least} times, up to {replications.most} where chance matters"


def _sizes(cells: Sequence[Cell]) -> str:
    sizes = [cell.memory_bytes for cell in cells]
    low, high = format_bytes(min(sizes)), format_bytes(max(sizes))
    return low if low == high else f"{low} to {high}"
