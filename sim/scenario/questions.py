"""What a study may ask, and how: needs, checks, uncertain inputs, answers, plans, objectives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from sim.scenario.document import WrittenNumber
from sim.scenario.quantities import Closed, PositiveDuration, within

KeyPath = Annotated[str, Field(pattern=r"^[A-Za-z_][\w-]*(\.[\w-]+)*$")]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Times(Closed):
    """A value that is a multiple of another one, such as memory three times the data set."""

    times: KeyPath = Field(description="the key whose value is multiplied")
    by: float = Field(gt=0, description="the factor")


def as_times(value: object) -> Times | None:
    """Return `value` as a multiple of another key, or None if it is a plain value.

    Raises `ValueError` if it is meant as one and is not.
    """
    if isinstance(value, Times):
        return value
    if not isinstance(value, Mapping) or not value or not set(value) <= {"times", "by"}:
        return None
    try:
        return Times.model_validate(dict(value))
    except ValidationError:
        raise ValueError("no multiple of a key; write `{times: key.path, by: 1.7}`") from None


class Replications(Closed):
    """How often each point is run: at least, and at most where it matters."""

    least: int = Field(ge=1, le=100_000, description="at least so often")
    most: int = Field(
        ge=1, le=100_000, description="where chance matters, and at the point the answer is about"
    )
    precision: Fraction = Field(
        default=0.05,
        description="chance matters while the answer's half-width, or what its tolerance bound"
        " adds, is more than this fraction of its mean",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.most < self.least:
            raise ValueError(f"most ({self.most}) must be at least least ({self.least})")
        return self


def level_name(value: object) -> str:
    """Return a level as its axis names it: as it was written, with a blank before its unit.

    >>> level_name(False), level_name(4), level_name("1GiB"), level_name("5000/s")
    ('false', '4', '1 GiB', '5000/s')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return re.sub(r"^([0-9][0-9.,_]*)([A-Za-z]+)$", r"\1 \2", str(value))


def _level_name(value: object) -> object:
    return level_name(value) if isinstance(value, bool | str | WrittenNumber) else value


LevelName = Annotated[str | int | float, BeforeValidator(_level_name)]


class Need(Closed):
    """Memory needed is measured on a host so large that nothing runs short."""

    set: dict[KeyPath, Any] = Field(description="what makes the host large")


class Check(Closed):
    """Hosts of chosen sizes on which the answer is tried."""

    times: KeyPath = Field(description="the key whose multiples are tried as host.memory")
    by: list[Annotated[float, Field(gt=0)]] = Field(min_length=1, description="the multiples")
    around: list[Annotated[float, Field(gt=0)]] = Field(
        default=[], description="multiples of the memory that a point turns out to need"
    )
    around_at: Literal["answer", "every point"] = Field(
        default="every point", description="which points are tried around what they need"
    )
    margin: Fraction = Field(
        default=0.03,
        description="a host whose size is further from the need than this, and than the tolerance"
        " bounds, is sure once `least` runs agree",
    )
    replications: Replications = Field(
        default=Replications(least=3, most=10),
        description="`most` on hosts where chance decides, `least` on those that are sure",
    )
    fresh: int = Field(
        default=10,
        ge=0,
        le=10_000,
        description="runs of the answer's point on a host of the size it names, with random"
        " numbers that had no part in the answer: they can refute it",
    )

    @field_validator("by", "around")
    @classmethod
    def _ascending(cls, value: list[float]) -> list[float]:
        if value != sorted(set(value)):
            raise ValueError("write each multiple once, in ascending order")
        return value


class UncertainInput(Closed):
    """How far from its value a key of the scenario may truly lie, and how its value is known."""

    low: Any = Field(default=None, description="low end of the range")
    likely: Any = Field(default=None, description="the value that all other runs take")
    high: Any = Field(default=None, description="high end of the range")
    scale: Literal["linear", "log"] | None = Field(
        default=None,
        description="on which scale a range is drawn; default: `log` for rates and speeds, else"
        " `linear`",
    )
    instead: list[Any] = Field(default=[], description="for a choice: what else it may be")
    distribution: dict[str, dict[str, Any]] | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="a continuous distribution of `scipy.stats` with its parameters: "
        "`{lognorm: {s: 0.3, scale: 200 MiB/s}}`; `low` and `high` cut it",
    )
    data: list[Any] | None = Field(
        default=None,
        min_length=1,
        description="values that were measured: drawn as they are, or from a distribution that is"
        " fitted to them (`fit`)",
    )
    file: str | None = Field(
        default=None,
        description="a CSV file that has them: its only column, or `column`; beside `data`, where"
        " those are from",
    )
    column: str | None = Field(default=None, description="which column of the file")
    fit: str | None = Field(
        default=None, description="the distribution of `scipy.stats` that is fitted to the data"
    )
    source: str = Field(
        default="",
        description="where value and range come from: `measured: ...`, or `assumed: ...`",
    )
    measure: str = Field(default="", description="what to look at to learn the value")

    @model_validator(mode="after")
    def _range_or_choice(self) -> Self:
        if self.instead and not (self.low is None and self.high is None):
            raise ValueError("has a range and a choice; keep `low` and `high`, or `instead`")
        measured = self.data is not None or self.file is not None
        if (self.distribution is not None) + measured + bool(self.instead) > 1:
            raise ValueError("has two of `distribution`, data and `instead`; keep one of them")
        if self.fit is not None and not measured:
            raise ValueError("has nothing to fit to; add `data: [...]`, or `file: x.csv`")
        return self

    @property
    def has_law(self) -> bool:
        """Whether it is a distribution, or data."""
        return self.distribution is not None or self.data is not None


def _kind_of_point(value: object) -> str:
    """Return the name of the type that the point of an answer is read as."""
    return "dict" if isinstance(value, dict) else "str"


PointForm = Annotated[
    Annotated[dict[str, LevelName], Tag("dict")] | Annotated[str, Tag("str")],
    Discriminator(_kind_of_point),
]
"""A point by levels of its axes, or by its name."""


class Answer(Closed):
    """The figure that the study is after, and how sure it has to be."""

    metric: str = Field(default="memory_need_bytes.total", description="a metric, dotted")
    content: Fraction = Field(default=0.99, description="share of events the bound must cover")
    confidence: Fraction = Field(default=0.95, description="how sure the answer has to be")
    at: PointForm | None = Field(
        default=None,
        description="the point that the sentence is about, by its levels or its name; default: the"
        " largest",
    )
    subject: str = Field(default="a host", description="who is told, as in `a Redis host`")
    event: str = Field(default="runs", description="what the bound covers, as in `saves`")
    normal_because: str | None = Field(
        default=None,
        min_length=1,
        max_length=300,
        description="the needs of a point are normally distributed, and why; without it, a bound"
        " claims no more than so many runs support whatever the distribution",
    )

    @property
    def levels(self) -> Mapping[str, str | int | float]:
        """The levels of axes that the point is named by; none if it has its own name."""
        return self.at if isinstance(self.at, dict) else {}


class Search(Closed):
    """The smallest size at which the objectives are met, or the largest."""

    minimise: KeyPath | None = Field(default=None, description="a key: how small may it be?")
    maximise: KeyPath | None = Field(default=None, description="a key: how large may it be?")
    between: list[Any] | None = Field(
        default=None,
        alias="in",
        min_length=2,
        max_length=2,
        description="its smallest and largest value; default: an eighth of its value to eight"
        " times as much",
    )
    resolution: Fraction = Field(
        default=0.01, description="neighbouring sizes differ by this fraction"
    )
    runs: Annotated[int, within(1, 100_000)] | None = Field(
        default=None,
        description="replications; default: as many as the objectives take. Fewer support a"
        " smaller share, which is said",
    )
    time: PositiveDuration | None = Field(
        default=None,
        description="so long all runs may take, one after the other, as foretold; those with inputs"
        " at their ends come on top",
    )
    probes: int = Field(
        default=100,
        ge=0,
        le=100_000,
        description="runs at sizes beyond the answer, one a replication at most, which see whether"
        " more makes it worse",
    )
    curve: int = Field(
        default=20,
        ge=0,
        le=100_000,
        description="replications at each of some sizes about the answer, for the capacity curve",
    )
    headroom: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.1, description="what the line to set adds to the answer, or takes from it"
    )

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if self.minimise is not None and self.maximise is not None:
            raise ValueError("has `minimise` and `maximise`; keep one of them")
        return self

    @property
    def key(self) -> str | None:
        """The key that is looked for."""
        return self.minimise or self.maximise


class Objectives(Closed):
    """What has to hold, in which share of all runs."""

    share: Fraction = Field(default=0.99, description="in this share of all runs")
    confidence: Fraction = Field(default=0.95, description="how sure that has to be")
    each_run: list[str] = Field(
        default=["oom_kills = 0"],
        min_length=1,
        description="conditions on metrics, such as `fork_latency_ns.max <= 50 ms`; a run has to"
        " be an answer besides (`validity`)",
    )
