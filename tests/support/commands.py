"""The command line, in a process of its own, or in this one."""

import io
import subprocess
import sys
from concurrent.futures import Future
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from sim.cli import main


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


def cowpool_here(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Carry out a command as `cowpool` does, but in this process, which has begun already."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err):
        status = main(arguments)
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


class InlinePool:
    """What `--executor` names for runs that are carried out here, one after the other."""

    _max_workers = 1

    def submit(self, function: Any, /, *arguments: Any) -> "Future[Any]":
        """Call `function`, and return what is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True) -> None:
        """Do nothing: nothing runs between two calls."""


RUNS_HERE = ("--executor", f"{__name__}:{InlinePool.__name__}")
"""Options of a command that carries out runs."""
