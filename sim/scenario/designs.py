"""Which points a study has: ranges of keys, the design over them, points made elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from sim.base.errors import ScenarioError
from sim.base.text import shorten
from sim.scenario.csv_files import Csv, read_csv, value_of_cell
from sim.scenario.document import Document, Place
from sim.scenario.quantities import Closed
from sim.scenario.questions import KeyPath

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOST_POINTS: Final = 100_000
NAME: Final = "name"
"""The column of a file of points that is no key: what each is called."""

Scale = Literal["linear", "log"]


class RangeAxis(Closed):
    """A key that may have any value of a range."""

    range: list[Any] = Field(min_length=2, max_length=2, description="smallest and largest value")
    scale: Scale | None = Field(
        default=None,
        description="what is spread evenly: the value, or its logarithm; default: `log` for rates "
        "and speeds, else `linear`",
    )
    levels: int | None = Field(
        default=None,
        ge=2,
        le=MOST_POINTS,
        description="how many values, both ends among them; default: 2, and any number where the "
        "design chooses (`latin_hypercube`, `sobol`)",
    )


class Design(Closed):
    """Which points are run, where that takes a number, a list or a file."""

    factorial: int | None = Field(
        default=None,
        ge=2,
        le=MOST_POINTS,
        description="a fraction of all combinations of two levels, of so many points: a power of 2",
    )
    latin_hypercube: int | None = Field(
        default=None,
        ge=2,
        le=MOST_POINTS,
        description="so many points; each axis is cut into as many strata, with a point in each",
    )
    sobol: int | None = Field(
        default=None,
        ge=2,
        le=MOST_POINTS,
        description="so many points of a scrambled Sobol sequence: a power of 2",
    )
    points: dict[str, dict[KeyPath, Any]] | list[dict[KeyPath, Any]] | None = Field(
        default=None,
        min_length=1,
        description="the points themselves, by name or as a list: key paths and values",
    )
    file: str | None = Field(
        default=None,
        description="a CSV file of points: a column a key path, and `name` if they have names; "
        "beside `points`, where those are from",
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        chosen = [name for name in _NUMBERED if getattr(self, name) is not None]
        listed = self.points is not None or self.file is not None
        if len(chosen) + listed != 1:
            raise ValueError(f"takes one of these; write {_CHOICES}")
        for name in ("factorial", "sobol"):
            n = getattr(self, name)
            if n is not None and n & (n - 1):
                low = 1 << (n.bit_length() - 1)
                raise ValueError(f"{name}: {n} is no power of 2; write {low} or {2 * low}")
        return self

    def listed(self) -> Mapping[str, Mapping[str, Any]] | None:
        """Return the points by name, or by number as text where they have none."""
        if isinstance(self.points, list):
            return {f"{n}": sets for n, sets in enumerate(self.points)}
        return self.points


_NUMBERED: Final = ("factorial", "latin_hypercube", "sobol")
_CHOICES: Final = "`factorial`, `latin_hypercube`, `sobol`, `points` or `file`"


def _kind_of_design(value: object) -> str:
    return "Design" if isinstance(value, dict | Design) else "word"


DesignForm = Annotated[
    Annotated[Literal["grid", "zip", "one at a time", "factorial"], Tag("word")]
    | Annotated[Design, Tag("Design")],
    Discriminator(_kind_of_design),
]


def with_points_of_file(document: Document, folder: Path) -> Document:
    """Return a study's document with the points of the CSV file that its design names.

    They have their lines in that file.  A document whose design names none, or has its points
    already, is returned as it is.  Raises `ScenarioError` for a file that cannot be read.
    """
    design = document.data.get("design")
    if not isinstance(design, dict) or not isinstance(design.get("file"), str):
        return document
    if set(design) != {"file"}:
        return document
    name = str(design["file"])
    points, lines = _points_of(read_csv(document, ("design", "file"), folder), name)
    places = dict(document.places)
    for key, line in lines.items():
        places["design", "points", key] = Place(name, line)
    data = {**document.data, "design": {"file": name, "points": points}}
    return Document(data, document.file, places)


def _points_of(csv: Csv, name: str) -> tuple[Any, dict[str | int, int]]:
    """Return the points of a CSV file as `Design.points` has them, and the line of each."""
    named: dict[str, dict[str, Any]] = {}
    lines: dict[str | int, int] = {}
    has_names = NAME in csv.header
    for line, cells in csv.rows:
        own = cells.pop(NAME, str(len(named)))
        if not own or own in named:
            message = f"{shorten(own)!r} names two points, or none; name them apart"
            raise ScenarioError(message, name, line, NAME)
        named[own] = {key: value_of_cell(key, cell, name, line) for key, cell in cells.items()}
        lines[own if has_names else int(own)] = line
    return (named if has_names else list(named.values())), lines
