"""Why a page took the frame that it took: a sentence for each reference of a string."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sim.policy.replacement.opt import next_uses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sim.policy.replacement.played import Step
    from sim.policy.replacement.protocol import Page


class ClockFace(NamedTuple):
    """Which frames in use have marks, and where the hand is."""

    marks: tuple[bool, ...]
    hand: int

    def cell(self, frame: int, page: str) -> str:
        """Return a frame as it is shown, with a blank in place of a mark."""
        hand = ">" if frame == self.hand else ""
        mark = "*" if page and self.marks[frame] else " "
        return f"{hand}{page}{mark}"


def reasons(policy: str, steps: Sequence[Step], clock: Sequence[ClockFace]) -> Iterator[str]:
    """Yield why each step went as it did; references are numbered from 1.

    `clock` has what CLOCK looked like after each step.
    """
    pages: dict[int, Page] = {}
    came: dict[Page, int] = {}
    used: dict[Page, int] = {}
    following = next_uses([step.page for step in steps])
    for n, step in enumerate(steps):
        if not step.fault:
            yield f"in frame {step.frame}"
        elif step.victim is None:
            yield f"fault; takes frame {step.frame}, which is free"
        else:
            match policy:
                case "fifo":
                    why = f"which came first, at reference {came[step.victim] + 1}"
                case "lru":
                    why = f"whose last use, at reference {used[step.victim] + 1}, is longest ago"
                case "opt":
                    place = following[used[step.victim]]
                    why = f"which comes next at reference {place + 1}, later than the others"
                    if place == len(steps):
                        why = "which does not come again"
                case "clock":
                    why = _passed(clock[n - 1], step.frame, pages)
                case "mglru_like":
                    why = "which is of the oldest generation, and not marked"
                case _:
                    why = "by chance"
            yield f"fault; takes frame {step.frame} from {step.victim}, {why}"
        if step.fault:
            came[step.page] = n
            pages[step.frame] = step.page
        used[step.page] = n


def _passed(face: ClockFace, frame: int, pages: dict[int, Page]) -> str:
    """Return what the hand did on its way to a frame: once round, if that was marked as well."""
    n = len(face.marks)
    way = [(face.hand + k) % n for k in range((frame - face.hand) % n)]
    if all(face.marks):
        return "as all were marked: the hand took the marks and came back to it"
    if not way:
        return "which is not marked"
    passed = ", ".join(str(pages[at]) for at in way)
    return f"which is not marked; the hand passed {passed} and took the mark{'s' * (len(way) > 1)}"
