"""A claim: what is predicted, what the kernel said, and whether that holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that was predicted and asked for; `kernel` is "" where it was not asked.

    `quiet` tells that what was counted may be something else where tasks wait for CPUs.
    """

    name: str
    predicted: str
    kernel: str = ""
    held: bool = True
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed, within which `band`, and how it is checked.

    `why_not` says why the kernel here cannot be asked, "" if it can.  `check` is given how many
    cases are wanted, a seed, and whether to ask the kernel.  `cases` is how many there are, or are
    drawn where nothing is said.
    """

    name: str
    says: str
    band: str
    cases: int
    why_not: Callable[[], str]
    check: Callable[[int, int, bool], Iterator[Case]]
