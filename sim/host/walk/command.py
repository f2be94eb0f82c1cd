"""The command `cowpool walk`: what is printed, and the exit status."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from sim.errors import ScenarioError
from sim.host.validity import load_script
from sim.host.walk.draw_json import state_json
from sim.host.walk.show import Printer, Teller
from sim.host.walk.story import FEWEST_FRAMES, MOST_FRAMES, MachineChoice, Story, tell
from sim.host.walk.tale import chapter_json

if TYPE_CHECKING:
    from sim.host.script import Operation

SCHEMA_VERSION: Final = 1
DONE: Final = 0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What somebody wants to be told; `svg` names the file for the picture."""

    why: bool = False
    draw: bool = False
    as_json: bool = False
    svg: Path | None = None


def run_walk(
    path: str | Path,
    choice: MachineChoice,
    wishes: Wishes,
    *,
    out: TextIO | None = None,
) -> int:
    """Tell the script at `path` and return the exit status.

    Raises `ScenarioError` where the script, or what is wanted of it, cannot be.
    """
    out = sys.stdout if out is None else out
    script, choice = _prepare(path, choice, small=wishes.draw or wishes.svg is not None)
    story = _tell(script, choice, str(path))
    if wishes.as_json:
        out.write(json.dumps(document(story, Path(path).name, wishes), indent=1) + "\n")
        return DONE
    printer = Printer(out)
    teller = Teller(story, why=wishes.why, draw=wishes.draw, width=printer.width)
    for line in teller.opening():
        printer.print(*line)
    for chapter in story.chapters:
        for line in teller.told(chapter):
            printer.print(*line)
    for line in teller.closing():
        printer.print(*line)
    return DONE


def document(story: Story, name: str, wishes: Wishes) -> dict[str, Any]:
    """Return a story as plain JSON values."""
    steps = []
    for chapter in story.chapters:
        step = chapter_json(chapter, story, why=wishes.why)
        if wishes.draw and chapter.after is not None:
            step["memory"] = state_json(chapter.after, story.names)
        steps.append(step)
    found: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "script": name,
        "machine": machine_json(story),
        "steps": steps,
        "waiting": list(story.waiting),
    }
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
    }


def _prepare(
    path: str | Path, choice: MachineChoice, *, small: bool
) -> tuple[list[Operation], MachineChoice]:
    if choice.frames and not FEWEST_FRAMES <= choice.frames <= MOST_FRAMES:
        raise ScenarioError(
            f"--frames: {choice.frames} is not a machine that can be told of; "
            f"write {FEWEST_FRAMES} to {MOST_FRAMES}"
        )
    script = load_script(path)
    if small and not choice.frames:
        choice = replace(choice, frames=MOST_FRAMES)
    return script, choice


def _tell(script: list[Operation], choice: MachineChoice, path: str) -> Story:
    try:
        return tell(script, choice)
    except ScenarioError as error:
        raise ScenarioError(error.message, error.file or path, error.line) from None
