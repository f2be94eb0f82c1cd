"""O_DIRECT against the running kernel: which pages of a file it leaves in the page cache.

A file on a disk file system, read and written a page a call, through a mapping, and past the page
cache, in random order; after each operation the kernel says which pages are resident, and whether
an access to the mapping was a major fault.
"""

import ctypes
import mmap
import os
import platform
import random
import resource
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.kernel import DONE, Kernel
from support.samples import sample

from sim.host.conditions import assumed_release, file_folder, read_ahead_pages
from sim.kernel import ops, stream
from sim.kernel.files import fadvise
from sim.kernel.step import step
from sim.kernel.work import UNDER_WAY
from sim.machine.cached import has_page
from sim.machine.layout import A_RANDOM, A_READ, A_SHARED, A_WRITE, KIND_FILE

pytestmark = pytest.mark.truth

PAGES, PAGE, BASE = 64, mmap.PAGESIZE, 512 * 1000
SCRIPTS = sample(20, 500)
ROUNDS = 3
"""A script that differs is asked again: the kernel writes and reclaims at moments of its own."""
Operation = tuple[str, int, int]
Answer = tuple[str, int]


def script(luck: random.Random) -> list[Operation]:
    made: list[Operation] = []
    for _ in range(40):
        verb = luck.choice(("read", "write", "touch", "direct read", "direct write", "sync"))
        first = luck.randrange(PAGES)
        last = luck.randint(first + 1, min(PAGES, first + 20)) if "direct" in verb else first + 1
        made.append((verb, first, last))
    return made


class Simulated:
    """What the simulated kernel does."""

    def __init__(self, pages: int = PAGES, *, ahead: bool = False) -> None:
        folder = file_folder()
        far = read_ahead_pages(folder) if folder is not None else None
        release = assumed_release(platform.release())
        how = {"read_ahead_pages": far} if far is not None else {}
        self.kernel = Kernel(kernel=release, memory_pages=9000, cpus=1, **how)
        self.pages = pages
        k = self.kernel
        self.row = k.process()
        self.file = k.machine.new_file(KIND_FILE, pages, known=True, cold=True)
        whole = {"start": BASE, "pages": pages, "map_kind": KIND_FILE, "file": self.file}
        flags = A_READ | A_WRITE | A_SHARED | A_RANDOM
        assert k.call(self.row, ops.OP_MMAP, map_flags=flags, file_page=0, **whole) == DONE
        if not ahead:
            self.call(ops.OP_FADVISE, 0, pages, advice=fadvise.RANDOM)

    def call(self, op: ops.Op, first: int, last: int, **how: int) -> None:
        k = self.kernel
        k.begin(self.row, op, file=self.file, file_page=first, pages=last - first, **how)
        while (status := k.go_on(self.row)) == UNDER_WAY:
            pass
        assert status == DONE
        k.machine.audit()

    def do(self, operation: Operation) -> Answer:
        verb, first, last = operation
        major = 0
        calls = {
            "read": ops.OP_FILE_READ,
            "write": ops.OP_FILE_WRITE,
            "direct read": ops.OP_DIRECT_READ,
            "direct write": ops.OP_DIRECT_WRITE,
        }
        if verb in calls:
            self.call(calls[verb], first, last)
        elif verb == "sync":
            k = self.kernel
            k.begin(self.row, ops.OP_FSYNC, file=self.file)
            while k.go_on(self.row) == UNDER_WAY:
                pass
        else:
            k = self.kernel
            where = {"start": BASE + first, "pages": 1, "accesses": 1, "span": 1, "write": 0}
            k.begin(self.row, ops.OP_ACCESS, pattern=stream.SEQUENTIAL, **where)
            major = int(not has_page(k.arrays, self.file, first))
            while k.go_on(self.row) == UNDER_WAY:
                pass
        return self.resident(), major

    def resident(self) -> str:
        m = self.kernel.arrays
        return "".join("x" if has_page(m, self.file, page) else "." for page in range(self.pages))


class Real:
    """What the running kernel does."""

    def __init__(self, path: Path, pages: int) -> None:
        self.pages = pages
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT)
        os.write(self.fd, b"a" * pages * PAGE)
        os.fsync(self.fd)
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_RANDOM)
        self.direct = os.open(path, os.O_RDWR | os.O_DIRECT)
        self.buffer = memoryview(mmap.mmap(-1, pages * PAGE))
        self.map = mmap.mmap(self.fd, pages * PAGE)
        self.map.madvise(mmap.MADV_RANDOM)
        self.at = ctypes.addressof(ctypes.c_char.from_buffer(self.map))

    def resident(self) -> str:
        found = (ctypes.c_ubyte * self.pages)()
        libc = ctypes.CDLL(None, use_errno=True)
        size = ctypes.c_size_t(self.pages * PAGE)
        assert libc.mincore(ctypes.c_void_p(self.at), size, found) == 0
        return "".join("x" if here & 1 else "." for here in found)

    def do(self, operation: Operation) -> Answer:
        verb, first, last = operation
        pages, at = last - first, first * PAGE
        major = 0
        if verb == "read":
            os.pread(self.fd, PAGE, at)
        elif verb == "write":
            os.pwrite(self.fd, b"b" * PAGE, at)
        elif verb == "direct read":
            assert os.preadv(self.direct, [self.buffer[: pages * PAGE]], at) == pages * PAGE
        elif verb == "direct write":
            assert os.pwritev(self.direct, [self.buffer[: pages * PAGE]], at) == pages * PAGE
        elif verb == "sync":
            os.fsync(self.fd)
        else:
            before = resource.getrusage(resource.RUSAGE_THREAD).ru_majflt
            ctypes.c_char.from_address(self.at + at).value  # noqa: B018  (it is read)
            major = resource.getrusage(resource.RUSAGE_THREAD).ru_majflt - before
        return self.resident(), major


@pytest.fixture
def real() -> Iterator[Callable[[int], Real]]:
    folder = file_folder()
    if folder is None:
        pytest.skip("unchecked: no folder here is on a disk file system")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        try:
            os.close(os.open(Path(place) / "try", os.O_RDWR | os.O_CREAT | os.O_DIRECT))
        except OSError:
            pytest.skip("unchecked: files here cannot be opened with O_DIRECT")
        paths = (Path(place) / str(number) for number in range(10_000))
        yield lambda pages: Real(next(paths), pages)


def difference(real: Callable[[int], Real], seed: int) -> list[str]:
    """Return the first operation of a script after which the two differ, and what each says."""
    simulated, asked = Simulated(), real(PAGES)
    for number, operation in enumerate(script(random.Random(seed))):
        found, said = simulated.do(operation), asked.do(operation)
        if found != said:
            return [f"{number} {operation}", f"simulated {found}", f"kernel    {said}"]
    return []


@pytest.mark.kernel
def test_the_page_cache_is_as_the_kernel_leaves_it(real: Callable[[int], Real]) -> None:
    for seed in range(SCRIPTS):
        for _ in range(ROUNDS):
            found = difference(real, seed)
            if not found:
                break
        assert not found, f"seed {seed}: {found}"


@pytest.mark.kernel
def test_large_folios_go_whole(real: Callable[[int], Real]) -> None:
    """A file that is read in order has them; a write past the cache takes all of each."""
    pages = 1024
    simulated, asked = Simulated(pages, ahead=True), real(pages)
    os.posix_fadvise(asked.fd, 0, 0, os.POSIX_FADV_NORMAL)
    for first in range(0, pages, 16):
        simulated.call(ops.OP_FILE_READ, first, first + 16)
        os.pread(asked.fd, 16 * PAGE, first * PAGE)
    luck = random.Random(1)
    for _ in range(sample(5, 20)):
        first = luck.randrange(pages - 3)
        operation = ("direct write", first, first + luck.randint(1, 3))
        assert simulated.do(operation) == asked.do(operation)
    assert "." * 4 in simulated.resident(), "some were large"


@pytest.mark.kernel
def test_a_write_that_leaves_the_cache_alone_would_be_noticed(
    real: Callable[[int], Real], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: the folios of the range stay."""

    def one(m: Any, cpu: int, task: int) -> int:
        if m.operations[task].op == ops.OP_DIRECT_WRITE:
            m.operations[task].op = ops.OP_DIRECT_READ
        return int(step(m, cpu, task))

    monkeypatch.setattr("support.kernel.step", one)
    assert any(difference(real, seed) for seed in range(4))
