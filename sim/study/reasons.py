"""Why a run failed: what its reason, a line or a traceback, says in one line, and from where."""

import re
from typing import Final

_RAISED_IN: Final = re.compile(r'^  File "(.*)", line (\d+), in (.*)$', re.MULTILINE)


def last_line(reason: str) -> str:
    """Return why a run failed in one line: the error, of a traceback."""
    return (reason.strip().splitlines() or ["no reason is known"])[-1]


def raised_in(reason: str) -> str | None:
    """Return where an error was raised that has a traceback: ``FILE:LINE FUNCTION``."""
    found = _RAISED_IN.findall(reason)
    return "{}:{} {}".format(*found[-1]) if found else None
