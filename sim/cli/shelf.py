"""What ships with cowpool, for `cowpool show`: scenarios, studies, host profiles, programs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from sim.base.errors import ScenarioError
from sim.base.resources import Kind, config_path, shipped

if TYPE_CHECKING:
    from pathlib import Path

KINDS: Final[dict[Kind, str]] = {
    "scenarios": "cowpool run NAME, cowpool explain NAME",
    "studies": "cowpool study NAME",
    "hosts": "--set host.profile=NAME",
    "comparisons": "what was measured on real servers, beside what the model predicts",
    "programs": "what exec, build_storm and shell_pipeline start: `exec: NAME`, `image: NAME`",
}
"""Kinds of files, and how each is used."""


def names() -> list[str]:
    """Return everything that `find` takes, once."""
    plain = {name for kind in KINDS for name in shipped(kind)}
    return sorted(plain) + [f"{kind}/{name}" for kind in KINDS for name in shipped(kind)]


def find(name: str) -> list[Path]:
    """Return the files that ship under `name`: ``redis_bgsave`` or ``studies/redis_bgsave``.

    Several if they are of different kinds; scenarios first.  Raises `ScenarioError` if none does.
    """
    kind, slash, stem = name.rpartition("/")
    if slash:
        known = [each for each in KINDS if each == kind or each.removesuffix("s") == kind]
        if not known:
            told = ", ".join(KINDS)
            raise ScenarioError(f"no kind of file is called {kind!r}; there are: {told}")
        return [config_path(known[0], stem)]
    found = [config_path(each, name) for each in KINDS if _stem(name) in shipped(each)]
    if found:
        return found
    from sim.scenario.complaints import suggestion

    plain = sorted({each for kind in KINDS for each in shipped(kind)})
    raise ScenarioError(f"nothing that ships is called {name!r}; {suggestion(name, plain)}")


def summaries() -> dict[Kind, list[tuple[str, str]]]:
    """Return the name of every file that ships, and what it says of itself, by kind."""
    return {
        kind: [(name, _summary(config_path(kind, name))) for name in shipped(kind)]
        for kind in KINDS
    }


def _stem(name: str) -> str:
    return name.removesuffix(".yaml").removesuffix(".json")


def _summary(path: Path) -> str:
    """Return the first sentence of a file's opening comment, or of a recording's source."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        comment = str(json.loads(text)["source"])
    else:
        lines = []
        for line in text.splitlines():
            if not line.startswith("# ") or line.startswith("#  "):
                break
            lines.append(line[2:].strip())
        comment = " ".join(lines)
    return re.split(r"(?<=[.?]) ", comment, maxsplit=1)[0]
