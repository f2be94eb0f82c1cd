"""Files, and what devices are asked to read and write of them."""

import numpy as np

FILE = np.dtype(
    [
        (name, "i8")
        for name in (
            "kind",  # 0: no file
            "pages",  # of hugetlb: huge pages, and so with whatever counts pages of it
            "first",  # where its pages lie in `cached`
            "nodes",  # where the nodes of its tree lie in `nodes`
            "height",  # levels of nodes that its tree has
            "users",  # areas that map it
            "areas",  # the first of them, or NONE
            "resident",  # pages in the page cache
            "known",  # 1 if it stays in the page cache when nobody maps it any more
            "committed",  # pages promised to it (shared anonymous memory)
            "reserved",  # huge pages reserved for it that are not there yet (shared, hugetlb)
            "at",  # the next page to evict
            "next",  # the next file to evict; of a free row, the next one
            "fills",  # 1 if mapping it brings all of it into the page cache, as if read before
            "dirty",  # pages that are only in memory
            "dirty_since_ns",  # when the flusher first found it so, or NONE
            "writeback_index",  # where background write-back goes on
            "writing",  # pages that the device is writing, or has been asked to
            "random",  # 1 after POSIX_FADV_RANDOM: read() reads nothing ahead
            "kept",  # 1 once a call that drops pages has found some in use
            "bdev",  # the device that it is on
            "guessed",  # 1 once what its faults map is no function of who did what
            # what is read ahead, see `sim.kernel.files.readahead`
            "ra_pages",
            "ra_start",
            "ra_size",
            "ra_async",
            "ra_order",
            "ra_prev",
            "ra_miss",
        )
    ]
)

NODE = np.dtype(
    [
        ("made", "i4"),  # 1 if there is such a node
        ("entries", "i4"),  # slots in use, of 64
        ("shadows", "i4"),  # of them, by what is left of reclaimed pages
        ("file", "i4"),
        ("group", "i4"),  # that is charged for it
        ("listed", "i4"),  # 1 if there is nothing in it but shadows: it is on its group's list
        ("next", "i4"),
        ("prev", "i4"),
    ]
)
"""A node of a file's tree in the page cache (Linux `xa_node`)."""

REQUEST = np.dtype([(name, "i8") for name in ("bdev", "file", "first", "end", "write", "direct")])
"""Pages [first, end) of a file that its device is to read, or to write.

`direct` is the number of a transfer past the page cache, else 0.
"""
