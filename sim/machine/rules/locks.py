"""Rules by release: what holds the mmap lock, or the lock of an area, how, and how long."""

from typing import Final

from sim.machine.rules.rule import KERNEL, KERNEL_6_1, UNCHECKED, Rule

R_UNMAP_SHARED: Final = Rule(
    28,
    (4, 20),
    "munmap, and brk and mremap that shrink, share the mmap lock with readers in the end",
    "they hold it for writing to the end",
    "waits of threads",
    KERNEL,
    UNCHECKED,
    "dd2283f2605e",
)
R_AREA_LOCKS: Final = Rule(
    6,
    (6, 4),
    "a fault locks its area only, unless that gets its family now; fork locks all of them",
    "a fault waits for whoever holds the mmap lock for writing",
    "waits of threads",
    KERNEL,
    KERNEL_6_1,
    "fb49c455323f",
)
R_ADVICE_LOCKS: Final = Rule(
    29,
    (6, 17),
    "MADV_DONTNEED and MADV_FREE of one area lock that area only",
    "they hold the mmap lock for reading",
    "waits of threads",
    KERNEL,
    UNCHECKED,
)
