"""Linux's rules that changed from release to release, and the releases that brought them.

One table.  A machine of some release follows `rules_of(release)`, a set of bits that compiled code
finds in ``config.rules``; the table in ``docs/model.md`` is made of the same rows.  A release means
its last stable version: what was backported counts (6.12 is 6.12.117, 6.1 is 6.1.192).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from sim.machine.releases import Release, parse_release, release_name

R_GUESS_TOTAL: Final = 1
R_HUGE_SPLIT: Final = 2
R_REFERENCES: Final = 4
R_EXCLUSIVE: Final = 8
R_PROTECT_WRITE: Final = 16
R_PROTECT_HUGE: Final = 32
R_AREA_LOCKS: Final = 64
R_EEVDF: Final = 128
R_ALIGN_LARGE: Final = 256
R_TUNED_PERCPU: Final = 512
R_FOLIO_SIZES: Final = 1024
R_FORK_BATCH: Final = 2048
R_ALIGN_WHOLE: Final = 4096
R_ZERO_SPLIT: Final = 8192
R_HUGE_ZERO: Final = 16384
R_GIVE_TABLES: Final = 32768
R_FOLIO_REUSE: Final = 65536
R_MERGE_EITHER: Final = 131072
R_RETRY_MAJOR: Final = 262144
R_FILE_LOCKS: Final = 524288
R_FILE_FOLIOS: Final = 1048576
R_FOLIO_AROUND: Final = 2097152
R_POPULATE_STOPS: Final = 4194304
R_VICTIM_ITSELF: Final = 8388608
R_ALIGN_FILES: Final = 16777216
R_COLLAPSE: Final = 33554432
R_COLLAPSE_READONLY: Final = 67108864
R_FREE_WHOLE: Final = 134217728
R_UNMAP_SHARED: Final = 268435456
R_ADVICE_LOCKS: Final = 536870912

KERNEL: Final = "running kernel 6.18"
KERNEL_6_12: Final = "running kernel 6.12"
KERNEL_6_1: Final = "running kernel 6.1"
FORMULA: Final = "formula"
SOURCE_6_12: Final = "unchecked (read in source 6.12)"
SOURCE_6_1: Final = "unchecked (read in source 6.1)"
SOURCE: Final = "unchecked (read in the commit)"
UNCHECKED: Final = "unchecked (from memory)"
NOTHING: Final = "not simulated"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of Linux that came with a release.

    `now` says what holds since then, `before` what held until then; `changes` which figures of a
    run can differ; `checked` and `checked_before` how each was checked; `commit` is the change in
    Linux's history, or "" where it was not looked up.
    """

    bit: int
    since: Release
    now: str
    before: str
    changes: str
    checked: str
    checked_before: str
    commit: str = ""


RULES: Final = (
    Rule(
        R_UNMAP_SHARED,
        (4, 20),
        "munmap, and brk and mremap that shrink, share the mmap lock with readers in the end",
        "they hold it for writing to the end",
        "waits of threads",
        KERNEL,
        UNCHECKED,
        "dd2283f2605e",
    ),
    Rule(
        R_VICTIM_ITSELF,
        (5, 1),
        "the process with the highest badness is killed",
        "that child of it is, with memory of its own, which has the highest, if there is one",
        NOTHING,
        NOTHING,
        NOTHING,
        "bbbe48029720",
    ),
    Rule(
        R_GUESS_TOTAL,
        (5, 2),
        "overcommit mode 0 refuses a single request of more than memory and swap",
        "it refuses what is more than free pages and page cache, less the high watermarks",
        "refusals",
        KERNEL,
        SOURCE,
        "8c7829b04c52",
    ),
    Rule(
        R_HUGE_SPLIT,
        (5, 8),
        "a write to a shared huge page splits its entry, and 4 KiB are copied",
        "all 2 MiB are copied",
        "faults, memory, time",
        KERNEL,
        SOURCE,
        "3917c80280c9",
    ),
    Rule(
        R_REFERENCES,
        (5, 9),
        "a page is reused if its folio is referenced once, as by one entry",
        "if no page of its folio is mapped twice",
        "copies of pages of split huge pages",
        UNCHECKED,
        UNCHECKED,
        "09854ba94c6a",
    ),
    Rule(
        R_RETRY_MAJOR,
        (5, 9),
        "a fault is major if it had to be made again, for whatever reason",
        "if it found its page absent",
        "faults on pages of files under way from the device",
        KERNEL_6_1,
        UNCHECKED,
    ),
    Rule(
        R_ALIGN_FILES,
        (5, 18),
        "mappings of files (on ext4) begin where 2 MiB of the file can lie at a 2 MiB boundary",
        "they lie against their neighbours",
        "page tables, faults on files read ahead",
        KERNEL,
        UNCHECKED,
    ),
    Rule(
        R_EXCLUSIVE,
        (5, 19),
        "an exclusive page is reused, whatever is referenced",
        "only counts decide",
        "copies of pages of split huge pages",
        KERNEL,
        UNCHECKED,
        "6c287605fd56",
    ),
    Rule(
        R_PROTECT_WRITE,
        (6, 0),
        "mprotect gives write permission to exclusive pages at once",
        "the next write faults, and reuses",
        "faults",
        KERNEL,
        SOURCE,
        "64fe24a3e05e",
    ),
    Rule(
        R_COLLAPSE,
        (6, 1),
        "MADV_COLLAPSE makes huge pages of small ones",
        "there is no such advice: EINVAL",
        "huge pages",
        KERNEL,
        UNCHECKED,
        "7d8faaf15545",
    ),
    Rule(
        R_PROTECT_HUGE,
        (6, 2),
        "and to exclusive huge pages",
        "the next write faults, and reuses",
        "faults",
        KERNEL,
        KERNEL_6_1,
        "6a56ccbcf6c6",
    ),
    Rule(
        R_AREA_LOCKS,
        (6, 4),
        "a fault locks its area only, unless that gets its family now; fork locks all of them",
        "a fault waits for whoever holds the mmap lock for writing",
        "waits of threads",
        KERNEL,
        KERNEL_6_1,
        "fb49c455323f",
    ),
    Rule(
        R_EEVDF,
        (6, 6),
        "EEVDF: the default quantum is its base slice, 0.7 ms x (1 + log2 CPUs)",
        "CFS: it is half its latency, 3 ms x (1 + log2 CPUs), as two busy tasks get it",
        "waits for a CPU",
        FORMULA,
        SOURCE_6_1,
        "147f3efaa241",
    ),
    Rule(
        R_POPULATE_STOPS,
        (6, 6),
        "MADV_POPULATE_READ and _WRITE stop at a hole (6.7, which ended before the fix, does not)",
        "they go on behind it, and say so at the end",
        "faults, memory",
        KERNEL,
        KERNEL_6_1,
        "631426ba1d45",
    ),
    Rule(
        R_ALIGN_LARGE,
        (6, 7),
        "private anonymous mappings of 2 MiB and more begin at 2 MiB boundaries",
        "they lie against their neighbours, and merge with them",
        "page tables, huge pages",
        KERNEL,
        KERNEL_6_1,
        "efa7df3e3bb5",
    ),
    Rule(
        R_FILE_LOCKS,
        (6, 7),
        "if it found its page absent: others are made again under another lock, as if for the"
        " first time",
        "if it had to be made again, for whatever reason",
        "faults on pages of files under way from the device",
        KERNEL,
        KERNEL_6_1,
    ),
    Rule(
        R_TUNED_PERCPU,
        (6, 7),
        "per-CPU lists grow and shrink by themselves",
        "their size is fixed",
        NOTHING,
        NOTHING,
        NOTHING,
        "90b41691b988",
    ),
    Rule(
        R_FOLIO_SIZES,
        (6, 8),
        "folios may be of 16 KiB to 1 MiB; counts let no page of one be reused",
        "pages are of 4 KiB and 2 MiB",
        "faults, time",
        KERNEL,
        SOURCE_6_1,
        "19eaf44954df",
    ),
    Rule(
        R_FORK_BATCH,
        (6, 9),
        "fork raises the counts of a folio once for a run of its entries",
        "once for each entry",
        "time of fork",
        SOURCE_6_12,
        SOURCE_6_1,
        "f8d937761d65",
    ),
    Rule(
        R_FREE_WHOLE,
        (6, 10),
        "MADV_FREE of all small entries of a large folio cleans it; of some it is split",
        "it is split, if its first page is mapped once; else MADV_FREE ends there",
        "faults, memory",
        KERNEL,
        KERNEL_6_1,
    ),
    Rule(
        R_ALIGN_WHOLE,
        (6, 11),
        "of these only mappings of whole multiples of 2 MiB",
        "all from 2 MiB on",
        "page tables, huge pages",
        KERNEL,
        SOURCE,
        "d4148aeab412",
    ),
    Rule(
        R_ZERO_SPLIT,
        (6, 12),
        "where MADV_FREE splits a folio, its pages of zeros become the zero page",
        "they stay",
        "faults, memory",
        KERNEL,
        KERNEL_6_1,
        "b1f202060afe",
    ),
    Rule(
        R_HUGE_ZERO,
        (6, 13),
        "a write to the huge zero page takes a huge page (it did before 5.8, too)",
        "it is split, and 4 KiB are taken",
        "faults, memory",
        KERNEL,
        KERNEL_6_12,
        "1ced09e0331f",
    ),
    Rule(
        R_GIVE_TABLES,
        (6, 14),
        "MADV_DONTNEED gives back leaf tables all of whose 2 MiB go, in one area",
        "they stay",
        "page tables, huge pages",
        KERNEL,
        KERNEL_6_12,
        "6375e95f381e",
    ),
    Rule(
        R_FOLIO_REUSE,
        (6, 15),
        "a page of a large folio is reused if it knows of us alone, and more than one is mapped",
        "it is copied unless it is exclusive",
        "copies of pages of large folios",
        KERNEL,
        UNCHECKED,
        "1da190f4d0a6",
    ),
    Rule(
        R_MERGE_EITHER,
        (6, 16),
        "an area with a family merges with a neighbour that has none",
        "only an area without one with a neighbour that has one",
        "faults on files, entries that fork copies",
        KERNEL,
        KERNEL_6_12,
        "879bca0a2c4f",
    ),
    Rule(
        R_FILE_FOLIOS,
        (6, 16),
        "what is read ahead of a file (on ext4) comes in folios of up to 2 MiB, in windows that"
        " end at their boundaries",
        "page by page",
        "pages read ahead",
        KERNEL,
        KERNEL_6_12,
    ),
    Rule(
        R_ADVICE_LOCKS,
        (6, 17),
        "MADV_DONTNEED and MADV_FREE of one area lock that area only",
        "they hold the mmap lock for reading",
        "waits of threads",
        KERNEL,
        UNCHECKED,
    ),
    Rule(
        R_FOLIO_AROUND,
        (6, 18),
        "a fault on a file maps all of each folio that it comes upon",
        "what lies in its window of 16 pages",
        "faults on files read ahead",
        KERNEL,
        UNCHECKED,
    ),
    Rule(
        R_COLLAPSE_READONLY,
        (6, 18),
        "pages are collapsed whether any entry is writable or not",
        "only if an entry of the 2 MiB is",
        "huge pages",
        KERNEL,
        SOURCE_6_1,
        "62b98015d989",
    ),
)
"""In order of release."""


def rules_of(release: str) -> int:
    """Return the bits of all rules that a release follows, such as ``"6.12"``."""
    number = parse_release(release)
    return sum(rule.bit for rule in RULES if rule.since <= number)


def rules_table() -> str:
    """Return the table of rules by release, in Markdown."""
    lines = [
        "| since | rule | before | differs in | checked, now and before | commit |",
        "|---|---|---|---|---|---|",
    ]
    for rule in RULES:
        checked = rule.checked
        if rule.checked_before != rule.checked:
            checked += f"; {rule.checked_before}"
        commit = f"`{rule.commit}`" if rule.commit else ""
        cells = (release_name(rule.since), rule.now, rule.before, rule.changes, checked, commit)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(rules_table())
