"""Files that ship with cowpool: host profiles, scenarios, studies, programs, catalogues, and more.

They lie in ``configs/`` at the root of a checkout, and in ``sim/_configs`` once installed.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Final, Literal

from sim.base.errors import ScenarioError

Kind = Literal["hosts", "scenarios", "studies", "programs", "comparisons", "catalogues"]

_SUFFIXES: Final = {"programs": ".json"}
"""Of what is not written by hand."""

_PACKAGE: Final = Path(__file__).resolve().parents[1]


def shipped(kind: Kind) -> list[str]:
    """Return the names of the files of one kind, without suffix, in alphabetical order."""
    return sorted(path.stem for path in (_root() / kind).glob(f"*{_suffix(kind)}"))


def config_path(kind: Kind, name: str) -> Path:
    """Return the file called `name`, with or without its suffix, or its kind before it.

    Raises `ScenarioError`, which suggests the nearest name, if no such file ships.
    """
    names = shipped(kind)
    stem = name.removeprefix(f"{kind}/").removesuffix(_suffix(kind))
    if stem in names:
        return _root() / kind / f"{stem}{_suffix(kind)}"
    near = get_close_matches(stem, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ScenarioError(
        f"none of the {kind} that ship with cowpool is called {stem!r}; "
        f"{hint}there are: {', '.join(names) or 'none'}"
    )


def _suffix(kind: Kind) -> str:
    return _SUFFIXES.get(kind, ".yaml")


def _root() -> Path:
    installed = _PACKAGE / "_configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"
