"""A catalogue: sizes that can be had, such as instance types, with a date and a source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from sim.base.errors import ScenarioError
from sim.base.resources import config_path
from sim.scenario.complaints import checked
from sim.scenario.document import read_document
from sim.scenario.profiles import is_path
from sim.scenario.quantities import Closed, WholePages, within

if TYPE_CHECKING:
    from pathlib import Path


class Offer(Closed):
    """One size of a catalogue."""

    memory: WholePages = Field(description="`host.memory`")
    cpus: Annotated[int, within(1, 4096)] = Field(description="`host.cpus`")


class Catalogue(Closed):
    """Sizes that can be had, by name."""

    version: Literal[1] = Field(description="of the format; every file begins so")
    name: str = Field(description="what it is a catalogue of")
    date: str = Field(description="when it was so, e.g. `2025-06`")
    source: str = Field(description="where that is said")
    sizes: dict[str, Offer] = Field(min_length=1, description="by name")


def read_catalogue(name: str, folder: Path) -> Catalogue:
    """Return a catalogue: a path, relative to `folder`, or the name of one that ships.

    Raises `ScenarioError` if there is none, or for what is wrong with it.
    """
    path = folder / name if is_path(name) else config_path("catalogues", name)
    if not path.is_file():
        raise ScenarioError(f"there is no file {name!r} here; check the path")
    return checked(Catalogue, read_document(path, name))
