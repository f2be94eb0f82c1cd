"""Why: the rule behind each fault, and behind each access that was none, in a sentence.

The rules and the kernel's functions are those of ``docs/conformance.md``; frames, owners and what
is left in the pool come from the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.machine import work
from sim.machine.layout import HUGE_PAGES
from sim.walk.tell.effects import NO_FAULT
from sim.walk.tell.state import CACHE, HUGETLB
from sim.walk.tell.words import count, listing, pages_of, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sim.walk.tell.effects import Touch
    from sim.walk.tell.names import Names


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one page, or several like it in a row, faulted or did not.

    `rule` names the case, `function` the part of the kernel that deals with it.
    """

    pages: str
    rule: str
    function: str
    text: str
    faults: int

    def to_json(self) -> dict[str, Any]:
        """Return the reason as plain JSON values."""
        return {
            "pages": self.pages,
            "rule": self.rule,
            "function": self.function,
            "faults": self.faults,
            "text": self.text,
        }


def reasons(touches: Sequence[Touch], names: Names) -> list[Reason]:
    """Return a reason for each page touched; equal ones in a row are one."""
    return [_reason(run, names) for run in _runs(touches, names)]


def _runs(touches: Iterable[Touch], names: Names) -> list[list[Touch]]:
    runs: list[list[Touch]] = []
    for touch in touches:
        if runs and _likewise(runs[-1][-1], touch, names):
            runs[-1].append(touch)
        else:
            runs.append([touch])
    return runs


def _likewise(one: Touch, other: Touch, names: Names) -> bool:
    """Whether the page behind `one` did the same, and took no page tables for it."""
    return (
        other.vpn == one.vpn + 1
        and names.of(other.vpn)[0] == names.of(one.vpn)[0]
        and other.tables == 0
        and not other.in_shared_table
        and rule_of(one) == rule_of(other)
        and one.mappers == other.mappers
        and one.left == other.left
        and one.around == other.around
        and one.split == other.split
    )


def _reason(run: list[Touch], names: Names) -> Reason:
    first, last = run[0], run[-1]
    rule, function = rule_of(first)
    text = TEXTS[rule](first) if rule in TEXTS else f"A fault of the kind {rule}."
    if first.split:
        text = f"`do_huge_pmd_wp_page` first splits the huge entry into 512 small ones. {text}"
    if first.in_shared_table:
        text = f"The leaf table is shared with another process: it is copied first. {text}"
    if first.tables:
        text += f" {count(first.tables, 'more frame')} for page tables on the way to it."
    if first.kind not in (NO_FAULT, work.SEGFAULT):
        text += f" {first.free:,} left in the pool."
    text = f"{names.page(first.vpn)}: {text}"
    if len(run) > 1:
        rest = pages_of(run[1].vpn, last.vpn, names)
        text += f" {rest} likewise"
        if first.kind != NO_FAULT:
            taken = [t.after.pfn for t in run[1:] if t.after is not None]
            is_zero = first.after is not None and first.after.zero
            frames = f"frame{'s' * (len(set(taken)) > 1)} {span(taken)}"
            details = [frames] if taken and not is_zero else []
            if last.free != first.free:
                details.append(f"{last.free:,} left")
            text += f": {', '.join(details)}" if details else ""
        text += "."
    faults = sum(touch.kind not in (NO_FAULT, work.SEGFAULT) for touch in run)
    return Reason(pages_of(first.vpn, last.vpn, names), rule, function, text, faults)


# --- which rule ---------------------------------------------------------------------------------


def rule_of(touch: Touch) -> tuple[str, str]:
    """Return the rule that a touch went by and the kernel's function for it."""
    before, area = touch.before, touch.area
    kind = touch.kind
    if kind == NO_FAULT:
        if not touch.write:
            return "read_present", "none: the processor walks the page table"
        return "write_present", "none: the processor walks the page table"
    if area is not None and area.kind == HUGETLB:
        return _hugetlb_rule(touch)
    if kind == work.SEGFAULT:
        if area is None:
            return "no_area", "bad_area_nosemaphore"
        return "not_permitted", "bad_area_access_error"
    is_huge = touch.after is not None and touch.after.huge
    if kind == work.ZERO_PAGE_MAP:
        return ("huge_zero_page", "do_huge_pmd_anonymous_page") if is_huge else (
            "zero_page", "do_anonymous_page"
        )  # fmt: skip
    if kind == work.HUGE_ZERO_FILL:
        if before is not None:
            return "huge_zero_page_written", "do_huge_zero_wp_pmd"
        return "huge_zero_fill", "do_huge_pmd_anonymous_page"
    if kind == work.ZERO_FILL:
        if area is not None and area.kind != "anonymous":
            return "shmem_fill", "do_shared_fault" if touch.write else "do_read_fault"
        if before is not None:
            return "zero_page_written", "wp_page_copy"
        return "zero_fill", "do_anonymous_page"
    if kind == work.COW_COPY:
        if before is None:
            return "cache_copied", "do_cow_fault"
        if touch.old is not None and touch.old.use == CACHE:
            return "mapped_cache_copied", "wp_page_copy"
        return "cow_copy", "wp_page_copy"
    if kind == work.HUGE_COPY:
        return "huge_copy", "do_huge_pmd_wp_page"
    if kind == work.COW_REUSE:
        return ("huge_reuse", "do_huge_pmd_wp_page") if is_huge else ("cow_reuse", "wp_page_reuse")
    if kind == work.FILE_MAP:
        if touch.write:
            return "cache_mapped_writable", "do_shared_fault"
        return "cache_mapped", "do_read_fault"
    if kind == work.MAJOR_FAULT:
        if not touch.write:
            return "read_in", "do_read_fault"
        is_shared = area is not None and area.shared
        return "read_in", "do_shared_fault" if is_shared else "do_cow_fault"
    if kind == work.SPURIOUS:
        return "clean_shared_written", "wp_page_shared"
    return work.NAMES[kind], "handle_mm_fault"


def _hugetlb_rule(touch: Touch) -> tuple[str, str]:
    """Do as `rule_of` for a fault, or a refused access, on memory of the pool of huge pages."""
    if touch.kind == work.SEGFAULT:
        allowed = touch.area is not None and ("w" if touch.write else "r") in touch.area.access
        if not allowed:
            return "not_permitted", "bad_area_access_error"
        return "hugetlb_none_left", "hugetlb_wp" if touch.before else "hugetlb_no_page"
    if touch.kind == work.HUGE_ZERO_FILL:
        return "hugetlb_fill", "hugetlb_no_page"
    if touch.kind == work.FILE_MAP:
        return "hugetlb_map", "hugetlb_fault"
    if touch.kind == work.HUGE_COPY:
        return "hugetlb_copy", "hugetlb_wp"
    return "hugetlb_reuse", "hugetlb_wp"


# --- what to say of it --------------------------------------------------------------------------


def _new(touch: Touch) -> str:
    return f"frame {touch.after.pfn}" if touch.after is not None else "a frame"


def _was(touch: Touch) -> str:
    return f"frame {touch.before.pfn}" if touch.before is not None else "a frame"


def _block(touch: Touch) -> str:
    assert touch.after is not None
    first = touch.after.pfn // HUGE_PAGES * HUGE_PAGES
    return f"the block of frames {first} to {first + HUGE_PAGES - 1}"


def _others(touch: Touch) -> str:
    """Return who else maps the page's frame."""
    return listing([name for name in touch.mappers if name != touch.process])


def _keepers(touch: Touch) -> str:
    """Return who keeps the frame that was copied."""
    if touch.left_refs == 0:
        return (
            f"{_was(touch)} has no owner any more, and goes back (Linux would keep it a while, A14)"
        )
    known = listing(touch.left)
    if touch.left_refs == len(touch.left):
        return f"{_was(touch)} stays with {known}"
    return f"{_was(touch)} keeps {count(touch.left_refs, 'reference')}"


def _why_small(t: Touch) -> str:
    """Return why a new page of an area that wants huge pages is a small one, or ""."""
    if t.area is None or "hugepage" not in t.area.flags:
        return ""
    first = t.vpn // HUGE_PAGES * HUGE_PAGES
    if t.area.start > first or t.area.end < first + HUGE_PAGES:
        return " A huge page would not fit: the area does not contain all of its 2 MiB."
    if t.tables:  # the leaf table among them
        return f" No huge page: no block of {HUGE_PAGES} frames is free."
    return " No huge page: its 2 MiB have a leaf table already."


def _read_present(t: Touch) -> str:
    assert t.after is not None
    shared = f", although it shares {_new(t)} with {_others(t)}" if _others(t) else ""
    what = "the zero page" if t.after.zero else _new(t)
    return f"The entry is there ({what}), and reading needs no more: no fault{shared}."


def _write_present(t: Touch) -> str:
    return f"Mapped writable already ({_new(t)}): no fault, the processor sets the dirty bit."


def _not_permitted(t: Touch) -> str:
    allowed = f"allows `{t.area.access}` only" if t.area is not None else "does not allow it"
    return f"The area {allowed}: `bad_area_access_error` sends SIGSEGV. No frame, no fault counted."


def _cow_copy(t: Touch) -> str:
    shared = f"{_was(t)} has {count(t.left_refs + 1, 'reference')}"
    if t.left_refs == 0:
        shared = f"{_was(t)} is part of a large folio that is mapped elsewhere as well"
    return (
        f"Mapped read-only, and {shared}: copied. `wp_page_copy` "
        f"takes {_new(t)}, copies 4 KiB into it and maps it writable for {t.process} alone; "
        f"{_keepers(t)}."
    )


def _cow_reuse(t: Touch) -> str:
    why = "its only reference is ours" if not (t.old and t.old.exclusive) else "it is ours alone"
    return (
        f"Mapped read-only, but {_was(t)}: {why}, so nothing is copied. `wp_page_reuse` gives "
        "write permission back; no frame is taken."
    )


def _cache_mapped(t: Touch) -> str:
    mode = "writable" if t.after is not None and t.after.writable else "read-only"
    around = ""
    if t.around:
        around = f", and `do_fault_around` {count(t.around, 'page')} more of its 64 KiB window"
    return (
        f"Not there, read, and in the page cache: `do_read_fault` maps {_new(t)} of the cache, "
        f"{mode}{around}. No frame is taken."
    )


def _read_in(t: Touch) -> str:
    function = rule_of(t)[1]
    text = f"Not in the page cache: `{function}` has `filemap_fault` read it from the device"
    if function == "do_cow_fault":
        return (
            f"{text}, a major fault, and copies it into {_new(t)}, writable for {t.process} alone."
        )
    return f"{text} into {_new(t)}, a major fault."


def _hugetlb_fill(t: Touch) -> str:
    whose = "all who share it" if t.area and t.area.shared else f"{t.process} alone"
    return (
        f"Not there: `hugetlb_no_page` takes a huge page from the pool, for {whose}, zeroes its "
        "2 MiB and maps them with one entry. No other frame is taken for data."
    )


def _hugetlb_none_left(t: Touch) -> str:
    what = "to copy it to" if t.before is not None else "for it"
    return (
        f"Nothing is reserved for {t.process} here, and the pool has no huge page {what} that "
        "nobody has reserved, or the one that was here was taken for its owner: "
        f"`{rule_of(t)[1]}` ends {t.process} by SIGBUS. No fault is counted."
    )


TEXTS: Final[dict[str, Callable[[Touch], str]]] = {
    "read_present": _read_present,
    "write_present": _write_present,
    "no_area": lambda t: (
        f"In no area of {t.process}: `bad_area_nosemaphore` sends SIGSEGV. No frame, no fault "
        "counted."
    ),
    "not_permitted": _not_permitted,
    "zero_page": lambda t: (
        "Not there, and only read: `do_anonymous_page` maps the shared zero page, read-only. "
        "No frame is taken, and it counts in no resident set."
    ),
    "huge_zero_page": lambda t: (
        "Not there, and only read: `do_huge_pmd_anonymous_page` maps the huge zero page for all "
        "2 MiB, read-only. No frame is taken for data."
    ),
    "huge_zero_fill": lambda t: (
        "Not there, written, and the area wants huge pages: `do_huge_pmd_anonymous_page` takes "
        f"{_block(t)}, zeroes it and maps 2 MiB with one entry."
    ),
    "huge_zero_page_written": lambda t: (
        f"The huge zero page, written: `do_huge_zero_wp_pmd` takes {_block(t)}, zeroed, in its "
        "place."
    ),
    "zero_fill": lambda t: (
        f"Not there, and written: `do_anonymous_page` takes {_new(t)}, zeroes it and maps it "
        f"writable; only {t.process} maps it.{_why_small(t)}"
    ),
    "zero_page_written": lambda t: (
        f"The zero page, written: `wp_page_copy` takes {_new(t)}, zeroed (there is nothing to "
        f"copy), and maps it writable; only {t.process} maps it."
    ),
    "shmem_fill": lambda t: (
        f"Shared memory that nobody has touched: `{rule_of(t)[1]}` has `shmem_fault` take "
        f"{_new(t)}, zero it and put it in the page cache, where all who share the area find it."
    ),
    "cow_copy": _cow_copy,
    "huge_copy": lambda t: (
        "A huge entry, read-only, and its frames are mapped elsewhere as well: before 5.8 "
        f"`do_huge_pmd_wp_page` takes {_block(t)}, copies all 2 MiB into it and maps it writable "
        f"for {t.process} alone."
    ),
    "cache_copied": lambda t: (
        f"Not there, a private file mapping, and written: `do_cow_fault` copies the page from the "
        f"page cache into {_new(t)}, writable for {t.process} alone. The file is untouched."
    ),
    "mapped_cache_copied": lambda t: (
        f"Mapped read-only from the page cache ({_was(t)}), private, and written: `wp_page_copy` "
        f"takes {_new(t)} and copies 4 KiB into it. The file is untouched."
    ),
    "cow_reuse": _cow_reuse,
    "huge_reuse": lambda t: (
        "A huge entry, read-only, but nobody else maps any of its frames: `do_huge_pmd_wp_page` "
        "gives write permission back to all 2 MiB; no frame is taken."
    ),
    "cache_mapped": _cache_mapped,
    "cache_mapped_writable": lambda t: (
        f"Not there, shared, and written: `do_shared_fault` maps {_new(t)} of the page cache "
        "writable, and the page is dirty. No frame is taken."
    ),
    "read_in": _read_in,
    "hugetlb_fill": _hugetlb_fill,
    "hugetlb_none_left": _hugetlb_none_left,
    "hugetlb_map": lambda t: (
        f"Not there, but the file has it, or a table that maps it could be shared: "
        f"{_block(t)}. Nothing is zeroed or copied."
    ),
    "hugetlb_copy": lambda t: (
        "A huge page of the pool, read-only, which others map since a fork: `hugetlb_wp` takes "
        f"another from the pool, copies all 2 MiB and maps it writable for {t.process} alone."
    ),
    "hugetlb_reuse": lambda t: (
        "A huge page of the pool, read-only, and nobody else maps it now: `hugetlb_wp` gives write "
        "permission back. Where the pool was empty, it has first taken the page away from the "
        "children of the process that it was reserved for (`unmap_ref_private`)."
    ),
    "clean_shared_written": lambda t: (
        f"A shared file's page, mapped read-only while clean: `wp_page_shared` tells the file "
        f"system, and makes {_was(t)} writable and dirty. No frame is taken."
    ),
}
