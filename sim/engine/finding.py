"""Something found in a run that bears on its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
