"""What a store keeps of its study, read again: the study itself, and what its points are called."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.scenario.document import Document
from sim.scenario.study import Study, StudyFile, parsed_study
from sim.study.answer import place_text
from sim.study.points import Point, axes_of, points_of


@dataclass(frozen=True, slots=True)
class KeptPoints:
    """A kept study, its points by their numbers, and what each is called."""

    study: StudyFile
    points: Mapping[int, Point]
    names: Mapping[int, str]


def study_again(kept: Mapping[str, Any]) -> Study:
    """Return the study that a store has kept.

    Raises `ScenarioError` if this cowpool does not read it any more.
    """
    return parsed_study(Document.from_json(kept["study"], kept["file"]), Path())


def kept_points(kept: Mapping[str, Any]) -> KeptPoints:
    """Return the points of the study that a store has kept; neither base nor plug-in is needed."""
    study = study_again(kept)
    axes = axes_of(study)
    points = {point.index: point for point in points_of(axes)}
    names = {number: place_text(axes, point) for number, point in points.items()}
    return KeptPoints(study.file, points, names)
