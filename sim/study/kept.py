"""What a store keeps of its study: the study itself, and what its points are called and set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.scenario.document import Document
from sim.scenario.study import Study, StudyFile, parsed_study
from sim.study.points import Axis, Point, place_text


@dataclass(frozen=True, slots=True)
class KeptPoints:
    """A kept study, what each of its points is called, and the keys that points set."""

    study: StudyFile
    names: Mapping[int, str]
    keys: Sequence[str]


def points_kept(axes: Sequence[Axis], points: Sequence[Point]) -> dict[str, Any]:
    """Return what a store keeps of points, for whoever has neither the base nor a plug-in."""
    return {
        "point_names": {str(point.index): place_text(axes, point) for point in points},
        "point_keys": list(dict.fromkeys(key for point in points for key in point.sets)),
    }


def study_again(kept: Mapping[str, Any]) -> Study:
    """Return the study that a store has kept.

    Raises `ScenarioError` if this cowpool does not read it any more.
    """
    return parsed_study(Document.from_json(kept["study"], kept["file"]), Path())


def kept_points(kept: Mapping[str, Any]) -> KeptPoints:
    """Return what is known of the points of the study that a store has kept.

    A store that was written before it kept them has numbers only.
    """
    names = {int(number): name for number, name in kept.get("point_names", {}).items()}
    return KeptPoints(study_again(kept).file, names, kept.get("point_keys", ()))
