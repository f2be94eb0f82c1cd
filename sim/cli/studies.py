"""A study in derived numbers, before anything has run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import ScenarioError
from sim.resources import shipped
from sim.scenario.document import read_document
from sim.scenario.explain import Section, explain_scenario
from sim.units import S, format_duration

if TYPE_CHECKING:
    from sim.scenario.study import StudyFile


def study_sections(path: str) -> list[Section]:
    """Return what a study means, and then what the scenario of its first point means.

    Every point is resolved, so that an impossible one is found here.  Raises `ScenarioError`.
    """
    from sim.scenario.study import load_study
    from sim.study.base import planner_of

    study = load_study(path)
    planner, _ = planner_of(study)
    cells, checks = planner.main_cells(), planner.check_cells()
    file = study.file
    least, most = _replications(file)
    lines = [("question", file.question or "none is written down"), ("base", file.base)]
    for axis in planner.axes:
        names = ", ".join(level.name for level in axis.levels)
        lines.append((axis.key, f"{len(axis.levels)} levels: {names}"))
    lines.append(("points", f"{len(cells):,}, every combination of the levels"))
    a_point, in_all = _from_to(least, most), _from_to(len(cells) * least, len(cells) * most)
    lines.append(("replications", f"{a_point} a point: {in_all} runs"))
    if file.check is not None:
        tries = file.check.replications
        runs = _from_to(tries.least, tries.most)
        lines.append(("checks", f"{len(checks):,} hosts, {runs} runs each"))
    work_s = sum(cell.weight for cell in cells) * least
    lines.append(("work", f"roughly {format_duration(round(work_s * S))} of one CPU at the least"))
    lines.append(("seed", f"{file.seed}, the same random numbers at every point"))
    first = explain_scenario(cells[0].scenario)
    titled = Section(f"Study {file.name}", tuple(lines))
    point = ", ".join(planner.points[0].levels)
    return [titled, Section("Its first point", (("levels", point),)), *first]


def is_study(path: str) -> bool:
    """Return whether a file, or what ships under that name, is a study rather than a scenario.

    What cannot be read is left to whoever reads it next, to say so.
    """
    file = Path(path)
    if not file.is_file():
        return path in shipped("studies") and path not in shipped("scenarios")
    try:
        return "base" in read_document(file, path).data
    except ScenarioError:
        return False


def _from_to(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _replications(file: StudyFile) -> tuple[int, int]:
    if isinstance(file.replications, int):
        return file.replications, file.replications
    return file.replications.least, file.replications.most
