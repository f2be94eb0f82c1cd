"""What each verb of a script asks of the kernel."""

from __future__ import annotations

from typing import Final

from sim.kernel import ops
from sim.kernel.calls import populate
from sim.kernel.files import fadvise
from sim.machine.layout import (
    A_DONTFORK,
    A_HUGEPAGE,
    A_LOCKED,
    A_NOHUGEPAGE,
    A_RANDOM,
    A_READ,
    A_SEQUENTIAL,
    A_WIPEONFORK,
    A_WRITE,
    KIND_ANON,
    KIND_FILE,
    KIND_HUGETLB,
    KIND_SHMEM,
)
from sim.script.grammar import Verb

KINDS: Final = {
    Verb.MAP: KIND_ANON,
    Verb.SHMAP: KIND_SHMEM,
    Verb.MAPFILE: KIND_FILE,
    Verb.MAPSHFILE: KIND_FILE,
    Verb.STACK: KIND_ANON,
    Verb.MAPHUGETLB: KIND_HUGETLB,
    Verb.MAPSHHUGETLB: KIND_HUGETLB,
}
SHARED: Final = frozenset({Verb.SHMAP, Verb.MAPSHFILE, Verb.MAPSHHUGETLB})
POPULATE: Final = {Verb.POPULATEREAD: populate.READ, Verb.POPULATEWRITE: populate.WRITE}
ACCESS: Final = {"none": 0, "r": A_READ, "rw": A_READ | A_WRITE}
ADVICE: Final = {  # flags that come, flags that go
    Verb.HUGEPAGE: (A_HUGEPAGE, A_NOHUGEPAGE),
    Verb.NOHUGEPAGE: (A_NOHUGEPAGE, A_HUGEPAGE),
    Verb.DONTFORK: (A_DONTFORK, 0),
    Verb.DOFORK: (0, A_DONTFORK),
    Verb.WIPEONFORK: (A_WIPEONFORK, 0),
    Verb.KEEPONFORK: (0, A_WIPEONFORK),
}
LOCKING: Final = {Verb.LOCK: (A_LOCKED, 0), Verb.UNLOCK: (0, A_LOCKED)}
ON_RANGES: Final = {
    Verb.DONTNEED: ops.OP_DONTNEED,
    Verb.FREE: ops.OP_FREE,
    Verb.COLLAPSE: ops.OP_COLLAPSE,
    Verb.SYNC: ops.OP_MSYNC,
}
READING: Final = {  # flags that come, flags that go, and what is said of the file
    Verb.RANDOM: (A_RANDOM, A_SEQUENTIAL, fadvise.RANDOM),
    Verb.SEQUENTIAL: (A_SEQUENTIAL, A_RANDOM, fadvise.NORMAL),
    Verb.NORMAL: (0, A_RANDOM | A_SEQUENTIAL, fadvise.NORMAL),
}
FILE_IO: Final = {
    Verb.FILEREAD: ops.OP_FILE_READ,
    Verb.FILEWRITE: ops.OP_FILE_WRITE,
}
