"""Rules by release: when a write copies a page, and what belongs to one folio."""

from typing import Final

from sim.machine.rules.rule import KERNEL, SOURCE, SOURCE_6_1, SOURCE_6_12, UNCHECKED, Rule

R_REFERENCES: Final = Rule(
    2,
    (5, 9),
    "a page is reused if its folio is referenced once, as by one entry",
    "if no page of its folio is mapped twice",
    "copies of pages of split huge pages",
    UNCHECKED,
    UNCHECKED,
    "09854ba94c6a",
)
R_EXCLUSIVE: Final = Rule(
    3,
    (5, 19),
    "an exclusive page is reused, whatever is referenced",
    "only counts decide",
    "copies of pages of split huge pages",
    KERNEL,
    UNCHECKED,
    "6c287605fd56",
)
R_PROTECT_WRITE: Final = Rule(
    4,
    (6, 0),
    "mprotect gives write permission to exclusive pages at once",
    "the next write faults, and reuses",
    "faults",
    KERNEL,
    SOURCE,
    "64fe24a3e05e",
)
R_FOLIO_SIZES: Final = Rule(
    10,
    (6, 8),
    "folios may be of 16 KiB to 1 MiB; counts let no page of one be reused",
    "pages are of 4 KiB and 2 MiB",
    "faults, time",
    KERNEL,
    SOURCE_6_1,
    "19eaf44954df",
)
R_FORK_BATCH: Final = Rule(
    11,
    (6, 9),
    "fork raises the counts of a folio once for a run of its entries",
    "once for each entry",
    "time of fork",
    SOURCE_6_12,
    SOURCE_6_1,
    "f8d937761d65",
)
R_FOLIO_REUSE: Final = Rule(
    16,
    (6, 15),
    "a page of a large folio is reused if it knows of us alone, and more than one is mapped",
    "it is copied unless it is exclusive",
    "copies of pages of large folios",
    KERNEL,
    UNCHECKED,
    "1da190f4d0a6",
)
