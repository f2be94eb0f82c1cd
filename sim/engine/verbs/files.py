"""Verbs about files that are read and written by calls, not through a mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.base.errors import Errno, Refused
from sim.kernel import ops
from sim.kernel.files import fadvise
from sim.machine.layout import NONE
from sim.machine.layout.fields import File, FileAdvice, FilePages

if TYPE_CHECKING:
    from sim.engine.files import FileNames
    from sim.engine.verbs.calls import Calls, Verb
    from sim.machine.machine import Machine

FILE_ADVICE: Final = {
    "normal": fadvise.NORMAL,
    "random": fadvise.RANDOM,
    "sequential": fadvise.SEQUENTIAL,
    "willneed": fadvise.WILLNEED,
    "dontneed": fadvise.DONTNEED,
}


class FileCalls:
    """What a task does with files through the page cache."""

    def __init__(self, calls: Calls, machine: Machine, files: FileNames) -> None:
        self._calls = calls
        self._machine = machine
        self._files = files

    def pread(self, file: str, pages: int, first: int = 0, *, direct: bool = False) -> Verb:
        """Read pages of a file by read(); see `sim.program.api.Process.pread`."""
        at = self._pages("read", file, pages, first)
        if pages > 0:
            op = ops.OP_DIRECT_READ if direct else ops.OP_FILE_READ
            yield from self._calls.do("read", op, at)

    def pwrite(self, file: str, pages: int, first: int = 0, *, direct: bool = False) -> Verb:
        """Write pages of a file by write(); see `sim.program.api.Process.pread`."""
        at = self._pages("write", file, pages, first)
        if pages > 0:
            op = ops.OP_DIRECT_WRITE if direct else ops.OP_FILE_WRITE
            yield from self._calls.do("write", op, at)

    def fsync(self, file: str) -> Verb:
        """Have all dirty pages of a file written back."""
        yield from self._calls.do("fsync", ops.OP_FSYNC, File(file=self._files.row(file, 1)))

    def fadvise(self, file: str, advice: str, first: int = 0, pages: int | None = None) -> Verb:
        """Give the kernel advice about a file; see `sim.program.api.Process.fadvise`."""
        if advice not in FILE_ADVICE:
            raise Refused(Errno.EINVAL, "fadvise")
        row = self._files.known(file)
        if row is None:
            raise Refused(Errno.EINVAL, "fadvise")
        size = int(self._machine.arrays.files[row].pages)
        pages = size - first if pages is None else pages
        at = self._pages("fadvise", file, pages, first)
        if pages > 0:
            fields = FileAdvice(**at, advice=FILE_ADVICE[advice])
            yield from self._calls.do("fadvise", ops.OP_FADVISE, fields)

    def drop(self, file: str) -> Verb:
        """Write a file back and take it out of the page cache; see `Process.drop`."""
        if self._files.known(file) is None:
            self._files.make_cold(file)
            return
        yield from self.fsync(file)
        yield from self.fadvise(file, "dontneed")

    def _pages(self, call: str, file: str, pages: int, first: int) -> FilePages:
        """Return `pages` pages of a file from page `first` on; without any, no file is made."""
        if first < 0 or pages < 0:
            raise Refused(Errno.EINVAL, call)
        row = self._files.row(file, first + pages) if pages > 0 else NONE
        return FilePages(file=row, file_page=first, pages=pages)
