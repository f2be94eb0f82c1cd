"""The story in lines: what each operation did, in figures and in sentences."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from sim.machine import work
from sim.script.operation import SIGBUS, SIGSEGV
from sim.walk.tell.calls import about_call, frames_for
from sim.walk.tell.state import DATA, HUGETLB, STACK, TABLE
from sim.walk.tell.story import KILLED, NOT_DONE, WAITS
from sim.walk.tell.why import Reason, reasons
from sim.walk.tell.words import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.walk.tell.story import Chapter, Kill, Story

FAULTS: Final[dict[int, str]] = {
    work.ZERO_FILL: "zero-fill",
    work.ZERO_PAGE_MAP: "zero-page map",
    work.COW_COPY: "copy",
    work.COW_REUSE: "reuse",
    work.FILE_MAP: "file map",
    work.SPURIOUS: "dirtying",
    work.HUGE_ZERO_FILL: "huge zero-fill",
    work.HUGE_COPY: "huge copy",
    work.MAJOR_FAULT: "major fault",
    work.SEGFAULT: "SIGSEGV",
}
"""What faults are called, by the kinds of work they are."""


FORKS: Final = {
    "eager": "fork copies every page",
    "on_demand": "fork shares leaf tables (on-demand-fork)",
    "async": "the child copies leaf tables (Async-fork)",
}
"""What is said of ways to fork that are not Linux's."""


def machine_line(story: Story) -> str:
    """Return what machine the story happens on."""
    how = []
    if story.choice.fork != "cow":
        how.append(FORKS[story.choice.fork])
    if story.newest is not None:
        how.append(f"the rules of Linux {story.choice.kernel}")
    if story.choice.eager_zero:
        how.append("mmap takes frames at once")
    extra = f"; {', '.join(how)}" if how else ""
    short = "the killer" if story.choice.policy == "oom" else "who asks waits"
    if not story.choice.is_small:
        return f"a machine with memory to spare, {story.free:,} frames free{extra}"
    uses = Counter(frame.use for frame in story.opening.frames) if story.opening else Counter()
    taken = uses[STACK] + uses[TABLE] + uses[DATA]
    pool = f"; {uses[HUGETLB]:,} are the pool of huge pages" if uses[HUGETLB] else ""
    return (
        f"a machine of {story.frames:,} frames: the zero page, {taken} for P "
        f"({uses[STACK]} kernel stack, {uses[TABLE]} page tables, {uses[DATA]} of its stack), "
        f"{story.free:,} free{pool}; when memory is short: {short}{extra}"
    )


def faults_text(chapter: Chapter) -> str:
    """Return the faults of an operation by kind: ``4 zero-fills``."""
    found = [
        count(n, FAULTS[kind])
        if kind != work.SEGFAULT
        else SIGBUS
        if chapter.ending == SIGBUS
        else FAULTS[kind]
        for kind, n in chapter.effects.faults.items()
    ]
    return ", ".join(found) or "no fault"


def _named(faults: Mapping[int, int]) -> dict[str, int]:
    return {work.NAMES[kind]: n for kind, n in faults.items()}


def pool_text(chapter: Chapter) -> str:
    """Return the frames that an operation took and gave back, by purpose."""
    taken, returned = chapter.effects.taken, chapter.effects.returned
    parts = []
    if taken:
        parts.append(f"takes {sum(taken.values()):,} ({frames_for(taken)})")
    if returned:
        parts.append(f"returns {sum(returned.values()):,} ({frames_for(returned)})")
    return ", ".join(parts) or "no frame"


def what_changed(chapter: Chapter, story: Story) -> str:
    """Return what else an operation does by the rules of the newest release, or ""."""
    now = story.counterpart(chapter)
    if now is None or story.newest is None:
        return ""
    did, does = ((faults_text(c), pool_text(c), what_came(c)) for c in (chapter, now))
    if did == does:
        return ""
    told = ", ".join(part for part in does if part)
    return f"by the rules of {story.newest.choice.kernel}: {told}"


def what_came(chapter: Chapter) -> str:
    """Return how an operation ended, where that was not as asked for; otherwise ""."""
    name = chapter.operation.process
    if chapter.ending == NOT_DONE:
        return f"not done: {chapter.reason}"
    if chapter.ending == WAITS:
        return f"{name} waits: no frame is free"
    if chapter.ending == KILLED:
        return f"{name} is killed: out of memory"
    if chapter.ending in (SIGSEGV, SIGBUS):
        return f"{name} is killed by {chapter.ending}"
    return chapter.ending


def kill_lines(kill: Kill) -> list[str]:
    """Return what the out-of-memory killer did, and why it took whom it took."""
    how = "asked" if kill.asked == kill.victim else f"had not asked; {kill.asked} had"
    return [
        f"No frame is free: `out_of_memory` chooses {kill.victim}, whose badness is highest "
        f"({count(kill.badness, 'page')}: resident pages and page tables). It {how}.",
        f"Killing {kill.victim} returns {frames_for(kill.effects.returned)}.",
    ]


def why_lines(chapter: Chapter, story: Story) -> list[str]:
    """Return the sentences of an operation: the call, then its pages, then what became of it."""
    lines = about_call(chapter, story.choice)
    touches, start = chapter.effects.touches, 0
    for kill in chapter.kills:
        lines += [reason.text for reason in reasons(touches[start : kill.at], story.names)]
        lines += kill_lines(kill)
        start = kill.at
    lines += [reason.text for reason in reasons(touches[start:], story.names)]
    if chapter.ending == WAITS:
        lines.append(
            f"No frame is free: {chapter.operation.process} waits, and goes on where it stopped "
            "when one comes back."
        )
    return lines


def chapter_reasons(chapter: Chapter, story: Story) -> list[Reason]:
    """Return why each page that an operation touched faulted, or did not."""
    return reasons(chapter.effects.touches, story.names)


def heading(chapter: Chapter) -> str:
    """Return number and text of an operation."""
    again = " (goes on)" if chapter.goes_on else ""
    return f"{chapter.number:>2}  {chapter.operation}{again}"


def closing_line(story: Story) -> str:
    """Return what is left to say at the end: who waits for memory that nobody will give back."""
    if not story.waiting:
        return ""
    names = ", ".join(story.waiting)
    return f"the end: {names} still wait{'s' * (len(story.waiting) == 1)} for memory"


def chapter_json(chapter: Chapter, story: Story, *, why: bool) -> dict[str, Any]:
    """Return an operation and what it did as plain JSON values."""
    effects = chapter.effects
    document: dict[str, Any] = {
        "step": chapter.number,
        "operation": str(chapter.operation),
        "line": chapter.operation.line,
        "goes_on": chapter.goes_on,
        "minor_faults": chapter.minor_faults,
        "faults": _named(effects.faults),
        "frames_taken": dict(effects.taken),
        "frames_returned": dict(effects.returned),
        "free_frames": chapter.free,
        "ending": chapter.ending,
        "reason": chapter.reason,
        "killed": [
            {
                "process": kill.victim,
                "asked": kill.asked,
                "badness_pages": kill.badness,
                "frames_returned": dict(kill.effects.returned),
            }
            for kill in chapter.kills
        ],
        "figures": [
            {"process": f.process, "region": f.region, **f.values()} for f in chapter.figures
        ],
    }
    now = story.counterpart(chapter)
    if now is not None and story.newest is not None:
        document["newest"] = {
            "kernel": story.newest.choice.kernel,
            "minor_faults": now.minor_faults,
            "faults": _named(now.effects.faults),
            "frames_taken": dict(now.effects.taken),
            "frames_returned": dict(now.effects.returned),
            "ending": now.ending,
        }
    if why:
        document["why"] = {
            "call": about_call(chapter, story.choice),
            "pages": [reason.to_json() for reason in chapter_reasons(chapter, story)],
            "killer": [line for kill in chapter.kills for line in kill_lines(kill)],
        }
    return document
