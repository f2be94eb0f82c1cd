"""Something found in a run that bears on its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

MOST_WAITING: Final = 0.05
"""Share of requests that may wait at the end of a run; of their time, that the last may be late."""

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that bears on the answer: `where` is a process, or a key of the scenario."""

    code: str
    severity: Severity
    what: str
    where: str
    remedy: str
    count: int = 1
