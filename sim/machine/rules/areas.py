"""Rules by release: where areas lie and merge, and what calls on a range do."""

from typing import Final

from sim.machine.rules.rule import KERNEL, KERNEL_6_1, KERNEL_6_12, SOURCE, UNCHECKED, Rule

R_ALIGN_FILES: Final = Rule(
    24,
    (5, 18),
    "mappings of files (on ext4) begin where 2 MiB of the file can lie at a 2 MiB boundary",
    "they lie against their neighbours",
    "page tables, faults on files read ahead",
    KERNEL,
    UNCHECKED,
)
R_POPULATE_STOPS: Final = Rule(
    22,
    (6, 6),
    "MADV_POPULATE_READ and _WRITE stop at a hole (6.7, which ended before the fix, does not)",
    "they go on behind it, and say so at the end",
    "faults, memory",
    KERNEL,
    KERNEL_6_1,
    "631426ba1d45",
)
R_ALIGN_LARGE: Final = Rule(
    8,
    (6, 7),
    "private anonymous mappings of 2 MiB and more begin at 2 MiB boundaries",
    "they lie against their neighbours, and merge with them",
    "page tables, huge pages",
    KERNEL,
    KERNEL_6_1,
    "efa7df3e3bb5",
)
R_ALIGN_WHOLE: Final = Rule(
    12,
    (6, 11),
    "of these only mappings of whole multiples of 2 MiB",
    "all from 2 MiB on",
    "page tables, huge pages",
    KERNEL,
    SOURCE,
    "d4148aeab412",
)
R_GIVE_TABLES: Final = Rule(
    15,
    (6, 14),
    "MADV_DONTNEED gives back leaf tables all of whose 2 MiB go, in one area",
    "they stay",
    "page tables, huge pages",
    KERNEL,
    KERNEL_6_12,
    "6375e95f381e",
)
R_MERGE_EITHER: Final = Rule(
    17,
    (6, 16),
    "an area with a family merges with a neighbour that has none",
    "only an area without one with a neighbour that has one",
    "faults on files, entries that fork copies",
    KERNEL,
    KERNEL_6_12,
    "879bca0a2c4f",
)
