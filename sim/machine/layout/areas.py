"""Areas of address spaces (Linux `vm_area_struct`)."""

from typing import Final

import numpy as np

A_READ: Final = 1
A_WRITE: Final = 2
A_SHARED: Final = 4
A_GROWSDOWN: Final = 8
A_DONTFORK: Final = 16
A_WIPEONFORK: Final = 32
A_ACCOUNT: Final = 64
A_HEAP: Final = 128
A_HUGEPAGE: Final = 256
A_NOHUGEPAGE: Final = 512
A_NORESERVE: Final = 1024
A_LOCKED: Final = 2048
A_RANDOM: Final = 1 << 16
"""MADV_RANDOM (`VM_RAND_READ`): faults read no page but their own."""
A_SEQUENTIAL: Final = 1 << 17
"""MADV_SEQUENTIAL (`VM_SEQ_READ`)."""
A_RESV_OWNER: Final = 1 << 18
"""Private, of the pool of huge pages: pages are reserved for it (`HPAGE_RESV_OWNER`)."""
A_RESV_UNMAPPED: Final = 1 << 19
"""A huge page was taken from it for the owner: its faults will fail (`HPAGE_RESV_UNMAPPED`)."""
A_EXEC: Final = 1 << 20
"""Text (`VM_EXEC`): reclaim keeps its pages for longer."""

KIND_ANON: Final = 0
KIND_FILE: Final = 1
KIND_SHMEM: Final = 2
"""Shared anonymous memory: a file that only its mappings know of."""

AREA = np.dtype(
    [
        (name, "i8")
        for name in (
            "start",
            "end",
            "offset",
            "space",
            "next",
            "prev",
            "left",  # in the tree by address: the areas below it
            "right",
            "above",
            "gap",  # widest free range right below an area of its subtree, in pages
            "anon_root",  # root of its anon_vma, or NONE: no page of it was ever written privately
            "anon_next",  # links of the areas of that root
            "anon_prev",
            "anon_vma",  # its anon_vma: one of several of a root
            "inherited",  # through how many forks its anon_vma came down
            "vm_flags",
            "kind",
            "file",  # what it maps from page `offset` on, or NONE
            "file_next",  # links of the areas that map the file
            "file_prev",
            "swap_readahead",  # where, how far, how well it was read ahead (`swap_readahead_info`)
        )
    ]
)

ANON_ROOT = np.dtype(
    [
        ("areas", "i8"),  # the first area whose private pages belong to it
        ("next", "i8"),  # of one that is free, the next free row
    ]
)
"""The root of an anon_vma: the areas where its pages may be mapped."""
