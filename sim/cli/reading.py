"""Standard output whose reader may go away, as that of ``cowpool run ... | head -1`` does.

What a command finds out is its exit status too: it goes on, and what is still printed is thrown
away.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing_extensions import Buffer

STDOUT: Final = 1


class _Pipe(io.FileIO):
    """Standard output where that is a pipe; once nobody reads it, the null device."""

    def write(self, data: Buffer, /) -> int:
        """Write, and return how many bytes were taken: all of them if the reader has gone."""
        try:
            return super().write(data)
        except BrokenPipeError:
            throw_away()
            return memoryview(data).nbytes


def throw_away() -> None:
    """Let standard output lead nowhere from now on."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, STDOUT)
    os.close(null)


def outlive_the_reader() -> None:
    """Go on when the reader of standard output goes away; does nothing where it is no pipe."""
    out = sys.stdout
    if out is not sys.__stdout__ or not isinstance(out, io.TextIOWrapper):
        return
    if not stat.S_ISFIFO(os.fstat(STDOUT).st_mode) or out.fileno() != STDOUT:
        return
    out.flush()
    pipe = io.BufferedWriter(_Pipe(STDOUT, "w", closefd=False))
    sys.stdout = io.TextIOWrapper(
        pipe,
        encoding=out.encoding,
        errors=out.errors,
        line_buffering=out.line_buffering,
        write_through=out.write_through,
    )
