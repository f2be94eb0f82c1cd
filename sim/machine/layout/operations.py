"""The operation that each task has under way: what was asked for, and how far it has come.

Its row is the task's.  It is written anew when an operation begins (`sim.kernel.ops.begin`): the
fields that the operation has been given, everything else as in `NO_OPERATION`.
"""

from typing import Final

import numpy as np

from sim.machine.layout.fields import FIELDS
from sim.machine.layout.links import NONE

OPERATION = np.dtype(
    [
        (name, "i8")
        for name in (
            "op",  # which, by its number in `sim.kernel.ops`; 0 between operations
            "stage",
            "at",  # how far it has come: accesses, pages or touches done, or the next page
            "area",  # area under way
            "area_end",  # the end of its part in the range
            # how it ended, or what it waits for
            "result",
            "errno",
            "refused_by",  # what the last refusal was by: BY_PROMISE, BY_LIMIT, BY_MEMORY
            "refused_pages",  # that were asked for
            "refused_with",  # pages promised to everybody (Committed_AS) at that moment
            "need",  # frames it was short of
            "over_memsw",  # 1 if it is the limit of memory and swap together
            "over",  # the group whose limit is in the way, ROOT if the machine has none
            "attempts",  # to make room there that were in vain, since a step succeeded
            "naps",  # jiffies that it has to sleep before the next; NONE: until a page is written
            "fault_page",  # the page of the last access that was invalid, or has to wait
            "fault_write",  # 1 if it was a write
            "fault_signal",  # what an invalid access ends with: SIGBUS, or 0 for SIGSEGV
            "fault_from_ns",  # when a fault began that a later step will serve, or NONE
            "unanswered_ns",  # when a request came that is served but for what is owed, or NONE
            "waits",  # 1: in a minor fault, 2: a major one, 3: one not yet counted, 4: not waited
            "wait_file",  # the page of a file that is waited for
            "wait_index",  # NONE: all that is being written; below: a transfer of its own
            # a fault on a page that is shared, or swapped out
            "held",  # the frame that a refused step would copy: reclaim does not free it; 0: none
            "ahead_slot",  # the slot that is read, while pages near it are; 0: none
            "ahead_at",  # the next of these, by page or by slot
            "ahead_end",
            "ahead_turn",  # the number of that read-ahead
            # calls on a range of pages
            "owned",  # pages of the range behind which leaf tables may still be shared
            # read and write
            "touched",  # pages of this access done
            "page",  # first page of this access
            # mprotect, madvise and mlock
            "unshares",  # 1 if private locked memory becomes writable: no page may stay shared
            "unshare_page",  # the next of these
            "holes",  # 1 once a hole was passed
            "unfit",  # 1 once 2 MiB of the area under way could not be collapsed
            # mremap
            "grown_pages",  # of locked memory: they are faulted in
            "only_tail",  # 1 if all there is to do is to unmap the tail
            # fork and its kin
            "child_area",  # the copy of the area under way, or NONE
            # exec
            "segment",  # of the image, the one under way
            "counted",  # 0 if its faults are nobody's
            *FIELDS,  # what it was given
        )
    ]
)

NO_OPERATION: Final = np.zeros(1, OPERATION)
"""A row between operations: 0, `file` and times NONE, `span` and `per_request` 1."""
for _name in ("file", "fault_from_ns", "unanswered_ns"):
    NO_OPERATION[_name] = NONE
for _name in ("span", "per_request"):
    NO_OPERATION[_name] = 1
