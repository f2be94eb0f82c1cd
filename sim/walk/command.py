"""The command `cowpool walk`: what is printed, and the exit status."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar

from sim.base.errors import ScenarioError
from sim.base.files import write_file
from sim.base.text import shorten, visible
from sim.walk.ask.questions import questions
from sim.walk.ask.quiz import quiz, quiz_json
from sim.walk.draw.json import state_json
from sim.walk.draw.svg import draw_svg
from sim.walk.show import Printer, Teller
from sim.walk.tell.story import (
    FEWEST_FRAMES,
    MOST_FRAMES,
    MachineChoice,
    Story,
    frames_to_draw,
    tell,
)
from sim.walk.tell.tale import chapter_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sim.script.grammar import Operation

T = TypeVar("T")
SCHEMA_VERSION: Final = 1
DONE: Final = 0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What somebody wants to be told; `svg` names the file for the picture.

    With `ask`, questions drawn from `seed` come first, and answers are held back unless `answers`.
    """

    why: bool = False
    draw: bool = False
    as_json: bool = False
    svg: Path | None = None
    ask: bool = False
    answers: bool = False
    seed: int = 0


def run_walk(
    path: str | Path,
    script: Sequence[Operation],
    choice: MachineChoice,
    wishes: Wishes,
    *,
    out: TextIO | None = None,
) -> int:
    """Tell a valid script, read from `path`, and return the exit status.

    Raises `ScenarioError` where what is wanted of the script cannot be.
    """
    out = sys.stdout if out is None else out
    if not choice.frames and (wishes.draw or wishes.svg is not None):
        choice = replace(choice, frames=frames_to_draw(script))
    story = _about(path, lambda: tell(script, choice))
    if wishes.svg is not None:
        picture = _about(path, lambda: draw_svg(story, title_of(path), why=wishes.why))
        write_file(wishes.svg, picture)
    if wishes.as_json:
        out.write(json.dumps(document(story, Path(path).name, wishes), indent=1) + "\n")
        return DONE
    printer = Printer(out)
    teller = _about(
        path, lambda: Teller(story, why=wishes.why, draw=wishes.draw, width=printer.width)
    )
    if wishes.ask:
        typed = sys.stdin if out.isatty() and sys.stdin.isatty() else None
        asked = questions(story, wishes.seed)
        quiz(story, asked, teller, printer, answers=wishes.answers, answered=typed)
        return DONE
    for line in teller.opening():
        printer.print(*line)
    for chapter in story.chapters:
        for line in teller.told(chapter):
            printer.print(*line)
    for line in teller.closing():
        printer.print(*line)
    return DONE


def title_of(path: str | Path) -> str:
    """Return what a script says of itself: its first comment, or its name."""
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if line.strip():
            break
    else:
        line = ""
    comment = visible(line.strip())
    return comment.lstrip("# ") if comment.startswith("#") else Path(path).stem


def document(story: Story, name: str, wishes: Wishes) -> dict[str, Any]:
    """Return a story as plain JSON values."""
    found: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "script": name,
        "machine": machine_json(story),
    }
    if wishes.ask:
        asked = questions(story, wishes.seed)
        return found | quiz_json(
            story, asked, seed=wishes.seed, answers=wishes.answers, draw=wishes.draw
        )
    steps = []
    for chapter in story.chapters:
        step = chapter_json(chapter, story, why=wishes.why)
        if wishes.draw and chapter.after is not None:
            step["memory"] = state_json(chapter.after, story.names)
        steps.append(step)
    found |= {"steps": steps, "waiting": list(story.waiting)}
    if wishes.draw and story.opening is not None:
        found["memory"] = state_json(story.opening, story.names)
    return found


def machine_json(story: Story) -> dict[str, Any]:
    """Return what machine a story happens on."""
    choice = story.choice
    return {
        "frames": story.frames if choice.is_small else None,
        "free_frames": story.free,
        "policy": choice.policy,
        "fork": choice.fork,
        "zeroing": "eager" if choice.eager_zero else "demand",
        "kernel": choice.kernel,
    }


def machine_frames(text: str) -> int:
    """Return how many frames a machine has that has room for P and can be shown.

    Raises `ScenarioError` for what is no number, too few or too many.
    """
    why = ""
    if not (text.isascii() and text.isdecimal()):
        why = "no number of frames"
    elif int(text) < FEWEST_FRAMES:
        why = "too few for P itself"
    elif int(text) > MOST_FRAMES:
        why = "too many to show"
    if why:
        range_text = f"{FEWEST_FRAMES} to {MOST_FRAMES}"
        raise ScenarioError(f"--frames: {shorten(text)} is {why}; write {range_text}")
    return int(text)


def _about(path: str | Path, work: Callable[[], T]) -> T:
    """Do some work; if it is refused, name the script that it was about."""
    try:
        return work()
    except ScenarioError as error:
        raise ScenarioError(error.message, error.file or str(path), error.line) from None
