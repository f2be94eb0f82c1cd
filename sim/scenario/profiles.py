"""Host profiles: prices and usual sizes of a machine, from a file that ships or a user's own."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.base.errors import ScenarioError
from sim.base.files import STDIN
from sim.base.resources import Kind, config_path, shipped
from sim.scenario.complaints import checked
from sim.scenario.document import Keys, read_document
from sim.scenario.model import HostProfile

if TYPE_CHECKING:
    from sim.scenario.document import Document

DEFAULT_PROFILE: Final = "generic"
_MOST_EXTENDED: Final = 8


def is_path(name: str) -> bool:
    """Return whether a profile or scenario is named by its file rather than by a shipped name."""
    return "/" in name or "\\" in name or name.endswith((".yaml", ".yml"))


def names_a_file(text: str, kind: Kind) -> bool:
    """Return whether a scenario or a study is named by its file rather than as one that ships.

    ``-`` is standard input, ``studies/redis_bgsave`` a study that ships.  Raises `ScenarioError`
    for ``redis_bgsave.yaml`` where there is no such file but something of that name ships.
    """
    path = Path(text)
    if text.removeprefix(f"{kind}/") in shipped(kind) and not path.exists():
        return False
    if path.name == text and path.suffix and path.stem in shipped(kind) and not path.exists():
        message = f"there is no such file here; what ships is called `{path.stem}`"
        raise ScenarioError(message, text, 1)
    return text == STDIN or is_path(text) or path.exists()


def load_profile(name: str, document: Document, path: Keys, folder: Path) -> dict[str, Any]:
    """Return the contents of a host profile, those it extends included.

    A path is relative to `folder`.  The dictionary is the caller's to change.  Raises
    `ScenarioError`: about `path` in `document` if there is no such profile, about the profile's
    own file if something in it is wrong.
    """
    try:
        file = folder / name if is_path(name) else config_path("hosts", name)
    except ScenarioError as error:
        raise document.error(path, error.message) from None
    if not file.is_file():
        raise document.error(path, f"there is no file {name!r} here; check the path")
    stat = file.stat()
    return dict(_read(file, str(file) if is_path(name) else name, stat.st_mtime_ns, 0))


@lru_cache(maxsize=64)
def _read(file: Path, shown: str, changed_ns: int, depth: int) -> dict[str, Any]:
    """Read a profile; `changed_ns` makes an edited file another one to the cache."""
    document = read_document(file, shown)
    profile = checked(HostProfile, document)
    own = profile.model_dump(exclude_unset=True, exclude_none=True)
    for key in ("version", "extends"):
        own.pop(key, None)
    if profile.extends is None:
        return own
    if depth >= _MOST_EXTENDED:
        raise document.error(("extends",), "extends itself in the end; break the circle")
    base_name = profile.extends
    try:
        base_file = (
            file.parent / base_name if is_path(base_name) else config_path("hosts", base_name)
        )
    except ScenarioError as error:
        raise document.error(("extends",), error.message) from None
    if not base_file.is_file():
        raise document.error(("extends",), f"there is no file {base_name!r} here; check the path")
    base = _read(base_file, base_name, base_file.stat().st_mtime_ns, depth + 1)
    return merged(base, own)


def merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `own` over it; prices, stages and the like key by key.

    A price is replaced as a whole: half of one and half of another would have no source.
    """
    result = dict(base)
    for key, value in own.items():
        if key in ("prices", "stages", "overcommit", "disk", "policy", "scheduler") and key in base:
            result[key] = merged(base[key], value) if key == "policy" else {**base[key], **value}
        else:
            result[key] = value
    return result
