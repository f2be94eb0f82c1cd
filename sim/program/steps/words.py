"""What verbs of a list of steps do, and what their arguments mean: for people and for editors."""

from __future__ import annotations

from typing import Final

VERB_TEXTS: Final[dict[str, str]] = {
    "mmap": "map memory: anonymous and private, or a file, or shared",
    "advise": "madvise: give the kernel advice about a region, or a range of it",
    "mprotect": "change what may be done with a region, or a range of it",
    "mremap": "resize a region; it may move",
    "mlock": "fault a region in and keep it",
    "munlock": "undo mlock; the pages stay",
    "msync": "wait until the disk has what was written to a shared mapping of a file",
    "read_file": "read a file with read(): through the page cache, from the disk where it is cold",
    "write_file": "write a file with write(): into the page cache",
    "fsync": "wait until the disk has what was written to a file",
    "fadvise": "say how a file will be read with read(), or have it read or dropped",
    "drop": "write a file, or a program's files, back and drop them from the page cache",
    "munmap": "unmap a region, or a range of it",
    "sbrk": "move the program break: the heap grows or shrinks",
    "malloc": "take a block from the allocator of the process",
    "calloc": "take a block of zeroes from the allocator",
    "realloc": "change the size of a block; it may move",
    "free": "give a block back to the allocator",
    "malloc_trim": "have the allocator give free memory back to the kernel",
    "dontneed": "give back the pages of a range (MADV_DONTNEED); they read as zeroes",
    "read": "read pages of a region or block: faults where none is mapped",
    "write": "write pages of a region or block: zero-fills, copies, reuses",
    "compute": "use CPU time and touch no memory",
    "sleep": "sleep for a time",
    "sleep_until": "sleep until a time since the start of the run",
    "fork": "fork; the child does its steps, then exits",
    "vfork": "vfork; the parent waits until the child execs or exits",
    "posix_spawn": "start a program without copying page tables",
    "exec": "replace the process by a program",
    "wait": "wait until a child has ended; without a name, any child",
    "thread": "start a thread that does its steps",
    "join": "wait until a thread has ended",
    "lock": "take a lock, and wait for it if another thread has it",
    "unlock": "give a lock back",
    "exit": "end the process",
    "repeat": "do steps several times",
    "prctl": "change an attribute of the process: `thp_disable`, no huge pages for it",
    "nice": "add to the nice value of the process",
    "oom_score_adj": "by how much the out-of-memory killer prefers the process from now on",
    "swapoff": "bring all that is swapped out back, and use swap no more (CAP_SYS_ADMIN)",
    "swapon": "use swap again (CAP_SYS_ADMIN)",
    "mark": "put a mark into the time series",
}
"""What each verb does."""

ELSEWHERE: Final[dict[str, str]] = {
    "alloc": "malloc",
    "allocate": "malloc",
    "brk": "sbrk",
    "call": "repeat",
    "clone": "fork",
    "close": "munmap",
    "cpu": "compute",
    "delay": "sleep",
    "execve": "exec",
    "for": "repeat",
    "loop": "repeat",
    "madvise": "advise, or dontneed",
    "map": "mmap",
    "nanosleep": "sleep",
    "pread": "read_file",
    "pthread_create": "thread",
    "pthread_join": "join",
    "pthread_mutex_lock": "lock",
    "pthread_mutex_unlock": "unlock",
    "pwrite": "write_file",
    "run": "exec",
    "spawn": "posix_spawn",
    "stop": "exit",
    "touch": "write",
    "unmap": "munmap",
    "usleep": "sleep",
    "waitpid": "wait",
    "work": "compute",
}
"""Verbs as others call them, and what they are here."""

ARGUMENT_TEXTS: Final[dict[str, str]] = {
    "name": "what later steps call it",
    "size": "how much",
    "file": "name of a file; the same name is the same file in every process",
    "shared": "changes are seen by all that map it; default false",
    "hugetlb": "huge pages of the host's pool (MAP_HUGETLB), reserved at once; default false",
    "noreserve": "nothing is promised for it (MAP_NORESERVE), but in overcommit mode 2; default "
    "false",
    "direct": "the page cache is passed by (O_DIRECT); default false",
    "cold": "a new file is on the disk only, not in the page cache; default false",
    "region": "a region that was mapped before",
    "advice": "`normal`, `random`, `sequential`, `dontneed`; of `advise` also `free`, "
    "`populate_read`, `populate_write`, `hugepage`, `nohugepage`, `collapse`, `dontfork`, "
    "`dofork`, `wipeonfork`, `keeponfork`; of `fadvise` also `willneed`",
    "access": "`rw`, `r` or `none`",
    "increment": "what is added to the nice value, which stays within -20 to 19",
    "option": "`thp_disable`",
    "value": "0 or 1; of `oom_score_adj` -1000 to 1000",
    "first": "first page, counted from 0; default 0",
    "pages": "how many pages; default: all from `first` on",
    "program": "a program that ships: see `cowpool show`",
    "grow": "how much larger the heap becomes, in whole pages",
    "shrink": "how much smaller the heap becomes, in whole pages",
    "block": "a block that malloc returned",
    "pattern": "in which order pages are touched; default `sequential`",
    "arrivals": "when requests arrive, from the start of the step; default: one after the other",
    "span": "pages that each access touches; default 1",
    "per_request": "accesses of one request; default 1",
    "cpu": "CPU time; of `read` and `write`: for each access, besides its faults",
    "drop": "give each page back after it was read (MADV_DONTNEED); default false",
    "time": "how long, or until when",
    "steps": "a list of steps",
    "image": "sizes of a program, as `exec` takes them",
    "text": "size of the program's code; default 0",
    "data": "size of its initialised data; default 0",
    "bss": "size of its zeroed data; default 0",
    "stack": "size of its first stack; default 0: Linux's",
    "touched": "share of its pages that it touches, 0 to 1; default 1",
    "child": "the name of a child; default: any",
    "thread": "the name of a thread",
    "status": "exit status; default 0",
    "times": "how often",
    "kind": "the name of the mark",
    "count": "how many accesses",
    "hot_fraction": "share of the pages that are hot, 0 to 1",
    "hot_share": "share of the accesses that hot pages take, 0 to 1",
}
"""What arguments mean, whatever verb they are of."""

PATTERN_TEXTS: Final[dict[str, str]] = {
    "sequential": "each page once, in order of address",
    "uniform": "`{uniform: COUNT}`: COUNT accesses to pages drawn with replacement",
    "hot_cold": "`{hot_cold: {count:, hot_fraction:, hot_share:}}`: the first `hot_fraction` of "
    "the pages take `hot_share` of the accesses",
    "listed": "`{listed: [PAGE, ...]}`: these pages",
}
"""Patterns of accesses."""

ARRIVAL_TEXTS: Final[dict[str, str]] = {
    "every": "`{every: DURATION}`: at fixed distances",
    "poisson": "`{poisson: RATE}`: at random",
    "at": "`{at: [TIME, ...]}`: at these times",
}
"""Arrivals of requests."""
