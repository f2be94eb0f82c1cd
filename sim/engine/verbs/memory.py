"""Verbs about memory: mappings, advice, the heap, and touching pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.errors import Errno, Refused
from sim.base.text import shown
from sim.base.units import Vpn, pages_for
from sim.engine.streams import stream
from sim.kernel import ops
from sim.kernel.calls import populate
from sim.machine.layout import (
    A_ACCOUNT,
    A_DONTFORK,
    A_HUGEPAGE,
    A_LOCKED,
    A_NOHUGEPAGE,
    A_RANDOM,
    A_READ,
    A_SEQUENTIAL,
    A_SHARED,
    A_WIPEONFORK,
    A_WRITE,
    KIND_ANON,
    KIND_FILE,
    KIND_SHMEM,
    NONE,
)
from sim.program.api import Region

if TYPE_CHECKING:
    from sim.engine.files import FileNames
    from sim.engine.verbs.calls import Calls, Verb
    from sim.machine.machine import Machine

ACCESS_BITS: Final = {"none": 0, "r": A_READ, "rw": A_READ | A_WRITE}
ADVICE_BITS: Final = {  # flags that come, flags that go
    "hugepage": (A_HUGEPAGE, A_NOHUGEPAGE),
    "nohugepage": (A_NOHUGEPAGE, A_HUGEPAGE),
    "dontfork": (A_DONTFORK, 0),
    "dofork": (0, A_DONTFORK),
    "wipeonfork": (A_WIPEONFORK, 0),
    "keeponfork": (0, A_WIPEONFORK),
    "random": (A_RANDOM, A_SEQUENTIAL),
    "sequential": (A_SEQUENTIAL, A_RANDOM),
    "normal": (0, A_RANDOM | A_SEQUENTIAL),
}
ADVICE_OPS: Final[dict[str, tuple[ops.Op, dict[str, int]]]] = {  # what does more than set flags
    "dontneed": (ops.OP_DONTNEED, {}),
    "free": (ops.OP_FREE, {}),
    "collapse": (ops.OP_COLLAPSE, {}),
    "populate_read": (ops.OP_POPULATE, {"populate_mode": populate.READ}),
    "populate_write": (ops.OP_POPULATE, {"populate_mode": populate.WRITE}),
}


class Memory:
    """What a task does with its address space."""

    def __init__(self, calls: Calls, machine: Machine, files: FileNames) -> None:
        self._calls = calls
        self._machine = machine
        self._files = files

    def mmap(
        self,
        size_bytes: int,
        *,
        shared: bool = False,
        file: str | None = None,
        cold: bool = False,
        start_vpn: int = NONE,
        populate: bool = False,
    ) -> Verb:
        """Map memory, rounded up to whole pages; see `sim.program.api.Process.mmap`."""
        pages = pages_for(size_bytes)
        kind, row = KIND_ANON, NONE
        if file is not None and pages > 0:
            kind, row = KIND_FILE, self._files.row(file, pages, cold=cold)
        elif shared and pages > 0:
            kind, row = KIND_SHMEM, self._machine.new_file(KIND_SHMEM, pages)
        fields = {
            "pages": pages,
            "start": start_vpn,
            "map_flags": A_READ | A_WRITE | (A_SHARED if shared else A_ACCOUNT),
            "populate": int(populate),
            "map_kind": kind,
            "file": row,
            "file_page": 0,
        }
        try:
            start = yield from self._calls.do("mmap", ops.OP_MMAP, **fields)
        except BaseException:
            if row != NONE:
                self._machine.drop_file(row)
            raise
        return Region(Vpn(start), pages)

    def mprotect(
        self,
        region: Region,
        access: str,
        first: int = 0,
        pages: int | None = None,
    ) -> Verb:
        """Change what may be done with a range: ``rw``, ``r`` or ``none``."""
        if access not in ACCESS_BITS:
            raise Refused(Errno.EINVAL, "mprotect")
        bits = ACCESS_BITS[access]
        yield from self._range("mprotect", ops.OP_MPROTECT, region, first, pages, set_flags=bits)

    def madvise(
        self, region: Region, advice: str, first: int = 0, pages: int | None = None
    ) -> Verb:
        """Give the kernel advice about a range; see `sim.program.api.Process.madvise`."""
        if advice in ADVICE_OPS:
            op, how = ADVICE_OPS[advice]
            yield from self._range("madvise", op, region, first, pages, **how)
        elif advice in ADVICE_BITS:
            bits, drop_bits = ADVICE_BITS[advice]
            flags = {"set_flags": bits, "clear_flags": drop_bits}
            yield from self._range("madvise", ops.OP_MADVISE, region, first, pages, **flags)
        else:
            raise Refused(Errno.EINVAL, "madvise")

    def munmap(self, region: Region, first: int = 0, pages: int | None = None) -> Verb:
        """Unmap `pages` pages of `region` from page `first` on; by default, all the rest."""
        yield from self._range("munmap", ops.OP_MUNMAP, region, first, pages)

    def dontneed(self, region: Region, first: int = 0, pages: int | None = None) -> Verb:
        """Give back the frames of a range (MADV_DONTNEED)."""
        yield from self._range("madvise", ops.OP_DONTNEED, region, first, pages)

    def mlock(self, region: Region, first: int = 0, pages: int | None = None) -> Verb:
        """Fault a range in and keep it; see `sim.program.api.Process.mlock`."""
        flags = {"set_flags": A_LOCKED, "clear_flags": 0}
        yield from self._range("mlock", ops.OP_MLOCK, region, first, pages, **flags)

    def munlock(self, region: Region, first: int = 0, pages: int | None = None) -> Verb:
        """Undo `mlock`; the pages stay."""
        flags = {"set_flags": 0, "clear_flags": A_LOCKED}
        yield from self._range("munlock", ops.OP_MLOCK, region, first, pages, **flags)

    def msync(self, region: Region, first: int = 0, pages: int | None = None) -> Verb:
        """Have the dirty pages of a range of a shared file written back (MS_SYNC)."""
        yield from self._range("msync", ops.OP_MSYNC, region, first, pages)

    def _range(
        self, call: str, op: ops.Op, region: Region, first: int, pages: int | None, **fields: int
    ) -> Verb:
        _require_region(call, region)
        pages = region.pages - first if pages is None else pages
        if first < 0 or pages < 0 or first + pages > region.pages:
            raise Refused(Errno.EINVAL, call)
        if pages > 0:
            yield from self._calls.do(
                call, op, start=region.start_vpn + first, pages=pages, **fields
            )

    def mremap(self, region: Region, size_bytes: int) -> Verb:
        """Resize a mapping, moving it if it must; see `sim.program.api.Process.mremap`."""
        _require_region("mremap", region)
        pages = pages_for(size_bytes)
        where = {"start": int(region.start_vpn), "pages": region.pages, "new_pages": pages}
        start = yield from self._calls.do(
            "mremap", ops.OP_MREMAP, new_start=NONE, may_move=1, **where
        )
        return Region(Vpn(start), pages)

    def sbrk(self, delta_bytes: int) -> Verb:
        """Move the program break and return what the heap grew by (no pages if it shrank)."""
        pages = pages_for(abs(delta_bytes))
        start = yield from self._calls.do(
            "brk", ops.OP_BRK, pages=pages if delta_bytes >= 0 else -pages
        )
        return Region(Vpn(start), pages if delta_bytes >= 0 else 0)

    def read(self, region: Region, **how: Any) -> Verb:
        """Read pages of `region`; see `sim.program.api.Process.read`."""
        return self._access("read", region, 0, how)

    def write(self, region: Region, **how: Any) -> Verb:
        """Write pages of `region`; see `sim.program.api.Process.read`."""
        return self._access("write", region, 1, how)

    def _access(self, call: str, region: Region, write: int, how: dict[str, Any]) -> Verb:
        _require_region(call, region)
        fields, segments = stream(self._calls.lists, call, region, **how)
        if fields["accesses"] > 0:
            fields["write"] = write
            yield from self._calls.carry_out(call, ops.OP_ACCESS, fields, segments)
        return fields["accesses"]


def _require_region(call: str, region: object) -> None:
    if not isinstance(region, Region):
        raise TypeError(f"{call} takes a region as mmap returns it, not {shown(region)}")
