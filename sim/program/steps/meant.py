"""What images and patterns in a list of steps stand for, as programs say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sim.program.api import Image
from sim.program.patterns import SEQUENTIAL, HotCold, Listed, Pattern, Uniform
from sim.program.steps.notes import HEAP_VERBS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def said_image(said: str | Mapping[str, Any]) -> str | Image:
    """Return what `Process.exec` takes, from arguments in a list of steps or `normal_image`."""
    if isinstance(said, str):
        return said
    if "program" in said:
        return str(said["program"])
    return Image(
        text_bytes=said["text"],
        data_bytes=said["data"],
        bss_bytes=said["bss"],
        stack_bytes=said["stack"],
        touched=said["touched"],
        file=said.get("file", ""),
    )


def allocates_in_thread(steps: Sequence[Mapping[str, Any]], *, in_thread: bool = False) -> bool:
    """Whether any thread in a list of steps calls malloc or its kind."""
    for step in steps:
        for verb, how in step.items():
            if in_thread and verb in HEAP_VERBS:
                return True
            thread = verb == "thread" or (in_thread and verb == "repeat")
            if allocates_in_thread(how.get("steps", ()), in_thread=thread):
                return True
    return False


def said_pattern(said: str | dict[str, Any], pages: int) -> tuple[Pattern, int]:
    """Return a pattern and how many accesses it makes to a range of `pages`."""
    if isinstance(said, str):
        return SEQUENTIAL, pages
    if "uniform" in said:
        return Uniform(said["uniform"]), said["uniform"]
    if "listed" in said:
        return Listed(np.array(said["listed"], dtype=np.int64)), len(said["listed"])
    return HotCold(**said["hot_cold"]), said["hot_cold"]["count"]
