"""Kernels that break one rule of swap each: do the scripts that need swap notice?

As `support.broken_kernels`, in plain Python: prints a JSON object, for each name the script whose
answer was another than the kernel's, or null.

    python broken_swap.py [NAME ...]
"""

import json
import sys
from functools import partial

from support.broken_kernels import Change, found_out

INHERITED, READ, WRITE, FORK, TWICE, HARDLY, SHARED, TABLES, AROUND, TREE, WAITS = (
    "read_ahead_inherited",
    "children_read",
    "children_write",
    "forked_in_between",
    "used_twice",
    "hardly_willing",
    "shared_memory",
    "tables_first",
    "around_first",
    "tree_grows",
    "waits",
)
BROKEN: dict[str, tuple[Change, str]] = {
    "nothing": (
        ("kernel/reclaim/vmscan.py", "DEF_PRIORITY: Final = 12", "DEF_PRIORITY: Final = 12"),
        TWICE,
    ),
    "16 pages are enough": (
        ("kernel/reclaim/vmscan.py", "= max(pages, SWAP_CLUSTER_MAX)", "= max(pages, 16)"),
        TWICE,
    ),
    "the first look is far": (
        ("kernel/reclaim/vmscan.py", "DEF_PRIORITY: Final = 12", "DEF_PRIORITY: Final = 3"),
        TWICE,
    ),
    "lists are looked at whole": (
        ("kernel/reclaim/vmscan.py", "portion = min(pages, SWAP_CLUSTER_MAX)", "portion = pages"),
        HARDLY,
    ),
    "shares are rounded up": (
        ("kernel/reclaim/balance.py", "pages * share // of", "-(-pages * share // of)"),
        TWICE,
    ),
    "what reclaim has cost is not asked": (
        (
            "kernel/reclaim/balance.py",
            "of_anon = swappiness * (total + 1) // (anon_cost + 1)",
            "of_anon = swappiness",
        ),
        WRITE,
    ),
    "a page written out costs as one rotated": (
        ("machine/lru.py", "COST_OF_WRITE: Final = 32", "COST_OF_WRITE: Final = 1"),
        TWICE,
    ),
    "cost does not fade": (("machine/lru.py", "v.anon_cost //= 2", "pass"), TWICE),
    "batches have 16 pages": (
        ("machine/layout/lru.py", "BATCH_PAGES: Final = 31", "BATCH_PAGES: Final = 16"),
        READ,
    ),
    "reclaim does not empty the batches": (
        (
            "kernel/reclaim/vmscan.py",
            "lru_add_drain(m, cpu)\n    scan = m.scans[cpu]\n    v = m.lruvecs[group]\n"
            "    left = lru_pages(m, group, lru)\n    scanned = reclaimed",
            "scan = m.scans[cpu]\n    v = m.lruvecs[group]\n"
            "    left = lru_pages(m, group, lru)\n    scanned = reclaimed",
        ),
        TWICE,
    ),
    "used twice is not enough": (
        ("kernel/reclaim/pageout.py", "if before != 0 or used > 1:", "if used > 1:"),
        TWICE,
    ),
    "used by two is not enough": (
        ("kernel/reclaim/pageout.py", "if before != 0 or used > 1:", "if before != 0:"),
        READ,
    ),
    "uses are not forgotten": (
        ("kernel/rmap.py", "set_pte(m, table, at, pte_mkold(entry))", "pass"),
        TWICE,
    ),
    "fork leaves a page that is out to its parent": (
        (
            "machine/swap.py",
            "set_pte(m, source, at, pte_swp_clear_exclusive(entry))",
            "set_pte(m, source, at, entry)",
        ),
        FORK,
    ),
    "nothing is read ahead": (
        ("kernel/fault/swap_window.py", "most = 1 << min(", "most = 0 << min("),
        READ,
    ),
    "what was used of it does not count": (
        ("kernel/fault/swap_window.py", "(known & _MOST_HITS) + ahead", "known & _MOST_HITS"),
        READ,
    ),
    "a child knows nothing of read-ahead": (
        ("kernel/fork/begin.py", "swap_readahead = a.swap_readahead", "swap_readahead = 0"),
        INHERITED,
    ),
    "all that is read ahead is charged at once": (
        (
            "kernel/fault/swapin.py",
            "            if not secure(m, cpu, task, 1):",
            "            if not secure(m, cpu, task, 8):",
        ),
        READ,
    ),
    "a page is freed while it is copied": (
        ("kernel/reclaim/pageout.py", "if pfn == scan.held:", "if pfn == NONE:"),
        WRITE,
    ),
    "a batch is left as it is by who copies from it": (
        (
            "kernel/fault/fault.py",
            "MOST_REFS_LOOKED_AT: Final = 2",
            "MOST_REFS_LOOKED_AT: Final = 0",
        ),
        HARDLY,
    ),
    "shared memory is on the lists of files": (
        ("machine/lru.py", "(F_ANON | F_SWAPBACKED) == 0)", "F_ANON == 0)"),
        SHARED,
    ),
    "shared pages that nobody wrote are swapped": (
        ("kernel/reclaim/pageout.py", "if frame.bits & F_DIRTY == 0:", "if frame.bits < 0:"),
        SHARED,
    ),
    "a table is made when its page is there": (
        (
            "kernel/fault/filemap.py",
            "    missing = mapped = 0\n",
            "    missing = mapped = 0\n    if leaf == NONE:\n        return DONE\n",
        ),
        TABLES,
    ),
    "nothing is mapped around a page that has to come back": (
        (
            "kernel/fault/filemap.py",
            "mapped = map_around(m, area, leaf, NONE, first, end)",
            "mapped = 0",
        ),
        AROUND,
    ),
    "a tree is as high as its file needs from the start": (
        (
            "machine/tree.py",
            "expand(m, cpu, file, height_for(index, high))",
            "expand(m, cpu, file, height_for(int(m.files[file].pages) - 1, high))",
        ),
        TREE,
    ),
    "statistics are never flushed": (
        (
            "machine/lru.py",
            "while group != NONE:\n        v = m.lruvecs[group]\n        v.flushed_pages",
            "while group < NONE:\n        v = m.lruvecs[group]\n        v.flushed_pages",
        ),
        WAITS,
    ),
    "whatever comes back counts": (
        (
            "kernel/reclaim/workingset.py",
            "nonresident_age - age <= workingset_size(m, evicted_for, anon)",
            "nonresident_age - age >= 0",
        ),
        WAITS,
    ),
    "a child's kernel memory is a page less": (
        ("machine/slab.py", "TASK_SLAB_BYTES: Final = 6_112", "TASK_SLAB_BYTES: Final = 2_112"),
        FORK,
    ),
}


def notices(script: str) -> None:
    """Hold the model of this process against what the kernel told of a script."""
    from support.pressure_answers import predicted, recorded

    assert predicted(script) == recorded(script), f"{script} differs"


if __name__ == "__main__":
    told = {
        name: found_out(change, partial(notices, script))
        for name, (change, script) in BROKEN.items()
        if name in sys.argv[1:] or len(sys.argv) == 1
    }
    print(json.dumps(told, indent=1))  # noqa: T201
