"""Tasks, and the operation that each has under way."""

import numpy as np

TASK = np.dtype(
    [
        (name, "i8")
        for name in (
            "state",
            "space",
            "cpu",  # the CPU it runs on, or NONE
            "pin",  # the only CPU it may use, or NONE
            "parent",
            "killed",
            "holds",  # how it holds the mmap lock, one of the locks of `sim.kernel.ops`
            "stack",  # first frame of the kernel stack (linked by `next`)
            "oom_score_adj",
            "group",  # control group of its process
            "cpu_ns",
            "created_ns",
            # the operation under way, and how far it has come
            "op",
            "stage",
            "write",
            "start",  # first page
            "pages",
            "at",  # accesses done, or the next page
            "count",  # accesses wanted
            "span",  # pages per access
            "per_request",  # accesses per arrival
            "within",  # pages of this access done
            "waits",  # for a page: 1 in a minor fault, 2 in a major one, 3 in one not yet counted
            "fault_from_ns",  # when that fault began, or NONE
            "wait_file",  # the page of a file that is waited for
            "wait_index",  # NONE: all that is being written
            "page",  # first page of this access
            "drop",
            "pattern",
            "hot_groups",  # of `span` pages each, from the start
            "hot_share",
            "pages_at",  # first of its page numbers in `lists`
            "arrivals",  # 0 unpaced, 1 regular, 2 listed
            "arrival_first",
            "arrival_every",
            "arrivals_at",  # first of its arrival times in `lists`
            "access_cpu_ns",
            "demand_ns",
            "area",  # area under way
            "other",  # the child of a fork
            "old_space",  # what exec is dropping, or NONE
            "other_area",
            "bits",  # flags of the mapping wanted, or flags to set
            "drop_bits",  # flags to clear
            "kind",  # of the mapping wanted
            "file",
            "index",  # its first page in the file
            "limit",  # the end of the area under way
            "evict",  # files that nobody maps any more, for it to free
            "image",  # that exec puts in place
            "stack_pages",  # that exec fills with arguments and environment; 0 means 1
            "reserved",  # frames set aside for it
            "result",
            "errno",
            "refused_by",  # what the last refusal was by: BY_PROMISE, BY_LIMIT, BY_MEMORY
            "refused_pages",  # that were asked for
            "refused_with",  # pages promised to everybody (Committed_AS) at that moment
            "need",  # frames it was short of
            "fault_page",  # the page of the last access that was invalid, or has to wait
            "fault_write",  # 1 if it was a write
            # caches, good while `cached_generation` is that of the address space
            "cached_area",
            "cached_tag",
            "cached_leaf",
            "cached_generation",
            "cached_space",
            "next",
        )
    ]
)
