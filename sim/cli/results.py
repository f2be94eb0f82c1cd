"""The commands `export` and `status`: a study's results for other programs, and how far it is."""

from __future__ import annotations

import sys
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sim.base.errors import ScenarioError
from sim.base.text import printable
from sim.cli.commands import JsonOption, PluginOption, app, load_if_named, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA_VERSION: Final = 1
"""Version of the JSON that these commands print."""

EXPORT_FOLDER: Final = "export"
INSTALL: Final = "pip install 'cowpool[parquet]'"

FolderArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder that `cowpool study` or `plan` wrote.")
]


class Format(StrEnum):
    """What tables are written as."""

    CSV = "csv"
    PARQUET = "parquet"


@app.command()
def export(
    folder: FolderArgument,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FOLDER", help="Where to write; default DIR/export."),
    ] = None,
    only: Annotated[
        Format | None, typer.Option("--format", help="Only this; default: both.")
    ] = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write a study's results as tables, CSV and Parquet.

    A row a run, and a row a point.  Runs that failed, that were cut off, or that were never made
    are rows as well; `status` and `validity` say so.
    """
    from sim.cli.running import known
    from sim.study.export import export as write
    from sim.study.packed import damaged_words
    from sim.study.snapshot import snapshot
    from sim.study.store import STORE_NAME

    kept = _store_in(folder, STORE_NAME)
    formats = _formats(only)
    programs, _ = known(load_if_named(plugin))
    with snapshot(kept) as store:
        done = write(store, folder / EXPORT_FOLDER if to is None else to, formats, programs)
    if as_json:
        files = [str(file) for file in done.files]
        counts = {"points": done.n_points, "runs": done.n_runs, "damaged": done.n_damaged}
        print_json({"schema_version": SCHEMA_VERSION, **counts, "files": files})
        return 0
    for file in done.files:
        n = done.n_runs if file.stem == "runs" else done.n_points
        sys.stdout.write(printable(f"{file}: {n:,} row{'s' if n != 1 else ''}\n"))
    if words := damaged_words(done.n_damaged):
        sys.stderr.write(f"{words.strip()}\n")
    return 0


def _formats(only: Format | None) -> Sequence[str]:
    """Return what to write; raises `ScenarioError` for Parquet alone where it cannot be."""
    if only is Format.CSV:
        return [Format.CSV.value]
    if find_spec("pyarrow") is None:
        if only is Format.PARQUET:
            raise ScenarioError(f"parquet needs pyarrow; {INSTALL}", key="--format")
        sys.stderr.write(f"no Parquet, which needs pyarrow: {INSTALL}\n")
        return [Format.CSV.value]
    return [Format.PARQUET.value] if only else [Format.CSV.value, Format.PARQUET.value]


def _store_in(folder: Path, name: str) -> Path:
    """Return the store in a folder; raises `ScenarioError` where there is none."""
    if not (folder / name).is_file():
        raise ScenarioError("holds no study; run `cowpool study` first", str(folder))
    return folder / name


@app.command()
def status(folder: FolderArgument, as_json: JsonOption = False) -> int:
    """Say how far a study is, and who runs it now.

    What is done, has failed, is left, and how long that takes.  It only looks: from another
    terminal while the study runs, and after it was stopped.
    """
    from sim.study.status import status_of
    from sim.study.store import STORE_NAME

    found = status_of(_store_in(folder, STORE_NAME))
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, **found.plain()})
    else:
        from sim.cli.progress import show_status

        show_status(found)
    return 0
