"""What is read ahead of a cold file, against the running kernel: page by page, while it is at rest.

After each access both sides wait until the device has read what it was asked for, so that every
figure is a function of the accesses: which pages are in the page cache then (`mincore`), and how
many major faults there were.  Writes to a private mapping map one page each, so that minor faults
can be compared as well.  (How far a read-ahead has come when the reader itself goes on is a race.)
"""

import ctypes
import mmap
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from support.samples import sample

from sim.base.units import PAGE_BYTES
from sim.host.conditions import file_folder, read_ahead_pages
from sim.script.grammar import Verb
from sim.script.predict import roomy_host
from sim.script.run import Scripted
from sim.script.validity import parse_script

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

ALIGNMENT = 2 << 20
ADVICE = {
    "normal": mmap.MADV_NORMAL,
    "random": mmap.MADV_RANDOM,
    "sequential": mmap.MADV_SEQUENTIAL,
}
STILL_S = 0.003
"""For so long nothing more may come than what was expected."""
LONGEST_S = 20.0
"""For so long the device may take to read what is expected, however busy it is."""
AT_ONCE_S = 0.5
"""The same where what is expected never comes."""
MET_HALF_READY = 8
"""Windows of 16 pages that take a second fault, because a part of them was still under way."""
TRIES = 3
"""A difference is believed when the kernel repeats it this often: pages may be reclaimed."""

Answer = tuple[int, int | None, frozenset[int]]
"""Major faults, minor faults (of writes), pages in the page cache."""


class KernelFile:
    """A file of the running kernel, cold at first, in a private mapping that begins at 2 MiB."""

    def __init__(self, pages: int, advice: str, folder: str, longest_s: float) -> None:
        self._pages, self._longest_s = pages, longest_s
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed below)
        fd = self._file.fileno()
        for _ in range(pages):  # one by one: each page is a folio of its own
            os.write(fd, b"x" * PAGE_BYTES)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        size = pages * PAGE_BYTES
        libc = self._libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
        anonymous = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._held = libc.mmap(None, size + ALIGNMENT, 0, anonymous, -1, 0)
        self._held_bytes = size + ALIGNMENT
        place = -(-self._held // ALIGNMENT) * ALIGNMENT
        both = mmap.PROT_READ | mmap.PROT_WRITE
        fixed = mmap.MAP_PRIVATE | 0x10  # MAP_FIXED
        self._at = libc.mmap(place, size, both, fixed, fd, 0)
        assert self._at == place
        libc.madvise(self._at, size, ADVICE[advice])
        self._memory = (ctypes.c_char * size).from_address(self._at)
        self._cached = ctypes.create_string_buffer(pages)

    def close(self) -> None:
        self._libc.munmap(self._held, self._held_bytes)
        self._file.close()

    def present(self) -> frozenset[int]:
        self._libc.mincore(self._at, self._pages * PAGE_BYTES, self._cached)
        raw = self._cached.raw
        return frozenset(page for page in range(self._pages) if raw[page] & 1)

    def read_through(self) -> tuple[int, int]:
        """Read a byte of each page in order; return major and minor faults."""
        offsets = range(0, self._pages * PAGE_BYTES, PAGE_BYTES)
        before = resource.getrusage(resource.RUSAGE_SELF)
        for offset in offsets:
            _ = self._memory[offset]
        after = resource.getrusage(resource.RUSAGE_SELF)
        return after.ru_majflt - before.ru_majflt, after.ru_minflt - before.ru_minflt

    def perform(self, verb: str, first: int, pages: int, expected: frozenset[int]) -> Answer:
        """Make an access and wait for the device: for `expected` to come, and no more than that."""
        offset = first * PAGE_BYTES
        before = resource.getrusage(resource.RUSAGE_SELF)
        if verb == "read":
            _ = self._memory[offset]
        elif verb == "write":
            self._memory[offset] = b"y"
        else:
            os.pread(self._file.fileno(), pages * PAGE_BYTES, offset)
        after = resource.getrusage(resource.RUSAGE_SELF)
        until = time.monotonic() + self._longest_s
        while self.present() != expected and time.monotonic() < until:
            time.sleep(STILL_S / 10)
        time.sleep(STILL_S)
        cached = self.present()
        minor = after.ru_minflt - before.ru_minflt if verb == "write" else None
        return after.ru_majflt - before.ru_majflt, minor, cached


class SimulatedFile:
    """The same of the simulated machine."""

    def __init__(self, pages: int, advice: str, ahead: int) -> None:
        self._pages = pages
        opening = f"P mapfile D {pages}\nP drop D\n"
        host = replace(roomy_host(parse_script(opening)), read_ahead_pages=ahead)
        self._scripted = Scripted(host)
        for operation in parse_script(opening):
            self._scripted.perform(operation)
        if advice != "normal":  # of the mapping alone: read() is not told
            (operation,) = parse_script(f"{opening}P {advice} D\n")[2:]
            self._scripted.perform(operation)
            self._scripted.machine.arrays.files[self._row].random = 0

    @property
    def _row(self) -> int:
        return self._scripted.processes["P"].regions["D"].file

    def perform(self, verb: str, first: int, pages: int) -> Answer:
        m = self._scripted.machine.arrays
        (*_, operation) = parse_script(
            f"P mapfile D {self._pages}\nP {verb if verb != 'pread' else 'fileread'} D {first} "
            f"{first + pages}\n"
        )
        record = self._scripted.perform(operation)
        self._scripted.machine.audit()
        start = int(m.files[self._row].first)
        there = m.cached[start : start + self._pages].nonzero()[0].tolist()
        minor = record.minflt if operation.verb is Verb.WRITE else None
        return record.majflt, minor, frozenset(there)


@contextmanager
def kernel_file(pages: int, advice: str, longest_s: float = LONGEST_S) -> Iterator[KernelFile]:
    file = KernelFile(pages, advice, str(file_folder()), longest_s)
    try:
        yield file
    finally:
        file.close()


def ahead() -> int:
    folder = file_folder()
    assert folder is not None
    pages = read_ahead_pages(folder)
    assert pages is not None
    return pages


def accesses(
    rng: random.Random, pages: int, window: int, *, writes: bool
) -> list[tuple[str, int, int]]:
    """Draw streams in sequence, jumps, and reads by calls."""
    found: list[tuple[str, int, int]] = []
    at = 0
    written: set[int] = set()
    while len(found) < 60:
        kind = rng.choice(("stream", "stream", "jump", "pread", "preads", "marker"))
        if kind == "jump":
            at = rng.randrange(pages)
        elif kind == "marker":
            at = min(
                pages - 1, max(0, at + rng.choice((window - window // 4, window, window // 2)))
            )
        count = rng.choice((1, 1, 2, 3, 5, 8, 17))
        for _ in range(rng.randint(1, 12) if kind in ("stream", "preads") else 1):
            by_call = kind in ("pread", "preads")
            size = min(count, pages - at) if by_call else 1
            if size <= 0:
                at = 0
                continue
            if by_call:
                found.append(("pread", at, size))
            elif not writes:
                found.append(("read", at, 1))
            elif at not in written:
                written.add(at)
                found.append(("write", at, 1))
            at = (at + (size if by_call else rng.choice((1, 1, 1, 2, 7, 16)))) % pages
    return found


def differences(
    file: KernelFile, simulated: SimulatedFile, wanted: list[tuple[str, int, int]]
) -> list[str]:
    found = []
    for number, what in enumerate(wanted):
        ours = simulated.perform(*what)
        theirs = file.perform(*what, ours[2])
        if ours != theirs:
            only_ours = sorted(ours[2] - theirs[2])
            only_theirs = sorted(theirs[2] - ours[2])
            found.append(
                f"{number} {what}: predicted {ours[:2]}, the kernel {theirs[:2]}; "
                f"only predicted {only_ours[:3]}..{only_ours[-3:]}, "
                f"only there {only_theirs[:3]}..{only_theirs[-3:]}"
            )
            break
    return found


@pytest.mark.parametrize("writes", [False, True], ids=["reads", "writes"])
@pytest.mark.parametrize("advice", ["normal", "sequential", "random"])
@pytest.mark.parametrize("seed", range(sample(3, 10)))
def test_the_same_pages_are_read_ahead(advice: str, seed: int, writes: bool):
    window = ahead()
    rng = random.Random(f"{advice} {seed} {writes}")
    pages = rng.choice((window * 3, window * 2 + 37, window // 2 + 11, window * 4))
    wanted = accesses(rng, pages, window, writes=writes)
    for _ in range(TRIES):
        with kernel_file(pages, advice) as file:
            found = differences(file, SimulatedFile(pages, advice, window), wanted)
        if not found:
            return
    pytest.fail("\n".join(found), pytrace=False)


def test_a_wrong_window_is_noticed():
    """Negative control."""
    window = ahead()
    wanted = [("read", window, 1)]
    pages = 2 * window
    with kernel_file(pages, "normal", AT_ONCE_S) as file:
        assert differences(file, SimulatedFile(pages, "normal", window // 2), wanted) != []


def test_a_cold_file_that_is_read_in_sequence():
    """Nobody waits between accesses: a few pages may be met half ready, none is major again."""
    window = ahead()
    pages = 4 * max(window, 512)
    script = parse_script(f"P mapfile D {pages}\nP drop D\nP read D 0 {pages}\n")
    host = replace(roomy_host(script), read_ahead_pages=window)
    scripted = Scripted(host)
    predicted = [scripted.perform(operation) for operation in script][-1]
    answers = []
    for _ in range(TRIES):
        with kernel_file(pages, "normal") as file:
            answers.append(file.read_through())
        major, minor = answers[-1]
        if major == predicted.majflt == 1 and abs(minor - predicted.minflt) <= MET_HALF_READY:
            return
    pytest.fail(f"predicted {predicted.headline()}, the kernel: {answers}", pytrace=False)
