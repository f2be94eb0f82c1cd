"""A study's results as tables for other programs: one row a point, and one a replication.

Every planned run is a row: those that failed, were cut off, or were never made as well.  A key of
the scenario in which runs differ is a column, whatever made them differ, in base units.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pandas as pd

from sim.base.files import require_places, stage
from sim.study.kept import KeptPoints, kept_points
from sim.study.key_kinds import is_kind, what_keys_take
from sim.study.reasons import last_line, raised_in
from sim.study.records import cut_off, errors_of, flatten, ran_out
from sim.study.store import Reader
from sim.study.stored import Outcome, PlannedRun

RUNS: Final = "runs"
POINTS: Final = "points"
DAMAGED: Final = "damaged"
"""Status of a run that was made, and whose result cannot be read any more."""
_SUFFIXES: Final = {"a size": "_bytes", "a duration": "_ns", "a rate": "_per_s",
                    "a speed": "_bytes_per_s"}  # fmt: skip
"""What ends the name of a column, by what its key takes."""
_PRICES: Final = "host.prices."
_SAID: Final = re.compile(r"host\.(published|machine)\b|.*\.(source|low_ps|high_ps)$")
"""Keys that say something of a host, and do nothing in a run."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: files, how many rows each table has, how many runs are damaged."""

    files: tuple[Path, ...]
    n_points: int
    n_runs: int
    n_damaged: int = 0


def export(store: Reader, folder: Path, formats: Sequence[str], programs: Any = None) -> Exported:
    """Write the tables of a store's current plan into `folder`, in `formats`: csv, parquet.

    `programs` are those that scenarios may name, for the units of their keys.  Parquet needs
    pyarrow.  Raises `ScenarioError` where nothing was planned, `CannotWriteError` for the folder.
    """
    runs, points = frames(store, programs)
    tables = {RUNS: runs, POINTS: points}
    names = [f"{table}.{kind}" for table in tables for kind in formats]
    require_places(folder, tuple(names), ())
    folder.mkdir(parents=True, exist_ok=True)
    with stage(folder, names[-1]) as made:
        for table, frame in tables.items():
            if "csv" in formats:
                frame.to_csv(made / f"{table}.csv", index=False, lineterminator="\n")
            if "parquet" in formats:
                frame.to_parquet(made / f"{table}.parquet", engine="pyarrow", index=False)
    damaged = int((runs["status"] == DAMAGED).sum()) if len(runs) else 0
    return Exported(tuple(folder / name for name in names), len(points), len(runs), damaged)


def frames(store: Reader, programs: Any = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of runs, and that of points, each in order of place."""
    known = kept_points(store.study())
    plan, outcomes = store.plan(), store.outcomes()
    settings = _settings(store, plan, known, programs)
    rows = [_row(store, run, outcomes.get(run.key), known, settings) for run in plan]
    return _frame(rows), _frame(_points(rows, _columns(settings)))


def _row(
    store: Reader,
    run: PlannedRun,
    outcome: Outcome | None,
    known: KeptPoints,
    settings: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return what is known of one planned run."""
    result = None if outcome is None else store.result(run.key)
    failed = outcome is not None and outcome.reason is not None
    lost = "not made" if outcome is None else DAMAGED
    place = run.place
    row: dict[str, Any] = {
        **{"part": place.part, "point": place.point, "point_name": known.names.get(place.point)},
        **{"host": place.host, "replication": place.replication},
        **settings[run.scenario],
        "status": "failed" if failed else lost if result is None else "done",
        **{"answered": None, "cut_off": None, "ran_out": None, "validity": None, "notes": None},
        **{"ending": None, "reason": None, "raised_in": None},
        "wall_s": None if outcome is None else outcome.wall_s,
        **{"seed": known.study.seed, "run": run.key, "scenario": run.scenario},
    }
    if failed and outcome is not None and outcome.reason is not None:
        row |= {"reason": last_line(outcome.reason), "raised_in": raised_in(outcome.reason)}
    elif result is not None:
        errors = errors_of(result)
        others = [f for f in result.get("validity", ()) if f.get("severity") != "error"]
        row |= {
            "answered": not errors,
            "cut_off": cut_off(result),
            "ran_out": ran_out(result),
            "validity": _codes(errors),
            "notes": _codes(others),
            "ending": result["ending"],
            **{f"{_METRIC}{name}": value for name, value in flatten(result["metrics"])},
        }
    return row


_METRIC: Final = "\0"
"""Begins the names of metrics in rows, until they are columns: a key might be called so too."""


def _codes(findings: Sequence[Mapping[str, Any]]) -> str:
    return ";".join(dict.fromkeys(str(finding["code"]) for finding in findings))


def _points(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row a cell; metrics over the runs that answer, and how many these are."""
    found = []
    leading = ("part", "point", "point_name", "host", *columns)
    for _, group in groupby(rows, key=lambda row: (row["part"], row["point"], row["host"])):
        runs = list(group)
        answered = [run for run in runs if run["answered"]]
        row = {
            **{name: runs[0].get(name) for name in leading},
            "planned": len(runs),
            "done": sum(run["status"] == "done" for run in runs),
            "failed": sum(run["status"] == "failed" for run in runs),
            "answered": len(answered),
            "cut_off": sum(bool(run["cut_off"]) for run in runs),
            "ran_out": sum(bool(run["ran_out"]) for run in runs),
            "validity": ";".join(dict.fromkeys(
                code for run in runs for code in (run["validity"] or "").split(";") if code
            )),
            "reasons": "; ".join(dict.fromkeys(run["reason"] for run in runs if run["reason"])),
            "scenario": runs[0]["scenario"],
        }  # fmt: skip
        for name in dict.fromkeys(name for run in answered for name in run if name[0] == _METRIC):
            values = [value for run in answered if (value := run.get(name)) is not None]
            row |= {
                f"{name}_mean": sum(values) / len(values) if values else None,
                f"{name}_min": min(values, default=None),
                f"{name}_max": max(values, default=None),
                f"{name}_n": len(values),
            }
        found.append(row)
    return found


def _columns(settings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return list(next(iter(settings.values()), {}))


def _settings(
    store: Reader, plan: Sequence[PlannedRun], known: KeptPoints, programs: Any
) -> dict[str, dict[str, Any]]:
    """Return, for each scenario, the keys in which scenarios differ, by names with units."""
    shas = list(dict.fromkeys(run.scenario for run in plan))
    if not shas:
        return {}
    first = store.scenario(shas[0])
    differing = {sha: dict(differences(first, store.scenario(sha))) for sha in shas[1:]}
    keys = [key for key in known.keys if leaf_at(first, key) is not None]
    found = {key for each in differing.values() for key in each if not _SAID.match(key)}
    others = found - set(keys)
    keys += sorted(others)
    named = column_names(keys, first, programs)
    return {
        sha: {named[k]: differing.get(sha, {}).get(k, leaf_at(first, k)) for k in keys}
        for sha in shas
    }


def differences(one: Any, other: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves in which `other` differs from `one`, by dotted path, as `other` has them.

    >>> dict(differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}, "d": [1]}))
    {'a.c': None, 'd': '[1]'}
    """
    if one == other:
        return
    before, after = _inside(one), _inside(other)
    was, is_now = (
        None if inside is not None else _leaf(value)
        for inside, value in ((before, one), (after, other))
    )
    if path and was != is_now:
        yield path, is_now
    for key in dict.fromkeys((*(before or ()), *(after or ()))):
        inner = f"{path}.{key}" if path else str(key)
        yield from differences((before or {}).get(key), (after or {}).get(key), inner)


def leaf_at(scenario: Any, path: str) -> Any:
    """Return the leaf at a dotted path; None if there is none, or more below it."""
    value = scenario
    for step in path.split("."):
        inside = _inside(value)
        if inside is None or step not in inside:
            return None
        value = inside[step]
    return None if _inside(value) is not None else _leaf(value)


def _inside(value: Any) -> Mapping[str, Any] | None:
    """Return what is in a mapping, or in a list of such, by its name; None for a leaf."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        return {str(number): item for number, item in enumerate(value)}
    return None


def _leaf(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value


def column_names(
    keys: Sequence[str], scenario: Mapping[str, Any], programs: Any = None
) -> dict[str, str]:
    """Return what the columns of keys are called: the key with its unit, as metrics have theirs."""
    ends = {
        key: next((end for words, end in _SUFFIXES.items() if is_kind(takes, words)), "")
        for key, takes in what_keys_take(keys, scenario, programs).items()
    }
    return {key: f"{key}{end}" for key, end in ends.items()}


def _frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a table, each column of one type, gaps where it has none.

    Metrics come behind what a run is, in the order in which runs have them, and prices last.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    ordered = sorted(names, key=lambda name: (name.startswith(_PRICES), name[0] == _METRIC))
    return pd.DataFrame(
        {name.removeprefix(_METRIC): _column([row.get(name) for row in rows]) for name in ordered}
    )


_KINDS: Final[tuple[tuple[type | tuple[type, ...], Any], ...]] = (
    (bool, "boolean"),
    (int, "Int64"),
    ((int, float), "Float64"),
)


def _column(values: list[Any]) -> Any:
    there = [value for value in values if value is not None]
    for kind, dtype in _KINDS if there else ():
        whole = kind is bool or not any(isinstance(value, bool) for value in there)
        if whole and all(isinstance(value, kind) for value in there):
            return pd.array(values, dtype=dtype)
    texts = [None if v is None else v if isinstance(v, str) else json.dumps(v) for v in values]
    return pd.array(texts, dtype="string")
