"""What the audit may find wrong, by number."""

from typing import Final

OK: Final = 0
COMPLAINTS: Final = {
    1: "a free block is on the wrong list",
    2: "a zone's free pages are not those of its buddy lists",
    3: "a frame is on a per-CPU list and somewhere else as well",
    4: "a page-table entry maps a frame that holds no page of memory",
    5: "an exclusive frame is mapped more than once",
    6: "a frame is mapped writable by one of several sharers",
    7: "a frame's map count is not the number of entries that map it",
    8: "a frame's references are fewer than its mappings",
    9: "a frame is neither free nor referenced",
    10: "page tables are not counted once each",
    11: "a resident set is not what its page tables hold",
    12: "areas overlap, or their list or tree is broken",
    13: "an entry lies in no area of its address space",
    14: "a control group does not count the frames that are charged to it",
    15: "the promised pages are not the sum of the areas'",
    17: "a page of a file is not where the page cache has it",
    18: "a file's areas or its resident pages are miscounted",
    19: "as many leaf tables are not set aside as there are huge entries",
    20: "a frame of the page cache is mapped as if it were private",
    21: "a leaf table is not referenced by as many address spaces as use it",
    22: "an address space may change a leaf table that others use",
    23: "leaf tables that may not be changed are miscounted",
    24: "a frame of a huge page is not marked as part of one",
    25: "an entry of a file is dirty or writable, but its page is clean",
    26: "a page that the device is reading is mapped, or has been changed",
    27: "the pages that the device is reading are miscounted",
    28: "the parent and the child of an Async-fork do not name each other",
    29: "an anonymous page is not where the reverse map looks for it",
    30: "an area is not linked with the others of its anon_vma or file",
    31: "a swap slot is not referred to by as many entries as there are",
    32: "the pages of an address space that are swapped out are miscounted",
    16: "copies are not the frames beyond one per page of data",
}
