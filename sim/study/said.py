"""What sentences and facts about a plan are made of: sizes, shares, reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sim.stats.record_search import Trial
from sim.study.judged import Judged
from sim.study.sizes import Sizes

MOST_NAMED: Final = 4


@dataclass(frozen=True, slots=True)
class Told:
    """Sentences, the answer first; whether it is one to act on, a size that will do; and facts."""

    sentences: tuple[str, ...]
    will_do: bool
    facts: Mapping[str, Any]


def name_of(sizes: Sizes, size: int) -> str:
    """Return what people write for a size."""
    return sizes.every[size].name


def said(sizes: Sizes, size: int) -> str:
    """Return a size with its key, or, of a catalogue, with what it sets."""
    name = name_of(sizes, size)
    if sizes.key is not None:
        return f"{sizes.key} {name}"
    return f"{name} ({sizes.to_set(size, 0)})"


def size_facts(sizes: Sizes, size: int) -> dict[str, Any]:
    """Return a size as JSON-able values."""
    every = sizes.every[size]
    return {"name": every.name, "figure": every.figure, "number": size}


def percent(share: float) -> str:
    """Return a share in per cent, of three digits.

    >>> percent(0.0475)
    '4.75 %'
    """
    return f"{100 * share:.3g} %"


def why(results: Sequence[Judged]) -> str:
    """Return why runs failed, the commonest reasons with how many runs had each; empty if none."""
    counts: dict[str, int] = {}
    for result in results:
        for reason in result.broken:
            counts[reason] = counts.get(reason, 0) + 1
    most = sorted(counts.items(), key=lambda item: -item[1])[:MOST_NAMED]
    return f" ({'; '.join(f'{reason}: {n}' for reason, n in most)})" if most else ""


def rows_of(judged: Mapping[Trial, Judged], sizes: Sizes) -> list[dict[str, Any]]:
    """Return a row for each run: size, replication, whether it passed, why not, its metrics.

    Runs that are known from others were not made, and have none.
    """
    return [
        {
            "size": name_of(sizes, trial.size),
            "figure": sizes.every[trial.size].figure,
            "replication": trial.replication,
            "passed": result.passed,
            "why": "; ".join(result.broken),
            **result.values,
        }
        for trial, result in sorted(judged.items(), key=lambda item: (item[0].size, item[0]))
        if not result.known
    ]
