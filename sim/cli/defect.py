"""What is kept when cowpool itself is at fault."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from pathlib import Path

import sim


def keep_traceback(error: BaseException) -> str:
    """Write the traceback of `error` to a file of its own and return what to tell the user."""
    text = "\n".join(
        [
            f"cowpool {sim.__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"arguments: {sys.argv[1:]}",
            "".join(traceback.format_exception(error)),
        ]
    )
    told = f"cowpool has a defect: {type(error).__name__}: {_first_line(error)}"
    try:
        handle, name = tempfile.mkstemp(prefix="cowpool-defect-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return f"{text}\n{told}; please report it with the traceback above"
    return f"{told}; please report it with the traceback in {Path(name)}"


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else "no message"
