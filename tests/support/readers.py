"""A task in a group of its own that reads and maps a file."""

from typing import Any

from sim.kernel import ops
from sim.kernel.files.fadvise import RANDOM
from sim.kernel.reclaim.vmscan import shrink_group
from sim.machine.cached import find_page, find_shadow, has_page
from sim.machine.layout import A_READ, A_SHARED, A_WRITE, KIND_FILE, N_LRU, NONE, ROOT
from sim.machine.lru import lru_add_drain
from support.kernel import DONE, Kernel

PAGES = 200


class Reader(Kernel):
    """A machine with one such task, in row `row`; the file has `pages` pages, none cached."""

    def __init__(self, pages: int = PAGES, **host: Any) -> None:
        super().__init__(memory_pages=8192, cpus=2, **host)
        self.row = self.process()
        self.group = self.new_group(self.row)
        self.pages = pages
        self.file = self.new_file(pages)

    def new_group(self, row: int, parent: int = ROOT) -> int:
        """Have what a task takes from now on charged to a new group."""
        group: int = self.machine.new_group(parent)
        self.machine.process_of(row).group = group
        if self.task(row).space != NONE:
            self.space(row).group = group
        return group

    def new_file(self, pages: int) -> int:
        """Return a file that is read a page at a time."""
        file: int = self.machine.new_file(KIND_FILE, pages, known=True, cold=True)
        self.file = file
        self.advise(RANDOM, pages)
        return file

    def advise(self, advice: int, pages: int | None = None) -> None:
        fields = {"file": self.file, "file_page": 0, "pages": pages or self.pages}
        assert self.call(self.row, ops.OP_FADVISE, **fields, advice=advice) == DONE

    def pread(self, *pages: int, cpu: int = 0, row: int | None = None) -> None:
        for page in pages:
            fields = {"file": self.file, "file_page": page, "pages": 1}
            row = self.row if row is None else row
            assert self.call(row, ops.OP_FILE_READ, cpu=cpu, **fields) == DONE

    def pwrite(self, first: int, pages: int) -> None:
        fields = {"file": self.file, "file_page": first, "pages": pages}
        assert self.call(self.row, ops.OP_FILE_WRITE, **fields) == DONE

    def map_file(self, row: int | None = None, bits: int = A_READ | A_WRITE | A_SHARED) -> int:
        """Map the whole file; return where."""
        row = self.row if row is None else row
        how = {"pages": self.pages, "start": NONE, "map_flags": bits, "map_kind": KIND_FILE}
        assert self.call(row, ops.OP_MMAP, file=self.file, file_page=0, **how) == DONE
        assert self.errno(row) == 0
        return self.result(row)

    def shrink(self, pages: int = 32, group: int | None = None) -> int:
        """Reclaim from a group, its own if none is named; return how many pages that freed."""
        self.arrays.clock[0].lines = 0
        reclaimed = shrink_group(self.arrays, 0, self.group if group is None else group, pages, 0)
        self.machine.audit()
        return int(reclaimed)

    def drain(self, cpu: int = 0) -> None:
        lru_add_drain(self.arrays, cpu)

    # -- what there is to see ---------------------------------------------------------------

    def frame(self, page: int) -> Any:
        return self.arrays.frames[int(find_page(self.arrays, self.file, page))]

    def bits(self, page: int) -> int:
        return int(self.frame(page).bits)

    def cached(self) -> list[int]:
        """Return the pages of the file that are in the page cache."""
        return [page for page in range(self.pages) if has_page(self.arrays, self.file, page)]

    def shadow(self, page: int) -> int:
        return int(find_shadow(self.arrays, self.file, page))

    def on(self, lru: int, group: int | None = None) -> list[int]:
        """Return the pages on a list, the one first that came last."""
        row = (self.group if group is None else group) * N_LRU + lru
        pages = []
        pfn = int(self.arrays.lrus[row].head)
        while pfn != NONE:
            pages.append(int(self.arrays.frames[pfn].index))
            pfn = int(self.arrays.frames[pfn].next)
        return pages

    def vec(self, group: int | None = None) -> Any:
        return self.arrays.lruvecs[self.group if group is None else group]
