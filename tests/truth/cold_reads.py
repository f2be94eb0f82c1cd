"""Count the faults of reading a file that is not in the page cache, many times over.

Run it as ``python -m tests.truth.cold_reads [PAGES] [RUNS]`` from the checkout's root.  Prints how
often each number of major and minor faults came, without and with MADV_RANDOM, which turns
read-ahead off: what is the same in every run is a rule, the rest is a race with the device.
"""

import mmap
import os
import resource
import sys
import tempfile
from collections import Counter

from sim.base.units import PAGE_BYTES
from sim.host.conditions import file_folder


def cold_read(pages: int, *, random: bool) -> tuple[int, int]:
    """Map a new file, drop it from the page cache, read it in order; return majflt and minflt."""
    with tempfile.TemporaryFile(dir=file_folder()) as file:
        for _ in range(pages):  # one by one: each page is a folio of its own
            os.write(file.fileno(), b"x" * PAGE_BYTES)
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
            if random:
                memory.madvise(mmap.MADV_RANDOM)
            offsets = range(0, pages * PAGE_BYTES, PAGE_BYTES)
            before = resource.getrusage(resource.RUSAGE_SELF)
            for offset in offsets:
                memory[offset]
            after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_majflt - before.ru_majflt, after.ru_minflt - before.ru_minflt


def main(pages: int = 256, runs: int = 100) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for random in (False, True):
        seen = Counter(cold_read(pages, random=random) for _ in range(runs))
        print(f"{pages} pages, {'MADV_RANDOM' if random else 'read ahead'}:")  # noqa: T201
        for (major, minor), times in sorted(seen.items()):
            print(f"  majflt={major} minflt={minor} in {times} of {runs} runs")  # noqa: T201


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
