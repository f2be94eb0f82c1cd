"""The model's own error, as far as somebody has held a program beside a real one.

Kept in files (``configs/comparisons``), by program, each figure with its source.  It is no chance
and no ignorance of inputs, so it is told as a line of its own and never added to either.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from sim.base.resources import config_path, shipped
from sim.base.units import parse_bytes
from sim.program import PROGRAMS
from sim.program.signature import parameters_of
from sim.scenario.complaints import checked
from sim.scenario.document import read_document
from sim.scenario.programs import show_value
from sim.scenario.quantities import Closed


class Row(Closed):
    """One comparison: the real figure is so many times the model's."""

    at: str
    times: float = Field(gt=0)


class Series(Closed):
    """Comparisons with one real program, in ascending order of what they differ by."""

    of: str
    source: str = Field(min_length=1)
    rows: list[Row] = Field(min_length=1)


class Comparison(Closed):
    """How a program of the model compares with real ones in one part of the memory."""

    version: Literal[1]
    program: str
    part: str
    what: str
    by: str
    when: dict[str, Any] = Field(default={})
    series: list[Series] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class ModelError:
    """How much more a real program has of a part of the memory than the model says.

    `low` and `high` are factors less one.  `where` says for which value they were found;
    `unlike`, what the scenario has that no comparison had, in words, empty if nothing.
    """

    program: str
    part: str
    what: str
    low: float
    high: float
    where: str
    unlike: str
    sources: tuple[tuple[str, str], ...]


def model_error(
    scenario: Mapping[str, Any], programs: Mapping[str, Callable[..., Any]] = PROGRAMS
) -> ModelError | None:
    """Return the model's error for the first process of a scenario; None if nobody compared it.

    A plug-in's program is another one, even if it has the name of one that ships.
    """
    process = next(iter(scenario["processes"].values()))
    name = process["program"]
    if name not in shipped("comparisons") or programs[name] is not PROGRAMS[name]:
        return None
    comparison = read_comparison(name)
    value = process[comparison.by]
    factors = [factor for series in comparison.series for factor in factors_at(series.rows, value)]
    unit = next(p.unit for p in parameters_of(PROGRAMS[name]) if p.key == comparison.by)
    unlike = [
        f"{key.replace('_', ' ')} {process[key]}"
        for key, wanted in comparison.when.items()
        if process[key] != wanted
    ]
    sizes = [parse_bytes(row.at) for series in comparison.series for row in series.rows]
    if not min(sizes) <= value <= max(sizes):
        unlike.append(f"{comparison.by.replace('_', ' ')} {show_value(unit, value)}")
    return ModelError(
        program=name,
        part=comparison.part,
        what=comparison.what,
        low=min(factors) - 1,
        high=max(factors) - 1,
        where=f"{comparison.by.replace('_', ' ')} {show_value(unit, value)}",
        unlike=", ".join(unlike),
        sources=tuple((series.of, series.source) for series in comparison.series),
    )


def read_comparison(program: str) -> Comparison:
    """Return the comparisons of a program that ships some."""
    path = config_path("comparisons", program)
    return checked(Comparison, read_document(path, path.name))


def factors_at(rows: Sequence[Row], size_bytes: float) -> tuple[float, ...]:
    """Return the factors of the comparisons next to a size: one if it was compared, else two.

    Beyond the first and the last row there is only that row.
    """
    by_size = sorted((parse_bytes(row.at), row.times) for row in rows)
    exact = [times for size, times in by_size if size == size_bytes]
    if exact:
        return tuple(exact)
    below = [times for size, times in by_size if size < size_bytes][-1:]
    above = [times for size, times in by_size if size > size_bytes][:1]
    return (*below, *above)
