"""What a program sees of the simulated kernel: its verbs, and what they return.

A program is a generator function ``program(task, *, ...parameters...)`` that reads like
the C program it stands for.  Each verb is itself a generator and is entered with
``yield from``; a program may also ``yield`` any SimPy event.  `Process` is the whole
interface: `sim.engine` implements it, a test may do so with a list.

A refused call raises `sim.base.errors.Refused` inside the program; a program that does not
catch it ends as ``failed: ENOMEM`` (or whatever was refused).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from sim.program.handles import Child, Exited, Image, Mutex, Region, Thread
from sim.program.patterns import SEQUENTIAL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sim.base.units import Pid
    from sim.program.arrivals import ArrivalStream
    from sim.program.patterns import Every, Pattern

__all__ = [
    "BUS_ERROR_STATUS",
    "OOM_KILLED_STATUS",
    "SEGFAULT_STATUS",
    "Child",
    "Exited",
    "Image",
    "Mutex",
    "Process",
    "Program",
    "Region",
    "Thread",
    "Verb",
]

T = TypeVar("T")

Verb: TypeAlias = Generator[Any, Any, T]
"""A kernel call in progress; ``yield from`` it and get its result."""

Program: TypeAlias = Callable[..., Generator[Any, Any, None]]
"""A generator function whose first argument is a `Process`."""

OOM_KILLED_STATUS = -9
"""`Exited.status` of a child that the out-of-memory killer ended (SIGKILL is 9)."""

BUS_ERROR_STATUS = -7
"""`Exited.status` of a child that needed a huge page when none was left (SIGBUS is 7)."""

SEGFAULT_STATUS = -11
"""`Exited.status` of a child that touched what it may not (SIGSEGV is 11)."""


class Process(Protocol):
    """One simulated process, as its own program sees it."""

    @property
    def now_ns(self) -> int:
        """Simulated time."""

    @property
    def pid(self) -> Pid:
        """The process identifier."""

    @property
    def name(self) -> str:
        """Its name: ``parent/ordinal`` unless it was given one."""

    @property
    def cpus(self) -> int:
        """How many CPUs the machine has (``get_nprocs``)."""

    # -- memory -----------------------------------------------------------------------

    def mmap(
        self,
        size_bytes: int,
        *,
        shared: bool = False,
        file: str | None = None,
        cold: bool = False,
        hugetlb: bool = False,
        noreserve: bool = False,
    ) -> Verb[Region]:
        """Map memory, rounded up to whole pages: private and anonymous unless told otherwise.

        Parameters
        ----------
        shared
            Writes are seen by all who map it; fork does not copy it.  Without `file`, new shared
            anonymous memory, which only children share.
        file
            Name of a file that the whole machine knows.  The first to map it makes it, of this
            size, with all its pages in the page cache, clean; there they stay until they are
            dropped.
        cold
            If the file is new it is on the disk only: what is touched has to be read first.
        hugetlb
            Huge pages of the host's pool (MAP_HUGETLB), in whole 2 MiB; private, or shared with
            children.  They are reserved: ENOMEM if the pool has not as many left.  A child of
            whoever mapped them privately has none reserved, and is ended by SIGBUS if it needs one
            that is not there.  They cannot be given back page by page, grown or moved: `dontneed`,
            `free` and a larger `mremap` are refused with EINVAL, and so are parts of 2 MiB.
        noreserve
            Nothing is promised or reserved for it (MAP_NORESERVE); in overcommit mode 2 memory is
            promised all the same.
        """

    def mprotect(
        self, region: Region, access: str, first: int = 0, pages: int | None = None
    ) -> Verb[None]:
        """Change what may be done with a range: ``rw``, ``r`` or ``none``."""

    def madvise(
        self, region: Region, advice: str, first: int = 0, pages: int | None = None
    ) -> Verb[None]:
        """Give the kernel advice about a range.

        ``dontneed``; ``free``: it counts as clean until written again; ``populate_read``,
        ``populate_write``: faults it in; ``hugepage``, ``nohugepage``; ``collapse``: whole 2 MiB
        become huge pages at once; ``dontfork``, ``dofork``: whether a child gets it;
        ``wipeonfork``, ``keeponfork``: whether a child finds it empty; ``random``, ``sequential``,
        ``normal``: what faults on a file read ahead.
        """

    def munmap(self, region: Region, first: int = 0, pages: int | None = None) -> Verb[None]:
        """Unmap `pages` pages of `region` from page `first` on; by default, all the rest."""

    def mremap(self, region: Region, size_bytes: int) -> Verb[Region]:
        """Resize a mapping, moving it if it cannot grow where it is; return where it is now."""

    def mlock(self, region: Region, first: int = 0, pages: int | None = None) -> Verb[None]:
        """Fault a range in and keep it: private memory that may be written, as if written to.

        ``dontneed`` and ``free`` are then refused.  A child inherits no lock.
        """

    def munlock(self, region: Region, first: int = 0, pages: int | None = None) -> Verb[None]:
        """Undo `mlock`; the pages stay."""

    def msync(self, region: Region, first: int = 0, pages: int | None = None) -> Verb[None]:
        """Have the dirty pages of a range of a shared file written back: the next write faults.

        It waits for the disk.
        """

    def pread(self, file: str, pages: int, first: int = 0, *, direct: bool = False) -> Verb[None]:
        """Read `pages` pages of a file, from page `first` on, through the page cache.

        The first to name a file makes it, of the size that it asks for; it is on the disk only.
        `direct` (O_DIRECT) passes the page cache by: it stays as it is, but that what is dirty of
        the range is written first.
        """

    def pwrite(self, file: str, pages: int, first: int = 0, *, direct: bool = False) -> Verb[None]:
        """Write pages of a file, as `pread`: they are dirty in the page cache until `fsync`.

        `direct` (O_DIRECT) waits for the disk, and takes the range out of the page cache.
        """

    def fsync(self, file: str) -> Verb[None]:
        """Have all dirty pages of a file written back, and wait for the disk."""

    def fadvise(
        self, file: str, advice: str, first: int = 0, pages: int | None = None
    ) -> Verb[None]:
        """Say how a file will be read (`posix_fadvise`); by default, the rest of it.

        ``normal``, ``random``, ``sequential``: what `pread` reads ahead; ``willneed``: read it
        now, without waiting for it; ``dontneed``: take clean pages that nobody maps out of the
        page cache.
        """

    def drop(self, file: str) -> Verb[None]:
        """Write a file back and take it out of the page cache: `fsync`, then ``dontneed``.

        Pages that somebody maps stay.  A file that is still to be made will be on the disk only.
        The file of a program that exec knows by name is ``program:NAME``.
        """

    def sbrk(self, delta_bytes: int) -> Verb[Region]:
        """Move the program break and return what the heap grew by (no pages if it shrank).

        By whole pages, each call rounded up, as allocators ask for it.
        """

    def dontneed(self, region: Region, first: int = 0, pages: int | None = None) -> Verb[None]:
        """Give back the frames of a range (MADV_DONTNEED); its next read sees zeroes."""

    def read(
        self,
        region: Region,
        *,
        first: int = 0,
        pages: int | None = None,
        pattern: Pattern = SEQUENTIAL,
        arrivals: NDArray[np.int64] | Every | None = None,
        span: int = 1,
        per_request: int = 1,
        cpu_ns: int = 0,
        drop: bool = False,
    ) -> Verb[int]:
        """Read pages of `region` and return the number of accesses done.

        Parameters
        ----------
        region, first, pages
            The range: `pages` pages from page `first` of `region` on; by default, the rest.
        pattern
            Which pages of the range, in which order.
        arrivals
            Absolute ns, one per request: it starts then, or at the end of the one before if
            that is later, and takes part in ``request_latency_ns``.  Without it, one access
            follows the other.
        span
            How many consecutive pages one access touches.  `Uniform` and `HotCold` then draw
            aligned groups of that many pages.
        per_request
            How many accesses in a row make one request: the first waits for the arrival, the
            last ends it.
        cpu_ns
            CPU time each access takes besides its faults.
        drop
            Whether each page is given back (MADV_DONTNEED) after its access.
        """

    def write(
        self,
        region: Region,
        *,
        first: int = 0,
        pages: int | None = None,
        pattern: Pattern = SEQUENTIAL,
        arrivals: NDArray[np.int64] | Every | None = None,
        span: int = 1,
        per_request: int = 1,
        cpu_ns: int = 0,
        drop: bool = False,
    ) -> Verb[int]:
        """Write pages of `region`; otherwise as `read`."""

    # -- what the kernel knows of this process ------------------------------------------

    def prctl(self, option: str, value: int) -> Verb[None]:
        """Change an attribute.  ``thp_disable`` 1: no large folios, for its children neither."""

    def oom_score_adj(self, value: int) -> Verb[None]:
        """Write -1000 (never killed) to 1000 to ``/proc/self/oom_score_adj``; takes no time."""

    def nice(self, increment: int) -> Verb[int]:
        """Add to the nice value, -20 to 19, of this process, from its next wait or switch on."""

    # -- what an administrator does -------------------------------------------------------

    def swapoff(self) -> Verb[None]:
        """Bring all that is swapped out back to memory, and use the swap device no more.

        The process needs `cap_sys_admin`; it is the first that the killer takes meanwhile.
        """

    def swapon(self) -> Verb[None]:
        """Use the swap device again, after `swapoff`."""

    # -- time -------------------------------------------------------------------------

    def compute(self, cpu_ns: int) -> Verb[None]:
        """Use the CPU for `cpu_ns`."""

    def sleep(self, duration_ns: int) -> Verb[None]:
        """Be blocked for `duration_ns`."""

    def sleep_until(self, time_ns: int) -> Verb[None]:
        """Be blocked until the absolute time `time_ns`; at once if that is past."""

    # -- processes --------------------------------------------------------------------

    def fork(
        self, program: Program, *args: Any, name: str | None = None, **kwargs: Any
    ) -> Verb[Child]:
        """Start a child with a copy of this address space; it runs `program(task, *args)`."""

    def vfork(
        self, program: Program, *args: Any, name: str | None = None, **kwargs: Any
    ) -> Verb[Child]:
        """Start a child that borrows this address space; return when it execs or exits."""

    def posix_spawn(
        self,
        image: str | Image,
        program: Program,
        *args: Any,
        name: str | None = None,
        **kwargs: Any,
    ) -> Verb[Child]:
        """Start a child by vfork that execs `image` at once and then runs `program`."""

    def exec(self, image: str | Image) -> Verb[None]:
        """Replace this address space; the program goes on in the new one.

        `image` is the name of a program that ships (``true``, ``sh``, ``ls``, ...), or sizes.  What
        that touches when it starts it has touched when this returns.  Regions from before are gone.
        Where promises run out, exec is refused with ENOMEM, or the process is ended by SIGSEGV.
        """

    def exit(self, status: int = 0) -> Verb[None]:
        """End this process; does not return."""

    def wait(self, child: Child | None = None) -> Verb[Exited]:
        """Wait for `child`, or for any child, and reap it."""

    def thread(
        self, program: Program, *args: Any, name: str | None = None, **kwargs: Any
    ) -> Verb[Thread]:
        """Start a thread of this process: it shares everything and runs `program(task, *args)`.

        It ends when `program` returns.  The process ends, with all its threads, when its own
        program returns or any of them calls `exit`.
        """

    def join(self, thread: Thread) -> Verb[None]:
        """Wait until `thread` has ended; at once if it has."""

    def lock(self, mutex: Mutex) -> Verb[None]:
        """Take a lock; wait for it if another thread has it, first come, first served."""

    def unlock(self, mutex: Mutex) -> Verb[None]:
        """Give back a lock that this thread has taken."""

    def child_exited(self, child: Child) -> bool:
        """Whether `child` has ended and waits to be reaped.  Takes no simulated time."""

    # -- beside the model -------------------------------------------------------------

    def rng(self, purpose: str) -> np.random.Generator:
        """Return this task's random stream for `purpose`, at its start.

        The same in every scenario of a comparison: it is keyed by the seed, the
        replication, the task's name and `purpose`.
        """

    def faults(self, kind: str) -> int:
        """How many faults of `kind` (``cow_copy``, ``zero_fill``, ...) this thread has had.

        As `RUSAGE_THREAD` counts: those of other threads of its process are not among them.
        """

    def record(self, key: str, value: float) -> None:
        """Append `value` to this program's report under `key`."""

    def mark(self, kind: str) -> None:
        """Note an event of this `kind` now, for time series."""

    def offers(self, stream: ArrivalStream, until_ns: int | None = None) -> None:
        """Say that requests arrive for this process as `stream` says, before `until_ns`.

        Those that have arrived when it ends, or the run does, and that nobody has taken from the
        stream, were not served.
        """

    def begin(self, event: str) -> None:
        """Say that an `event` begins that this program is there to do: see `program`.

        Marked as ``{event}_start``.
        """

    def end(self, event: str, *, failed: bool = False) -> None:
        """Say that an `event` has ended, and whether it came to nothing.

        Marked as ``{event}_end`` either way.
        """
