"""Tasks: what each holds, whatever it is doing (`sim.machine.layout.operations`)."""

import numpy as np

TASK = np.dtype(
    [
        (name, "i8")
        for name in (
            "state",
            "space",
            "cpu",  # the CPU it runs on, or NONE
            "pin",  # the only CPU it may use, or NONE
            "killed",
            "holds",  # how it holds the mmap lock, one of the locks of `sim.kernel.ops`
            "stack",  # first frame of the kernel stack (linked by `next`)
            "process",  # of which it is a task
            "cpu_ns",
            "old_space",  # what exec is dropping, or swapoff holds, or NONE
            "evict",  # files that nobody maps any more, for it to free
            "reserved",  # frames set aside for its fork
            # what it owes for charging a group above `memory.high`
            "over_high",  # pages
            "high_batch",  # of the last charge
            "high_pages",  # of those in `over_high`: what it makes room for, or sleeps for, now
            "high_tries",  # how often it may still make room in vain
            "high_sleep",  # jiffies that it has to sleep; NONE: it does, or has done
            # where khugepaged has come to
            "scan_space",
            "scan_start",
            "scan_left",  # pages that it may still look at
            # caches, good while `cached_generation` is that of the address space
            "cached_area",
            "cached_tag",
            "cached_leaf",
            "cached_generation",
            "cached_space",
        )
    ]
)
