"""The command line, in a process of its own."""

import subprocess
import sys
from pathlib import Path
from typing import Any


def cowpool(*arguments: str, cwd: Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Carry out a command in a folder; its output is text, and any exit status is returned."""
    return subprocess.run(
        [sys.executable, "-m", "sim", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
