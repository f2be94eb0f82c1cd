"""What memory in use is for: one table, in the order of a bill.

A part's name is its column in `PEAK` and its key in results and tables: a part `p` is the metric
``memory_need_bytes.p``, the series ``p_pages`` and the column ``p_bytes``.
"""

from typing import Final

PARTS: Final = {
    "data": "data",
    "cow_copies": "copies",
    "page_tables": "page tables",
    "kernel_stacks": "kernel stacks",
    "page_cache": "page cache",
    "shared_memory": "shared memory",
    "hugetlb": "huge pages",
    "zram": "zram",
}
"""Parts by name, each as people call it; `data` is private anonymous memory but for the copies.

`hugetlb` is the whole pool of huge pages, which nobody else may have; its series is what of it is
in use.  `zram` is what pages on a swap device in memory take of it, compressed; results of a run
have that part only where there is such a device.
"""
