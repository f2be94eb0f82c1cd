"""Questions about a script, with the answers held back.

Which operations are asked about, and what, follows from a seed: each operation has its own random
stream, so a line added to a script changes no question about the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.base.rng import stream
from sim.script.grammar import Verb
from sim.walk.tell.tale import FAULTS, why_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from sim.walk.tell.story import Chapter, Story

MODES: Final = {"w": "writable", "r": "read-only", "": "no entry"}
GIVING_BACK: Final = frozenset({Verb.EXIT, Verb.UNMAP, Verb.DONTNEED, Verb.EXEC})
NO_FAULT: Final = "no fault"
_KINDS_OF_FAULT: Final = (*FAULTS.values(), NO_FAULT)


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one operation; without `choices`, its answer is a whole number."""

    id: str
    step: int
    text: str
    choices: tuple[str, ...]
    answer: str
    why: tuple[str, ...]

    def to_json(self, operation: str, *, answers: bool) -> dict[str, Any]:
        """Return the question, and if wanted its answer, as plain JSON values."""
        found: dict[str, Any] = {
            "id": self.id,
            "step": self.step,
            "operation": operation,
            "question": self.text,
            "type": "choice" if self.choices else "integer",
        }
        if self.choices:
            found["choices"] = list(self.choices)
        if answers:
            found["answer"] = self.answer if self.choices else int(self.answer)
            found["why"] = list(self.why)
        return found

    def prompt(self) -> str:
        """Return the question as it is put to people."""
        return f"{self.text} ({' / '.join(self.choices)})" if self.choices else self.text

    def accepts(self, answer: str) -> bool:
        """Whether somebody's answer is right."""
        return " ".join(answer.lower().split()).replace(",", "") == self.answer.lower()


def questions(story: Story, seed: int) -> list[Question]:
    """Return the questions about a story: one for about two of three operations."""
    told = [c for c in story.chapters if not c.reason and not c.goes_on]
    asked = [c for c in told if stream(seed, 0, "walk asks", c.number).integers(3) < 2]
    return [_question(chapter, story, seed) for chapter in asked or told[:1]]


def _question(chapter: Chapter, story: Story, seed: int) -> Question:
    rng = stream(seed, 0, "walk asks what", chapter.number)
    forms = list(_forms(chapter))
    name, form = forms[int(rng.integers(len(forms)))]
    text, choices, answer = form(chapter, story, rng)
    why = tuple(why_lines(chapter, story))
    return Question(f"{chapter.number}.{name}", chapter.number, text, choices, answer, why)


Asked = tuple[str, tuple[str, ...], str]


def _forms(chapter: Chapter) -> Iterator[tuple[str, Callable[..., Asked]]]:
    """Yield what can be asked about an operation; what it is about comes first."""
    verb = chapter.operation.verb
    yield "faults", _faults
    if len(chapter.effects.faults) <= 1 and verb in (Verb.READ, Verb.WRITE):
        yield "kind", _kind
    if verb in GIVING_BACK:
        yield "returned", _returned
    else:
        yield "taken", _taken
    if chapter.kills:
        yield "victim", _victim
    if chapter.after is not None:
        yield "free", _free
        if any(space.entries for space in chapter.after.spaces):
            yield "references", _references
            yield "entry", _entry


def _faults(c: Chapter, story: Story, rng: np.random.Generator) -> Asked:
    return f"How many minor faults does {c.operation.process} take here?", (), str(c.minor_faults)


def _kind(c: Chapter, story: Story, rng: np.random.Generator) -> Asked:
    kinds = [FAULTS[kind] for kind in c.effects.faults] or [NO_FAULT]
    return "What kind of fault is it?", _KINDS_OF_FAULT, kinds[0]


def _taken(c: Chapter, story: Story, rng: np.random.Generator) -> Asked:
    taken = sum(c.effects.taken.values())
    return "How many frames does it take from the pool, page tables included?", (), str(taken)


def _returned(c: Chapter, story: Story, rng: np.random.Generator) -> Asked:
    returned = sum(c.effects.returned.values())
    return "How many frames come back to the pool, page tables included?", (), str(returned)


def _free(c: Chapter, story: Story, rng: np.random.Generator) -> Asked:
    return "How many frames are free afterwards?", (), str(c.free)


def _victim(c: Chapter, story: Story, rng: np.random.Generator) -> Asked:
    assert c.before is not None
    names = tuple(name for space in c.before.spaces for name in space.processes)
    return "Memory runs out: which process is killed?", names, c.kills[0].victim


def _references(c: Chapter, story: Story, rng: np.random.Generator) -> Asked:
    assert c.after is not None
    mapped = [
        (space.name, vpn, entry.pfn)
        for space in c.after.spaces
        for vpn, entry in sorted(space.entries.items())
        if not entry.zero
    ]
    name, vpn, pfn = mapped[int(rng.integers(len(mapped)))]
    page = story.names.page(vpn)
    text = f"How many references does the frame have afterwards that {name} has for page {page}?"
    return text, (), str(c.after.frames[pfn].refs)


def _entry(c: Chapter, story: Story, rng: np.random.Generator) -> Asked:
    assert c.after is not None
    pages = [
        (space, vpn)
        for space in c.after.spaces
        for area in space.areas
        for vpn in range(area.start, area.end)
        if vpn in space.entries or area.end - area.start <= 16
    ]
    space, vpn = pages[int(rng.integers(len(pages)))]
    entry = space.entries.get(vpn)
    text = f"What is the entry of {space.name} for page {story.names.page(vpn)} afterwards?"
    return text, tuple(MODES.values()), MODES["" if entry is None else entry.mode]
