"""How memory is touched: patterns of pages, and when requests arrive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sim.base.units import parse_duration, parse_rate
from sim.program.steps.errors import Path, StepsError, kind_of, unknown
from sim.program.steps.readers import (
    COUNT,
    Scope,
    Verb,
    a_share,
    list_of,
    quantity,
    read_arguments,
    reads,
)


@reads("a pattern")
def a_pattern(value: Any, path: Path, scope: Scope) -> Any:
    """Read which pages are touched, in which order."""
    if value == "sequential":
        return "sequential"
    if not isinstance(value, Mapping) or len(value) != 1:
        raise StepsError(
            path,
            "must be `sequential`, `{uniform: COUNT}`, `{hot_cold: {count:, hot_fraction:,"
            f" hot_share:}}}}` or `{{listed: [PAGE, ...]}}`, got {kind_of(value)}",
        )
    kind, said = next(iter(value.items()))
    path = (*path, str(kind))
    if kind == "uniform":
        return {"uniform": COUNT(said, path, scope)}
    if kind == "listed":
        return {"listed": list_of(COUNT)(said, path, scope)}
    if kind == "hot_cold":
        arguments = read_arguments(HOT_COLD, said, path, scope)
        if arguments["hot_fraction"] == 0.0:
            raise StepsError((*path, "hot_fraction"), "must be more than 0")
        return {"hot_cold": arguments}
    raise StepsError(path, unknown("pattern", str(kind), ("uniform", "hot_cold", "listed")))


@reads("arrivals")
def some_arrivals(value: Any, path: Path, scope: Scope) -> dict[str, Any]:
    """Read when requests arrive."""
    if not isinstance(value, Mapping) or len(value) != 1:
        raise StepsError(
            path,
            "must be `{every: DURATION}`, `{poisson: RATE}` or `{at: [TIME, ...]}`,"
            f" got {kind_of(value)}",
        )
    kind, said = next(iter(value.items()))
    path = (*path, str(kind))
    if kind == "every":
        return {"every": quantity("a duration", parse_duration, 1)(said, path, scope)}
    if kind == "poisson":
        rate = quantity("a rate", parse_rate, 0)(said, path, scope)
        if not 0 < rate <= 1e9:
            raise StepsError(path, f"must be more than 0/s and at most 1e9/s, got {said}")
        return {"poisson": rate}
    if kind == "at":
        times = list_of(quantity("a duration", parse_duration, 0))(said, path, scope)
        if times != sorted(times):
            raise StepsError(path, "times must not decrease")
        return {"at": times}
    raise StepsError(path, unknown("kind of arrivals", str(kind), ("every", "poisson", "at")))


HOT_COLD: Final = Verb(
    {"count": COUNT, "hot_fraction": a_share, "hot_share": a_share},
    required=("count", "hot_fraction", "hot_share"),
)
