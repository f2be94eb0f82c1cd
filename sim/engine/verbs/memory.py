"""Verbs about memory: mappings, advice, the heap, and touching pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.errors import Errno, Refused
from sim.base.text import shown
from sim.base.units import pages_for
from sim.engine.streams import stream
from sim.kernel import ops
from sim.kernel.calls import populate
from sim.machine.layout import (
    A_ACCOUNT,
    A_DONTFORK,
    A_HUGEPAGE,
    A_LOCKED,
    A_NOHUGEPAGE,
    A_NORESERVE,
    A_RANDOM,
    A_READ,
    A_SEQUENTIAL,
    A_SHARED,
    A_WIPEONFORK,
    A_WRITE,
    HUGE_PAGES,
    KIND_ANON,
    KIND_FILE,
    KIND_HUGETLB,
    KIND_SHMEM,
    NONE,
)
from sim.machine.layout.fields import Flags, Mapping, Pages, Populate, Protection, Range, Remapping
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
ADVICE_OPS: Final = {  # what does more than set flags
    "dontneed": ops.OP_DONTNEED,
    "free": ops.OP_FREE,
    "collapse": ops.OP_COLLAPSE,
}
POPULATE: Final = {"populate_read": populate.READ, "populate_write": populate.WRITE}


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
        hugetlb: bool = False,
        noreserve: bool = False,
        start_vpn: int = NONE,
        populate: bool = False,
    ) -> Verb:
        """Map memory, rounded up to whole pages; see `sim.program.api.Process.mmap`."""
        pages = pages_for(size_bytes)
        kind, row = KIND_ANON, NONE
        if hugetlb and (file is not None or cold):
            raise Refused(Errno.EINVAL, "mmap")
        if hugetlb and pages > 0:
            huge_pages = -(-pages // HUGE_PAGES)
            pages = huge_pages * HUGE_PAGES
            kind, row = KIND_HUGETLB, self._machine.new_file(KIND_HUGETLB, huge_pages)
        elif file is not None and pages > 0:
            kind, row = KIND_FILE, self._files.row(file, pages, cold=cold)
        elif shared and pages > 0:
            kind, row = KIND_SHMEM, self._machine.new_file(KIND_SHMEM, pages)
        flags = A_READ | A_WRITE | (A_SHARED if shared else 0) | (A_NORESERVE if noreserve else 0)
        if not shared and not noreserve and not hugetlb:
            flags |= A_ACCOUNT
        fields = Mapping(
            pages=pages,
            start=start_vpn,
            map_flags=flags,
            populate=int(populate),
            map_kind=kind,
            file=row,
            file_page=0,
        )
        try:
            start = yield from self._calls.do("mmap", ops.OP_MMAP, fields)
        except BaseException:
            if row != NONE:
                self._machine.drop_file(row)
            raise
        return Region(start, pages)

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
        at = _range("mprotect", region, first, pages)
        fields = Protection(**at, set_flags=ACCESS_BITS[access])
        yield from self._on("mprotect", ops.OP_MPROTECT, fields)

    def madvise(
        self, region: Region, advice: str, first: int = 0, pages: int | None = None
    ) -> Verb:
        """Give the kernel advice about a range; see `sim.program.api.Process.madvise`."""
        if advice not in ADVICE_OPS.keys() | POPULATE.keys() | ADVICE_BITS.keys():
            raise Refused(Errno.EINVAL, "madvise")
        at = _range("madvise", region, first, pages)
        if advice in ADVICE_OPS:
            yield from self._on("madvise", ADVICE_OPS[advice], at)
        elif advice in POPULATE:
            how = Populate(**at, populate_mode=POPULATE[advice])
            yield from self._on("madvise", ops.OP_POPULATE, how)
        else:
            come, go = ADVICE_BITS[advice]
            flags = Flags(**at, set_flags=come, clear_flags=go)
            yield from self._on("madvise", ops.OP_MADVISE, flags)

    def munmap(self, region: Region, first: int = 0, pages: int | None = None) -> Verb:
        """Unmap `pages` pages of `region` from page `first` on; by default, all the rest."""
        yield from self._on("munmap", ops.OP_MUNMAP, _range("munmap", region, first, pages))

    def dontneed(self, region: Region, first: int = 0, pages: int | None = None) -> Verb:
        """Give back the frames of a range (MADV_DONTNEED)."""
        yield from self._on("madvise", ops.OP_DONTNEED, _range("madvise", region, first, pages))

    def mlock(self, region: Region, first: int = 0, pages: int | None = None) -> Verb:
        """Fault a range in and keep it; see `sim.program.api.Process.mlock`."""
        at = _range("mlock", region, first, pages)
        yield from self._on("mlock", ops.OP_MLOCK, Flags(**at, set_flags=A_LOCKED, clear_flags=0))

    def munlock(self, region: Region, first: int = 0, pages: int | None = None) -> Verb:
        """Undo `mlock`; the pages stay."""
        at = _range("munlock", region, first, pages)
        yield from self._on("munlock", ops.OP_MLOCK, Flags(**at, set_flags=0, clear_flags=A_LOCKED))

    def msync(self, region: Region, first: int = 0, pages: int | None = None) -> Verb:
        """Have the dirty pages of a range of a shared file written back (MS_SYNC)."""
        yield from self._on("msync", ops.OP_MSYNC, _range("msync", region, first, pages))

    def _on(self, call: str, op: ops.Op[ops.F], fields: ops.F) -> Verb:
        """Do that to a range of pages, unless it is empty."""
        if fields["pages"] > 0:
            yield from self._calls.do(call, op, fields)

    def mremap(self, region: Region, size_bytes: int) -> Verb:
        """Resize a mapping, moving it if it must; see `sim.program.api.Process.mremap`."""
        _require_region("mremap", region)
        pages = pages_for(size_bytes)
        fields = Remapping(
            start=region.start_vpn,
            pages=region.pages,
            new_pages=pages,
            new_start=NONE,
            may_move=1,
        )
        start = yield from self._calls.do("mremap", ops.OP_MREMAP, fields)
        return Region(start, pages)

    def sbrk(self, delta_bytes: int) -> Verb:
        """Move the program break and return what the heap grew by (no pages if it shrank).

        By whole pages, each call rounded up, as allocators ask for it.
        """
        pages = pages_for(abs(delta_bytes))
        more: Pages = {"pages": pages if delta_bytes >= 0 else -pages}
        start = yield from self._calls.do("brk", ops.OP_BRK, more)
        return Region(start, pages if delta_bytes >= 0 else 0)

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


def _range(call: str, region: Region, first: int, pages: int | None) -> Range:
    """Return `pages` pages of a region from page `first` on; by default, all the rest."""
    _require_region(call, region)
    pages = region.pages - first if pages is None else pages
    if first < 0 or pages < 0 or first + pages > region.pages:
        raise Refused(Errno.EINVAL, call)
    return {"start": region.start_vpn + first, "pages": pages}


def _require_region(call: str, region: object) -> None:
    if not isinstance(region, Region):
        raise TypeError(f"{call} takes a region as mmap returns it, not {shown(region)}")
