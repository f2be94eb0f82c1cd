"""The schema of a study: a base scenario, what varies, how often, and the question.

Here is only what a study file may say.  What it means, run by run, is `sim.study.plan`'s
business.  A key path is written as on the command line: ``processes.redis.dataset``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from sim.base.errors import ScenarioError
from sim.base.resources import config_path
from sim.scenario.complaints import checked, suggestion
from sim.scenario.constraints import constraint_of
from sim.scenario.container import Container
from sim.scenario.csv_files import with_data_of_files
from sim.scenario.designs import Design, DesignForm, RangeAxis, with_points_of_file
from sim.scenario.document import Document, Keys, read_document
from sim.scenario.overrides import apply_settings, split_path
from sim.scenario.profiles import names_a_file
from sim.scenario.quantities import Closed
from sim.scenario.questions import (
    Answer,
    Check,
    KeyPath,
    LevelName,
    Need,
    Objectives,
    Replications,
    Search,
    UncertainInput,
)


def _kind_of_replications(value: object) -> str:
    """Return the name of the type that a number of replications is read as."""
    return "Replications" if isinstance(value, dict | Replications) else "int"


class ZippedAxis(Closed):
    """Several keys that change together: the n-th level takes the n-th value of each."""

    zip: dict[KeyPath, list[Any]] = Field(min_length=1)
    names: list[str] | None = Field(default=None, description="one name a level")

    @model_validator(mode="after")
    def _equally_long(self) -> Self:
        lengths = {len(values) for values in self.zip.values()}
        if len(lengths) != 1 or lengths == {0}:
            raise ValueError("zipped keys need equally many values, at least one")
        if self.names is not None and {len(self.names)} != lengths:
            raise ValueError(f"{len(self.names)} names for {lengths.pop()} levels")
        return self

    @property
    def n_levels(self) -> int:
        """How many levels the axis has."""
        return len(next(iter(self.zip.values())))


def _kind_of_axis(value: object) -> str:
    """Return the name of the type that an axis is read as."""
    if isinstance(value, ZippedAxis) or (isinstance(value, dict) and "zip" in value):
        return "ZippedAxis"
    if isinstance(value, RangeAxis) or (isinstance(value, dict) and "range" in value):
        return "RangeAxis"
    return "dict" if isinstance(value, dict) else "list"


_NAMED_LEVELS: Final[dict[str, Any]] = {
    "type": "object",
    "not": {"anyOf": [{"required": ["zip"]}, {"required": ["range"]}]},
}
"""Names and values, unlike the other mappings that an axis may be."""

AxisForm = Annotated[
    Annotated[list[Any], Tag("list")]
    | Annotated[ZippedAxis, Tag("ZippedAxis")]
    | Annotated[RangeAxis, Tag("RangeAxis")]
    | Annotated[dict[str, Any], Tag("dict"), WithJsonSchema(_NAMED_LEVELS)],
    Discriminator(_kind_of_axis),
]
"""Levels as a list, by name, or of several keys at once; or a range."""


class _PlacedError(ValueError):
    """Something is wrong with what `path` leads to."""

    def __init__(self, path: tuple[str, ...], what: str) -> None:
        super().__init__(path, what)
        self.path = path
        self.what = what


class StudyFile(Closed):
    """A study: `base` changed by `set`, once at every point that `design` makes of `axes`."""

    version: Literal[1] = Field(examples=["1"], description="of the format; every file begins so")
    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64, description="its results are in `out/NAME`"
    )
    question: str = Field(default="", description="what is to be found out, in a sentence")
    base: str = Field(description="a scenario that ships with cowpool, or a path")
    set: dict[KeyPath, Any] = Field(default={}, description="changes that hold in every run")
    axes: dict[KeyPath, AxisForm] = Field(
        default={},
        description="key paths and their levels: a list; a mapping of names to values; "
        "`{range: [low, high], scale: log, levels: 5}`; or `{zip: {key: [...], key: [...]}}` for "
        "keys that change together. `design` says which combinations are points",
    )
    design: DesignForm = Field(
        default="grid",
        description="which combinations of levels are points: `grid`, all; `zip`, the first of "
        "each axis, the second of each, ...; `one at a time`, the baseline (or all first levels) "
        "and each other level with all else as there; `factorial`, all of two levels; or a mapping",
    )
    where: list[str] = Field(
        default=[],
        description="what holds at every point, such as `host.swap <= 2 * host.memory`; "
        "points where it does not are left out",
    )
    labels: dict[KeyPath, str] = Field(default={}, description="axis: words for people")
    replications: (
        Annotated[
            Annotated[int, Field(ge=1, le=100_000), Tag("int")]
            | Annotated[Replications, Tag("Replications")],
            Discriminator(_kind_of_replications),
        ]
        | None
    ) = Field(
        default=None,
        description="runs a point; default: as many as the bound takes without an assumption about"
        " the distribution, as far as a minute of work allows, and 10 at least",
    )
    seed: int = Field(
        ge=0, lt=2**64, examples=["1"], description="root of the random numbers of every run"
    )
    baseline: dict[KeyPath, LevelName] | None = Field(
        default=None, description="the point that others are compared with"
    )
    need: Need | None = None
    container: Container | None = None
    check: Check | None = None
    uncertain: dict[KeyPath, UncertainInput] = Field(
        default={},
        description="what is not known for sure, over what the programs themselves say: a key, or "
        "a price (`host.prices.cow_copy`), and `{low: 1, likely: 2, high: 4, scale: log}`, "
        "`{instead: [...]}` for a choice, `{distribution: {lognorm: {s: 0.3, scale: 200 MiB/s}}}`, "
        "or `{file: x.csv, column: speed, fit: lognorm}`; with `source`, and `measure`",
    )
    one_at_a_time: int = Field(
        default=1,
        ge=0,
        le=100_000,
        description="how often the answer's point is run with each input at each end of its range",
    )
    sample: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="how often the answer's point is run with all its inputs drawn at random from"
        " their ranges; shares of variance take some hundreds",
    )
    answer: Answer = Answer()
    plan: Search | None = Field(default=None, description="what `cowpool plan` looks for")
    objectives: Objectives = Objectives()
    catalogue: str | None = Field(
        default=None, description="a file of sizes that can be had, for `cowpool plan`"
    )
    metrics: list[str] = Field(default=[], description="further metrics to tabulate and draw")

    @field_validator("axes")
    @classmethod
    def _levels(cls, axes: dict[str, Any]) -> dict[str, Any]:
        for key, axis in axes.items():
            if isinstance(axis, dict | list) and not axis:
                raise ValueError(f"{key} needs at least one level")
        return axes

    @field_validator("where")
    @classmethod
    def _constraints(cls, where: list[str]) -> list[str]:
        for text in where:
            constraint_of(text)
        return where

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        varied = self.varied
        if not varied and self.plan is None and self.catalogue is None:
            raise _PlacedError(("axes",), "needs at least one key, or the study a `plan`")
        if self.axes and self.listed is not None:
            raise _PlacedError(("axes",), "the design has points of its own; keep one of them")
        if self.check is not None and self.need is None:
            raise ValueError("check needs `need`: the answer that it checks")
        for path, named in (
            (("labels",), self.labels),
            (("baseline",), self.baseline or {}),
            (("answer", "at"), self.answer.levels),
        ):
            for key in named:
                if key not in varied:
                    instead = suggestion(key, varied)
                    raise _PlacedError((*path, key), f"no axis of this study; {instead}")
        return self

    @property
    def listed(self) -> Mapping[str, Mapping[str, Any]] | None:
        """The points that are written themselves, by name or number; None if there are axes."""
        return self.design.listed() if isinstance(self.design, Design) else None

    @property
    def varied(self) -> list[str]:
        """The axes: those that are written, or the keys of points that are."""
        if self.listed is None:
            return list(self.axes)
        return list(dict.fromkeys(key for sets in self.listed.values() for key in sets))

    @property
    def fills(self) -> bool:
        """Whether the design spreads points over ranges, instead of taking levels of them."""
        return isinstance(self.design, Design) and bool(
            self.design.latin_hypercube or self.design.sobol
        )


@dataclass(frozen=True, slots=True)
class Study:
    """A study file as read: what it says, and where it says it."""

    file: StudyFile
    document: Document
    folder: Path

    def error(self, message: str, *path: str | int) -> ScenarioError:
        """Return the error that says `message` about the value at `path`."""
        return self.document.error(path, message)

    def point_place(self, name: str) -> str | int:
        """Return where a point that is written itself stands among them."""
        design = self.file.design
        return int(name) if isinstance(design, Design) and isinstance(design.points, list) else name

    def place_of(self, key: str, value: object = None) -> Keys | None:
        """Return where the study sets the scenario's `key`; None if it does not.

        Of several points that set it, that is the first which sets it to `value`.
        """
        file = self.file
        for name, sets in (file.listed or {}).items():
            if key in sets and sets[key] == value:
                return "design", "points", self.point_place(name), key
        for name, axis in file.axes.items():
            if name == key and not isinstance(axis, ZippedAxis):
                return "axes", name
            if isinstance(axis, ZippedAxis) and key in axis.zip:
                return "axes", name, "zip", key
        if file.plan is not None and key == file.plan.key:
            return ("plan", "in") if file.plan.between else ("plan",)
        if key in file.set:
            return "set", key
        if key in file.uncertain:
            return "uncertain", key
        if file.need is not None and key in file.need.set:
            return "need", "set", key
        return ("check", "by") if file.check is not None and key == "host.memory" else None


def load_study(path_or_name: str | Path, settings: Sequence[str] = ()) -> Study:
    """Read a study: a path to a file, or the name of one that ships with cowpool.

    `settings` are changes as on the command line: of a key of the study (``replications=5``,
    ``answer.content=0.9``), or of its scenario, in every run (``host.cpus=4``).  An axis that is
    set has this level alone, or those of a list.

    Raises `ScenarioError` for whatever is wrong with it by itself; its base is not looked at.
    """
    text = str(path_or_name)
    path = Path(text)
    if names_a_file(text, "studies"):
        document = read_document(path, text)
    else:
        try:
            path = config_path("studies", text)
        except ScenarioError as error:
            raise ScenarioError(f"there is no such file, and {error.message}", text) from None
        document = read_document(path, f"{text}.yaml")
    if settings and "base" in document.data:
        document = apply_settings(document, settings, _study_setting)
    return parsed_study(document, path.parent)


_BY_KEY_PATH: Final = (
    ("axes",), ("set",), ("labels",), ("baseline",), ("uncertain",), ("need", "set"),
    ("answer", "at"), ("container", "set"), ("container", "of"),
)  # fmt: skip
"""Mappings of a study whose keys are key paths of its scenario."""


def _study_setting(document: Document, key: str, value: Any) -> tuple[Keys, Any]:
    """Return where a setting goes in a study, and what goes there.

    Raises `ValueError`, with what would be right, for what would have no effect.
    """
    path = split_path(key)
    for prefix in _BY_KEY_PATH:
        if path[: len(prefix)] == prefix and len(path) > len(prefix):
            return (*prefix, key.removeprefix(f"{'.'.join(prefix)}.")), value
    if key == "run.seed":
        return ("seed",), value
    if path[0] in StudyFile.model_fields:
        return path, value
    axes = document.data.get("axes")
    if isinstance(axes, Mapping):
        if key in axes:
            return ("axes", key), value if isinstance(value, list) else [value]
        for name, axis in axes.items():
            if isinstance(axis, Mapping) and key in (axis.get("zip") or {}):
                raise ValueError(f"the axis {name!r} sets it; write `--set axes.{name}={{...}}`")
    need = document.data.get("need")
    if isinstance(need, Mapping) and key in (need.get("set") or {}):
        raise ValueError(
            "need.set makes the host that the need is measured on; "
            f"write `--set need.set.{key}=...` to change that"
        )
    return ("set", key), value


def parsed_study(document: Document, folder: Path) -> Study:
    """Return a study from its document; `folder` is what its base's path is relative to."""
    if "processes" in document.data and "base" not in document.data:
        raise document.error((), "is a scenario; run it with `cowpool run`")
    document = with_data_of_files(with_points_of_file(document, folder), folder)
    return Study(checked(StudyFile, document), document, folder)
