"""What every form of `cowpool conform` has in common: where it writes, and its exit status."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from sim.base.errors import ScenarioError
from sim.base.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sim.host.conditions import Condition

DONE: Final = 0
DIFFERENT: Final = 1
UNCHECKED: Final = 3

RUNS_UNTIL_BELIEVED: Final = 3
"""A difference counts when the kernel repeats it this often: an interrupted run proves nothing."""


def worst(statuses: Iterable[int]) -> int:
    """Return the exit status of a session from those of its scripts."""
    return max(statuses, key=(DONE, UNCHECKED, DIFFERENT).index)


def require_work(paths: Sequence[str | Path], random: int | None, seed: int | None) -> None:
    """Raise `ScenarioError` if there is nothing to do, or no seed to do it with."""
    if random is not None and seed is None:
        raise ScenarioError("random scripts need a seed; add e.g. `--seed 1`")
    if not paths and random is None:
        raise ScenarioError("nothing to do; name a script, or ask for `--random N --seed S`")


class Session:
    """One invocation: results on `out`, as text or one JSON document; everything else on `err`."""

    def __init__(self, as_json: bool, out: TextIO | None, err: TextIO | None) -> None:
        self._json = as_json
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._conditions: list[Condition] = []
        self._results: list[dict[str, Any]] = []

    def finish(self, status: int) -> None:
        """Print the JSON document, if that is what was asked for."""
        if self._json:
            document = {
                "schema_version": 1,
                **self._subject(),
                "conditions": [str(condition) for condition in self._conditions],
                "results": self._results,
                "verdict": {DONE: "done", DIFFERENT: "different", UNCHECKED: "unchecked"}[status],
            }
            self._out.write(json.dumps(document, indent=1) + "\n")

    def _subject(self) -> dict[str, Any]:
        """Return what the JSON document says of its subject beside the results."""
        return {}

    def _keep(self, name: str, **values: object) -> None:
        self._results.append({"script": name, **values})

    def _write(self, text: str) -> None:
        if not self._json:
            self._out.write(printable(text))

    def _say(self, text: str) -> None:
        self._err.write(f"{printable(text)}\n")
        self._err.flush()


def verdict(differences: int) -> str:
    """Return what is said of a script with so many differences.

    >>> verdict(0)
    'no difference'
    """
    return f"{differences} differences" if differences else "no difference"
