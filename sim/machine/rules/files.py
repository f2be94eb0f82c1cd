"""Rules by release: faults on files, and what is read ahead."""

from typing import Final

from sim.machine.rules.rule import KERNEL, KERNEL_6_1, KERNEL_6_12, UNCHECKED, Rule

R_FAULT_AROUND: Final = Rule(
    30,
    (3, 15),
    "a read fault on a file maps up to 16 pages that are in the page cache",
    "the page that was touched",
    "faults on files",
    KERNEL,
    UNCHECKED,
    "8c6e50b0290c",
)
R_RETRY_MAJOR: Final = Rule(
    18,
    (5, 9),
    "a fault is major if it had to be made again, for whatever reason",
    "if it found its page absent",
    "faults on pages of files under way from the device",
    KERNEL_6_1,
    UNCHECKED,
)
R_FILE_LOCKS: Final = Rule(
    19,
    (6, 7),
    "if it found its page absent: others are made again under another lock, as if for the"
    " first time",
    "if it had to be made again, for whatever reason",
    "faults on pages of files under way from the device",
    KERNEL,
    KERNEL_6_1,
)
R_FILE_FOLIOS: Final = Rule(
    20,
    (6, 16),
    "what is read ahead of a file (on ext4) comes in folios of up to 2 MiB, in windows that"
    " end at their boundaries",
    "page by page",
    "pages read ahead",
    KERNEL,
    KERNEL_6_12,
)
R_FOLIO_AROUND: Final = Rule(
    21,
    (6, 18),
    "a fault on a file maps all of each folio that it comes upon",
    "what lies in its window of 16 pages",
    "faults on files read ahead",
    KERNEL,
    UNCHECKED,
)
