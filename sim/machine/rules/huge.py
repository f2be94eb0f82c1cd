"""Rules by release: huge pages: written, made and split."""

from typing import Final

from sim.machine.rules.rule import (
    KERNEL,
    KERNEL_6_1,
    KERNEL_6_12,
    SOURCE,
    SOURCE_6_1,
    UNCHECKED,
    Rule,
)

R_HUGE_SPLIT: Final = Rule(
    1,
    (5, 8),
    "a write to a shared huge page splits its entry, and 4 KiB are copied",
    "all 2 MiB are copied",
    "faults, memory, time",
    KERNEL,
    SOURCE,
    "3917c80280c9",
)
R_MADV_FREE: Final = Rule(
    31,
    (4, 5),
    "MADV_FREE leaves pages until memory is short",
    "there is no such advice: EINVAL",
    "memory",
    KERNEL,
    UNCHECKED,
    "854e9ed09ded",
)
R_COLLAPSE: Final = Rule(
    25,
    (6, 1),
    "MADV_COLLAPSE makes huge pages of small ones",
    "there is no such advice: EINVAL",
    "huge pages",
    KERNEL,
    UNCHECKED,
    "7d8faaf15545",
)
R_PROTECT_HUGE: Final = Rule(
    5,
    (6, 2),
    "and to exclusive huge pages",
    "the next write faults, and reuses",
    "faults",
    KERNEL,
    KERNEL_6_1,
    "6a56ccbcf6c6",
)
R_FREE_WHOLE: Final = Rule(
    27,
    (6, 10),
    "MADV_FREE of all small entries of a large folio cleans it; of some it is split",
    "it is split, if its first page is mapped once; else MADV_FREE ends there",
    "faults, memory",
    KERNEL,
    KERNEL_6_1,
)
R_ZERO_SPLIT: Final = Rule(
    13,
    (6, 12),
    "where MADV_FREE splits a folio, its pages of zeros become the zero page",
    "they stay",
    "faults, memory",
    KERNEL,
    KERNEL_6_1,
    "b1f202060afe",
)
R_HUGE_ZERO: Final = Rule(
    14,
    (6, 13),
    "a write to the huge zero page takes a huge page (it did before 5.8, too)",
    "it is split, and 4 KiB are taken",
    "faults, memory",
    KERNEL,
    KERNEL_6_12,
    "1ced09e0331f",
)
R_COLLAPSE_READONLY: Final = Rule(
    26,
    (6, 18),
    "pages are collapsed whether any entry is writable or not",
    "only if an entry of the 2 MiB is",
    "huge pages",
    KERNEL,
    SOURCE_6_1,
    "62b98015d989",
)
