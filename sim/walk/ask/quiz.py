"""Asking: on a terminal answers come one by one, elsewhere as a work sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.walk.draw.json import state_json
from sim.walk.show import FAINT, HEAD, PLAIN
from sim.walk.tell.tale import heading

if TYPE_CHECKING:
    from typing import TextIO

    from sim.walk.ask.questions import Question
    from sim.walk.show import Printer, Teller
    from sim.walk.tell.story import Story

_INDENT: Final = "    "


def quiz(
    story: Story,
    asked: list[Question],
    teller: Teller,
    printer: Printer,
    *,
    answers: bool,
    answered: TextIO | None,
) -> None:
    """Tell a story, but ask before what there is a question about.

    `answered` is where somebody types: a line is checked, an empty one just shows the answer, its
    end ends it all.  Without it, answers are left out, or shown if `answers` says so.
    """
    by_step = {question.step: question for question in asked}
    right = tried = 0
    for line in teller.opening():
        printer.print(*line)
    for chapter in story.chapters:
        question = by_step.get(chapter.number)
        if question is None or chapter.goes_on:
            for line in teller.told(chapter):
                printer.print(*line)
            continue
        printer.print(HEAD, heading(chapter))
        printer.print(PLAIN, f"{_INDENT}? {question.prompt()}")
        if answered is not None:
            printer.ask(f"{_INDENT}> ")
            typed = answered.readline()
            if not typed:
                printer.print(PLAIN, "")
                return
            if typed.strip():
                tried += 1
                right += question.accepts(typed)
                verdict = "right" if question.accepts(typed) else "no"
                printer.print(HEAD, f"{_INDENT}{verdict}: {question.answer}")
            else:
                printer.print(HEAD, f"{_INDENT}{question.answer}")
        elif answers:
            printer.print(PLAIN, f"{_INDENT}= {question.answer}")
        else:
            printer.print(FAINT, f"{_INDENT}= ____")
            continue
        for line in teller.told(chapter, because=True):
            printer.print(*line)
    if tried:
        printer.print(HEAD, f"{right} of {tried} right")
    for line in teller.closing() if answers or answered is not None else ():
        printer.print(*line)


def quiz_json(
    story: Story, asked: list[Question], *, seed: int, answers: bool, draw: bool
) -> dict[str, Any]:
    """Return the questions, and if wanted the answers, as plain JSON values.

    With `draw`, each has what memory looks like before its operation.
    """
    chapters = {c.number: c for c in story.chapters if not c.goes_on}
    found = []
    for question in asked:
        chapter = chapters[question.step]
        document = question.to_json(str(chapter.operation), answers=answers)
        if draw and chapter.before is not None:
            document["memory_before"] = state_json(chapter.before, story.names)
        found.append(document)
    return {"seed": seed, "questions": found}
