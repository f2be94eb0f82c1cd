"""What the running kernel promises at most, and how it scores processes for the killer."""

import ctypes
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support.kernel import DONE, READ_WRITE, Kernel

from sim.base.units import MIB, PAGE_BYTES
from sim.engine.run import host_spec
from sim.kernel import ops
from sim.kernel.work import ENOMEM
from sim.machine.layout import NONE
from sim.policy.oom import Candidate, badness_pages
from sim.scenario import resolve

MEMINFO: Final = Path("/proc/meminfo")
MODE: Final = Path("/proc/sys/vm/overcommit_memory")
PRIVATE_ANONYMOUS: Final = 0x22

pytestmark = [pytest.mark.truth, pytest.mark.kernel]


def total_pages() -> int:
    """Return memory and swap as the kernel counts them."""
    lines = dict(line.split(":") for line in MEMINFO.read_text().splitlines())
    kib = (int(lines[name].split()[0]) for name in ("MemTotal", "SwapTotal"))
    return sum(kib) * 1024 // PAGE_BYTES


def granted(pages: int) -> bool:
    """Whether the kernel grants one writable private mapping of that many pages."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    size = pages * PAGE_BYTES
    access = mmap.PROT_READ | mmap.PROT_WRITE
    address = libc.mmap(None, size, access, PRIVATE_ANONYMOUS, -1, 0)
    if address == ctypes.c_void_p(-1).value:
        return False
    libc.munmap(address, size)
    return True


def granted_by_the_model(total: int, pages: int) -> bool:
    kernel = Kernel(memory_pages=301, kernel_pages=1, overcommit=0)
    kernel.arrays.config[0].ram = total  # so much memory need not be there to be promised
    row = kernel.process()
    request = {"pages": pages, "start": NONE, "map_flags": READ_WRITE}
    assert kernel.call(row, ops.OP_MMAP, **request) == DONE
    assert kernel.errno(row) in (0, ENOMEM)
    return kernel.errno(row) == 0


@pytest.mark.skipif(
    not MODE.exists() or MODE.read_text().strip() != "0",
    reason="unchecked: vm.overcommit_memory is not 0 here",
)
@pytest.mark.parametrize("more", [-1, 0, 1, 1000])
def test_the_largest_request_is_memory_and_swap(more: int) -> None:
    total = total_pages()
    assert granted(total + more) == granted_by_the_model(total, total + more) == (more <= 0)


def test_commit_limit_is_that_of_meminfo() -> None:
    """What a run says of refusals in mode 2 is what Linux shows (`vm_commit_limit`)."""
    ratio = int(Path("/proc/sys/vm/overcommit_ratio").read_text())
    lines = dict(line.split(":") for line in MEMINFO.read_text().splitlines())
    kib = {name: int(text.split()[0]) for name, text in lines.items()}
    kbytes = Path("/proc/sys/vm/overcommit_kbytes")
    if kib.get("Hugetlb") or (kbytes.exists() and kbytes.read_text().strip() != "0"):
        pytest.skip("unchecked: huge pages are set aside, or the limit is set in kB")
    reserve = 64 * MIB
    scenario = resolve({
        "version": 1,
        "host": {
            "memory": kib["MemTotal"] * 1024 + reserve,
            "kernel_reserve": reserve,
            "overcommit": {"mode": 2, "ratio": ratio},
        },
        "processes": {"p": {"program": "redis"}},
    })  # fmt: skip
    limit_kib = host_spec(scenario).commit_limit_pages * PAGE_BYTES // 1024
    assert limit_kib == kib["CommitLimit"] - kib["SwapTotal"]


@pytest.fixture
def process() -> Iterator[tuple[int, int]]:
    """Return the pid of a child with 192 MiB that the killer would rather take, and its bias."""
    bias = 250
    ready, told = os.pipe()
    wait, stay = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            memory = mmap.mmap(-1, 192 * MIB)
            for at in range(0, len(memory), PAGE_BYTES):
                memory[at] = 1
            Path("/proc/self/oom_score_adj").write_text(str(bias))
            os.write(told, b"x")
            os.close(stay)
            os.read(wait, 1)
        finally:
            os._exit(0)
    os.close(told)
    assert os.read(ready, 1) == b"x"
    yield pid, bias
    for end in (stay, wait, ready):
        os.close(end)
    os.waitpid(pid, 0)


def score(candidate: Candidate, total: int) -> int:
    """Return what `/proc/PID/oom_score` makes of a badness (`proc_oom_score`, since Linux 5.9)."""
    badness = badness_pages(candidate, total)
    assert badness is not None
    return (1000 + badness * 1000 // total) * 2 // 3


def as_the_kernel_sees(pid: int, bias: int) -> Candidate:
    lines = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    sizes = {
        name: int(lines[name].split()[0]) * 1024 // PAGE_BYTES
        for name in ("VmRSS", "VmSwap", "VmPTE")
    }
    return Candidate(pid, sizes["VmRSS"], sizes["VmSwap"], sizes["VmPTE"], bias)


def told_by_the_kernel(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score").read_text())


def test_the_score_of_a_process_is_as_predicted(process: tuple[int, int]) -> None:
    """Within 1: a score is 1/1500 of memory, and the process may be at the border of two."""
    predicted = score(as_the_kernel_sees(*process), total_pages())
    assert abs(told_by_the_kernel(process[0]) - predicted) <= 1


def test_another_score_would_be_noticed(process: tuple[int, int]) -> None:
    """Negative control: without the bias, or with half of the memory behind the total."""
    pid, bias = process
    seen = as_the_kernel_sees(pid, bias)
    told = told_by_the_kernel(pid)
    assert abs(told - score(as_the_kernel_sees(pid, 0), total_pages())) > 1
    doubled = Candidate(pid, seen.resident_pages + total_pages() // 100, 0, seen.table_pages, bias)
    assert abs(told - score(doubled, total_pages())) > 1
