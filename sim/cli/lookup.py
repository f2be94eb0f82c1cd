"""What `cowpool keys` prints: the reference on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.base.errors import ScenarioError
from sim.cli.show import Page
from sim.cli.tables import labelled, paragraph
from sim.scenario.complaints import suggestion
from sim.scenario.keys import UNITS, Key, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Programs = Mapping[str, Callable[..., Any]]


def show_parts(programs: Programs) -> None:
    """Print the parts of a file, a line each, and how quantities are written."""
    page = Page()
    found = parts(programs)
    page.lines(labelled([(name, part.text) for name, part in found.items()], page.width))
    for text in UNITS:
        page.lines(["", *paragraph(text, page.width)])
    page.lines(["", *paragraph("`cowpool keys PART` has the keys of a part.", page.width)])


def show_part(name: str, programs: Programs) -> None:
    """Print the keys of a part; raises `ScenarioError` if none is called so."""
    found = parts(programs)
    if name not in found:
        hint = suggestion(name, list(found))
        raise ScenarioError(f"nothing is called {name!r}; {hint}")
    page = Page()
    part = found[name]
    page.say(part.text)
    page.lines([""])
    page.lines(labelled([(key.name, _told(key)) for key in part.keys], page.width))
    for note in part.notes:
        page.lines(["", *paragraph(note, page.width)])


def _told(key: Key) -> str:
    default = f" ({key.default})" if key.default == "needed" else ""
    if key.default and not default:
        default = f" (default {key.default})"
    takes = key.takes + default
    return f"{takes}: {key.text}" if key.text else takes
