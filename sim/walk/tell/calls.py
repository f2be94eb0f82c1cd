"""What each line of a script does besides faulting, and why it takes the frames it takes, or none.

The counts are those the machine took down; the kernel's functions are those of ``docs/model.md``
and ``docs/conformance.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.machine import work
from sim.machine.rules import rules_of
from sim.machine.rules.huge import R_ZERO_SPLIT
from sim.machine.rules.pages import R_PROTECT_WRITE
from sim.script.grammar import HUGE_PAGES, HUGETLB_VERBS, TOUCHING_VERBS, Verb
from sim.walk.tell.words import count, listing

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from sim.walk.tell.story import Chapter, MachineChoice

FILE_VERBS: Final = frozenset({Verb.MAPFILE, Verb.MAPSHFILE})


def about_call(chapter: Chapter, choice: MachineChoice) -> list[str]:
    """Return sentences on what an operation did; none for reads and writes, whose pages speak.

    `choice` has the way to fork, and the release of Linux.
    """
    if chapter.reason or chapter.operation.verb in TOUCHING_VERBS:
        return []
    if chapter.ending == "ENOMEM" and chapter.operation.verb in HUGETLB_VERBS:
        return ["The pool has not as many huge pages left that nobody has reserved: ENOMEM."]
    if chapter.ending == "ENOMEM":
        return ["Part of the range is in no area: ENOMEM; what else it asked for was done as told."]
    if chapter.ending == "EINVAL":
        return ["Not for memory of this kind (or it is locked): EINVAL, and nothing changes."]
    if chapter.operation.verb is Verb.FORK:
        return _fork(chapter, choice.fork)
    if chapter.operation.verb is Verb.PROTECT:
        return _protect(chapter, rules_of(choice.kernel))
    if chapter.operation.verb is Verb.FREE:
        return _free(chapter, rules_of(choice.kernel))
    return ABOUT.get(chapter.operation.verb, _other)(chapter)


def frames_for(counts: Counter[str]) -> str:
    """Return what frames are for, largest share first: ``7 page tables, 4 kernel stack``."""
    return ", ".join(f"{n:,} {purpose}" for purpose, n in counts.most_common() if n)


def _map(c: Chapter) -> list[str]:
    op = c.operation
    pages = count(op.end, "page")
    taken = sum(c.effects.taken.values())
    kept = c.effects.taken["page cache"]
    if op.verb in FILE_VERBS:
        then = "faults its pages in" if c.effects.touches else "makes no entry"
        return [
            f"The file's {pages} lie in the page cache, clean ({count(kept, 'frame')}, taken when "
            f"it was written). `mmap` notes an area and {then}."
        ]
    if op.verb in HUGETLB_VERBS:
        huge = count(op.end // HUGE_PAGES, "huge page")
        promise = "reserves nothing" if op.mode == "noreserve" else f"reserves {huge} of the pool"
        after = ", and faults them in" if c.effects.touches else "; none of them is taken yet"
        return [f"`mmap` notes an area of {pages} and {promise}{after}."]
    if taken:
        return [f"`mmap` notes an area of {pages} and faults all of them in at once."]
    return [
        f"`mmap` notes an area of {pages}: a promise. No frame, no page table, no entry, until a "
        "page is touched."
    ]


def _fork(c: Chapter, kind: str) -> list[str]:
    child, lines, effects = c.operation.child, c.effects.lines, c.effects
    text = []
    entries = lines[work.FORK_PTE]
    if kind == "on_demand":
        text.append(
            "Leaf tables are shared, not copied: parent and child use the same ones, which neither "
            "may change; whoever first writes below one gets a copy of it, by a fault."
        )
    elif kind == "async":
        text.append(
            "The call leaves the leaf tables to the child, which copies them before it goes on; "
            "both sides become read-only, and each frame has one more reference."
        )
    elif lines[work.FORK_EAGER_COPY]:
        text.append(
            f"Every page is copied at once: {count(effects.taken['data'], 'frame')}. Neither side "
            "will fault for them."
        )
    else:
        huge = f" and {count(lines[work.FORK_HUGE], 'huge entry')}" if lines[work.FORK_HUGE] else ""
        text.append(
            f"Page tables are copied, pages are not: `copy_page_range` copies "
            f"{count(entries, 'entry')}{huge}, the stack's included; both sides become read-only, "
            "and each frame has one more reference. No fault."
        )
    text.append(
        f"It takes {frames_for(effects.taken)}: all for {child}, none for data."
        if not effects.taken["data"]
        else f"It takes {frames_for(effects.taken)}."
    )
    plain = [letter for letter, copied in effects.copied.items() if copied == 0]
    gone = [letter for letter, copied in effects.copied.items() if copied < 0]
    if plain:
        it = "it" if len(plain) == 1 else "them"
        text.append(
            f"{listing(plain)}: never written privately (`vma_needs_copy`), so no entries of {it} "
            f"are copied; {child} faults its pages in itself."
        )
    if gone:
        text.append(f"{listing(gone)}: passed over, {child} has no such area (`MADV_DONTFORK`).")
    return text


def _vfork(c: Chapter) -> list[str]:
    op = c.operation
    return [
        f"{op.child} borrows the address space of {op.process}: no table and no entry is copied, "
        f"nothing becomes read-only. The only frames are its kernel stack's "
        f"({c.effects.taken['kernel stack']}). {op.process} waits until {op.child} calls exec or "
        "exit."
    ]


def _drop(c: Chapter, first: str) -> list[str]:
    back = frames_for(c.effects.returned) or "nothing"
    text = [f"{first} Back in the pool: {back}."]
    kept = c.effects.lines[work.UNMAP_PTE] - c.effects.returned["data"]
    if kept > 0 and not c.effects.lines[work.HUGE_SPLIT]:
        what = "1 entry" if kept == 1 else f"{kept} entries"
        text.append(
            f"{what} mapped a frame that stays: it is somebody else's too, in the page cache, or "
            "the zero page. Who keeps such a frame alone still maps it read-only, and finds out by "
            "a fault at the next write."
        )
    return text


def _exec(c: Chapter) -> list[str]:
    taken = frames_for(c.effects.taken)
    return _drop(
        c,
        f"`exec_mmap` takes a new, nearly empty address space ({taken}) and drops the old one: "
        "nothing is copied. The one fault is the kernel's, which writes the arguments to the new "
        "stack.",
    )


def _exit(c: Chapter) -> list[str]:
    return _drop(
        c,
        "`exit_mmap` removes all entries; a frame goes with its last reference.",
    )


def _unmap(c: Chapter) -> list[str]:
    return _drop(c, "`munmap` removes entries and the area; tables go when no area needs them.")


def _dontneed(c: Chapter) -> list[str]:
    return _drop(
        c,
        "`MADV_DONTNEED` removes entries; the area stays, and the next touch faults afresh.",
    )


def _protect(c: Chapter, rules: int) -> list[str]:
    changed = c.effects.lines[work.PROTECT_PTE]
    mode = c.operation.mode
    if "w" in mode:
        at_once = "whose page is exclusive (or a shared file's, dirty); the others"
        if not rules & R_PROTECT_WRITE:
            at_once = "that are a shared file's, dirty; all others (before 6.0)"
        return [
            f"`mprotect` goes through {count(changed, 'entry')}: those become writable at once "
            f"{at_once} wait for a fault."
        ]
    if not changed:
        return ["`mprotect` changes the area; there is no entry yet to change."]
    verdict = "a write will be SIGSEGV" if mode == "r" else "any access will be SIGSEGV"
    return [f"`mprotect` changes the area and {count(changed, 'entry')}: from now on {verdict}."]


def _advise(c: Chapter) -> list[str]:
    return [f"A flag of the area changes ({c.operation.verb}); no page is touched."]


def _free(c: Chapter, rules: int) -> list[str]:
    if c.effects.lines[work.HUGE_SPLIT]:
        back = frames_for(c.effects.returned) or "nothing"
        zeroes = "those that hold only zeroes become the zero page"
        if not rules & R_ZERO_SPLIT:
            zeroes = "all of them stay (before 6.12)"
        return [
            f"A part of a huge page: it is split into 512 pages, and {zeroes}. "
            f"Back in the pool: {back}."
        ]
    return [
        "`MADV_FREE` makes entries and pages clean and leaves them: no frame comes back until "
        "memory is short, and a write takes it back without a fault."
    ]


def _collapse(c: Chapter) -> list[str]:
    blocks = c.effects.lines[work.COLLAPSE]
    if not blocks:
        return ["No aligned 2 MiB of the range could become a huge page, or all of them were."]
    return [
        f"`MADV_COLLAPSE` takes {count(blocks, 'block')} of 512 frames, copies there what is "
        "mapped, shared pages too, and zeroes the rest: one entry maps it, its table is set aside."
    ]


def _populate(c: Chapter) -> list[str]:
    return ["The pages are faulted in as accesses would:"] if c.effects.touches else [
        "All pages are there already: nothing faults."
    ]  # fmt: skip


def _move(c: Chapter) -> list[str]:
    return [
        "`mremap` moves entries to the new place: the frames stay the same, nothing is copied and "
        "nothing faults."
    ]


def _resize(c: Chapter) -> list[str]:
    return _drop(c, "`mremap` moves the end of the area.") if c.effects.returned else [
        "`mremap` moves the end of the area: a promise, no frame."
    ]  # fmt: skip


def _brk(c: Chapter) -> list[str]:
    return _drop(c, "`brk` moves the program break down.") if c.effects.returned else [
        "`brk` moves the program break: a promise, no frame until a page is touched."
    ]  # fmt: skip


def _sync(c: Chapter) -> list[str]:
    return [
        "Dirty pages are written to the file: they are clean, and every entry that maps them is "
        "read-only. The next write to each faults."
    ]


def _file_io(c: Chapter) -> list[str]:
    made = "are dirty now, wherever they are mapped" if c.operation.verb is Verb.FILEWRITE else (
        "are copied from the page cache"
    )  # fmt: skip
    return [f"A system call, not an access: the file's pages {made}; no entry changes."]


def _read_ahead(c: Chapter) -> list[str]:
    return [
        f"How far faults of the area, and reads of its file, read ahead changes "
        f"({c.operation.verb}); no page is touched."
    ]


def _drop_file(c: Chapter) -> list[str]:
    back = frames_for(c.effects.returned) or "nothing"
    return [
        "Dirty pages are written to the file, and those that nobody maps leave the page cache: who "
        f"touches one again takes a major fault. Back in the pool: {back}."
    ]


def _will_need(c: Chapter) -> list[str]:
    return [
        f"What is not in the page cache is read from the device "
        f"({count(c.effects.taken['page cache'], 'frame')}); no entry is made, and nothing faults."
    ]


def _other(c: Chapter) -> list[str]:
    return []


ABOUT: Final[dict[Verb, Callable[[Chapter], list[str]]]] = {
    Verb.MAP: _map,
    Verb.SHMAP: _map,
    Verb.MAPFILE: _map,
    Verb.MAPSHFILE: _map,
    Verb.MAPHUGETLB: _map,
    Verb.MAPSHHUGETLB: _map,
    Verb.STACK: _map,
    Verb.VFORK: _vfork,
    Verb.EXEC: _exec,
    Verb.EXIT: _exit,
    Verb.UNMAP: _unmap,
    Verb.DONTNEED: _dontneed,
    Verb.HUGEPAGE: _advise,
    Verb.NOHUGEPAGE: _advise,
    Verb.DONTFORK: _advise,
    Verb.DOFORK: _advise,
    Verb.WIPEONFORK: _advise,
    Verb.KEEPONFORK: _advise,
    Verb.UNLOCK: _advise,
    Verb.COLLAPSE: _collapse,
    Verb.POPULATEREAD: _populate,
    Verb.POPULATEWRITE: _populate,
    Verb.LOCK: _populate,
    Verb.MOVE: _move,
    Verb.RESIZE: _resize,
    Verb.BRK: _brk,
    Verb.SYNC: _sync,
    Verb.FSYNC: _sync,
    Verb.RANDOM: _read_ahead,
    Verb.SEQUENTIAL: _read_ahead,
    Verb.NORMAL: _read_ahead,
    Verb.DROP: _drop_file,
    Verb.WILLNEED: _will_need,
    Verb.FILEREAD: _file_io,
    Verb.FILEWRITE: _file_io,
}
