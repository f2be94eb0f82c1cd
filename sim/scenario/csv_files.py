"""CSV files that a study names: points of a design, and values that were measured."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.base.errors import ScenarioError
from sim.base.files import read_at_most
from sim.base.text import shorten
from sim.scenario.document import MAX_BYTES, Document, Keys, Place, parse_value

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Csv:
    """A CSV file: its columns, and its rows with their lines; no row is empty."""

    header: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]


def read_csv(document: Document, path: Keys, folder: Path) -> Csv:
    """Return the CSV file whose name, relative to `folder`, stands at `path` of a document.

    Raises `ScenarioError`, about the document for a file that cannot be read, about a line of the
    file for what is wrong in it.
    """
    found: Any = document.data
    for step in path:
        found = found[step]
    name = str(found)
    try:
        raw = read_at_most(folder / name, MAX_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except FileNotFoundError:
        message = f"there is no file {shorten(name)!r} here; check the path"
        raise document.error(path, message) from None
    except (OSError, ValueError) as error:
        message = f"{shorten(name)!r} cannot be read ({error}); write a CSV file in UTF-8"
        raise document.error(path, message) from None
    if len(raw) > MAX_BYTES:
        raise ScenarioError("larger than 1 MiB; write fewer rows", name, 1)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    rows = []
    try:
        header = tuple(word.strip() for word in next(reader, []))
        if not header or len(set(header)) < len(header) or not all(header):
            message = "the first line names no columns, or one twice; write a name above each"
            raise ScenarioError(message, name, 1)
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                message = f"has {len(row)} values for {len(header)} columns; write one for each"
                raise ScenarioError(message, name, reader.line_num)
            cells = (cell.strip() for cell in row)
            rows.append((reader.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        message = f"is no CSV ({error}); mind the quotes"
        raise ScenarioError(message, name, reader.line_num) from None
    if not rows:
        raise ScenarioError("has nothing below its first line; write a row a line", name, 1)
    return Csv(header, tuple(rows))


def value_of_cell(key: str, cell: str, name: str, line: int) -> Any:
    """Return what a cell means, read as YAML; `key` is what it is the value of."""
    if not cell:
        raise ScenarioError("has no value; write one, or `null` for the default", name, line, key)
    try:
        return parse_value(cell, name, line)[0]
    except ScenarioError:
        return cell


def with_data_of_files(document: Document, folder: Path) -> Document:
    """Return a study's document with the values of the CSV files that uncertain inputs name.

    They have their lines in those files.  Raises `ScenarioError` as `read_csv` does.
    """
    uncertain = document.data.get("uncertain")
    if not isinstance(uncertain, dict):
        return document
    places, found = dict(document.places), dict(uncertain)
    for key, given in uncertain.items():
        if not isinstance(given, dict) or not isinstance(given.get("file"), str):
            continue
        if "data" in given:
            continue
        path = ("uncertain", key, "file")
        table, name = read_csv(document, path, folder), given["file"]
        column = given.get("column", table.header[0])
        if column not in table.header or (len(table.header) > 1 and "column" not in given):
            columns = ", ".join(shorten(each) for each in table.header)
            message = f"{shorten(name)!r} has the columns {columns}; name one with `column`"
            raise document.error(path, message)
        values = [value_of_cell(column, cells[column], name, line) for line, cells in table.rows]
        found[key] = {**given, "data": values}
        for number, (line, _) in enumerate(table.rows):
            places["uncertain", key, "data", number] = Place(name, line)
    return Document({**document.data, "uncertain": found}, document.file, places)
