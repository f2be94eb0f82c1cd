"""The command `cowpool walk`: options are checked before compiled code is loaded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sim.base.errors import ScenarioError
from sim.cli.conforming import asked_release

if TYPE_CHECKING:
    from pathlib import Path

MOST_PAGES: Final = 200_000
"""Pages of all lines of a script together, which are told in some seconds."""

_CHOICES: Final = {
    "policy": ("oom", "wait"),
    "fork": ("cow", "eager", "on_demand", "async"),
    "zeroing": ("demand", "eager"),
}


def walk_script(
    script: Path,
    *,
    why: bool,
    draw: bool,
    svg: Path | None,
    ask: bool,
    answers: bool,
    seed: int | None,
    frames: str | None,
    policy: str | None,
    fork: str,
    zeroing: str,
    as_kernel: str | None,
    hugetlb: int | None,
    as_json: bool,
    large: bool,
) -> int:
    """Tell a script step by step and return the exit status."""
    policy = policy or "oom"
    for option, value in (("policy", policy), ("fork", fork), ("zeroing", zeroing)):
        if value not in _CHOICES[option]:
            known = ", ".join(_CHOICES[option])
            raise ScenarioError(f"--{option}: {value!r} is unknown; write one of {known}")
    kernel = None if as_kernel is None else asked_release(as_kernel)
    if not ask and (answers or seed is not None):
        raise ScenarioError("--answers and --seed are for questions; add --ask")
    if ask and svg is not None:
        raise ScenarioError("--ask holds answers back, --svg would show them; leave one out")
    from sim.cli.effort import named_pages, plain_if_small
    from sim.script.validity import load_script

    operations = load_script(script, large=large)
    if not large and (pages := named_pages(operations)) > MOST_PAGES:
        message = f"names {pages:,} pages, and each is told; keep to {MOST_PAGES:,}, or add --large"
        raise ScenarioError(message, str(script))
    plain_if_small([operations])
    from sim.walk.command import Wishes, machine_frames, run_walk
    from sim.walk.tell.story import MachineChoice

    choice = MachineChoice(
        0 if frames is None else machine_frames(frames), policy, fork, zeroing == "eager"
    )
    if kernel is not None:
        choice = replace(choice, kernel=kernel)
    if hugetlb is not None:
        choice = replace(choice, hugetlb=hugetlb)
    wishes = Wishes(why, draw, as_json, svg, ask, answers, seed or 0)
    return run_walk(script, operations, choice, wishes)
