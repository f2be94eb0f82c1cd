"""Changing single values of a scenario: ``--set key.path=value``, and the axes of a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sim.base.errors import ScenarioError
from sim.base.text import MOST_CHARACTERS, shorten
from sim.scenario.complaints import suggestion
from sim.scenario.document import MAX_DEPTH, Document, Keys, Place, dotted, kind_of, parse_value

SET_FILE: Final = "<--set>"
"""What stands in the place of a file's name for a value from the command line."""


_MAIN_KEYS: Final[Mapping[Keys, str]] = {("host", "overcommit"): "mode"}
"""What a plain value for a mapping sets of it; the rest of the mapping stays."""


Meant = Callable[[Document, str, Any], tuple[Keys, Any]]
"""Where a setting goes in a document, and what goes there; raises `ValueError` if it cannot."""


def apply_settings(
    document: Document, settings: Sequence[str], meant: Meant | None = None
) -> Document:
    """Return `document` with each ``key.path=value`` of `settings` applied, in order.

    `meant` says where a key goes; by default where its path leads.  A value is read as YAML.  The
    n-th setting counts as line n of ``<--set>`` in messages.
    """
    for number, setting in enumerate(settings, start=1):
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            message = f"{shorten(setting)!r} is not `key.path=value`; write `host.memory=16 GiB`"
            raise ScenarioError(message, SET_FILE, number)
        try:
            path = split_path(key.strip())
        except ValueError as error:
            raise ScenarioError(str(error), SET_FILE, number) from None
        if not text.strip():
            message = "has no value; write one behind `=`, or `null` for the default"
            raise ScenarioError(message, SET_FILE, number, dotted(path))
        value, places = parse_value(text, SET_FILE, number)
        if meant is not None:
            try:
                path, value = meant(document, key.strip(), value)
            except ValueError as error:
                raise ScenarioError(str(error), SET_FILE, number, dotted(path)) from None
        here = Place(SET_FILE, number)
        document = with_value(document, path, value, here)
        document.places.update({(*path, *inner): here for inner in places})
    return document


def with_value(document: Document, path: Keys, value: object, place: Place) -> Document:
    """Return a copy of `document` in which `path` has `value`, as written at `place`.

    What does not exist on the way is made; whether it may exist is the schema's business.
    Raises `ScenarioError` if the way leads through something that has no parts, and for a process
    that is not in the scenario.
    """
    places = {
        known: where for known, where in document.places.items() if known[: len(path)] != path
    }
    for length in range(1, len(path) + 1):
        places.setdefault(path[:length], place)
    changed = Document(document.data, document.file, places)
    _refuse_unknown_process(changed, path, value)
    changed.data = _put(changed, document.data, path, 0, value)
    return changed


def split_path(key: str) -> Keys:
    """Return the parts of a dotted key; a number is an index into a list.

    Raises `ValueError` for a key that is longer or deeper than a document's may be.

    >>> split_path("host.zones.0.memory")
    ('host', 'zones', 0, 'memory')
    """
    if len(key) > MOST_CHARACTERS or key.count(".") > MAX_DEPTH:
        limits = f"at most {MOST_CHARACTERS} characters and {MAX_DEPTH} levels"
        raise ValueError(f"{shorten(key)!r} is too long for a key; write {limits}")
    return tuple(int(part) if part.isdecimal() else part for part in key.split("."))


def _refuse_unknown_process(document: Document, path: Keys, value: object) -> None:
    """Complain about ``processes.rediz.dataset=...`` where it is a slip of the pen."""
    processes = document.data.get("processes")
    if path[0] != "processes" or len(path) < 3 or not isinstance(processes, Mapping):
        return
    if path[1] not in processes and path[2] != "program":
        message = f"no process called {path[1]!r}; {suggestion(str(path[1]), list(processes))}"
        raise document.error(path, message)


def _put(document: Document, node: object, path: Keys, depth: int, value: object) -> Any:
    if depth == len(path):
        main = _MAIN_KEYS.get(path)
        if main and isinstance(node, Mapping) and not isinstance(value, Mapping | None):
            return {**node, main: value}
        return value
    part = path[depth]
    if node is None:
        node = {}
    if isinstance(node, Mapping):
        key = str(part)
        return {**node, key: _put(document, node.get(key), path, depth + 1, value)}
    if isinstance(node, list):
        index = part if isinstance(part, int) else -1
        if not 0 <= index < len(node):
            where = dotted(path[:depth])
            raise document.error(
                path, f"{where} is a list of {len(node)}; write `{where}.0` to `{len(node) - 1}`"
            )
        changed = list(node)
        changed[index] = _put(document, node[index], path, depth + 1, value)
        return changed
    where = dotted(path[:depth])
    raise document.error(path, f"{where} is {kind_of(node)} and has no keys; set {where} itself")
