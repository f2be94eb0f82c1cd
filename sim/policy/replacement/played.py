"""Reference strings played against a policy: what happened, and how many faults that was."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sim.policy.replacement.protocol import Page, Replacement


class Step(NamedTuple):
    """One reference: the frame, from 0, that holds its page afterwards, and whose it was."""

    page: Page
    frame: int
    fault: bool
    victim: Page | None


def play(policy: Replacement, references: Iterable[Page]) -> Iterator[Step]:
    """Yield what each of `references` does to memory that is empty at first.

    Free frames are taken in order.  Raises `KeyError` if the policy takes a frame from a page that
    has none.
    """
    frame_of: dict[Page, int] = {}
    for page in references:
        victim = policy.touch(page)
        fault = page not in frame_of
        if fault:
            frame_of[page] = len(frame_of) if victim is None else frame_of.pop(victim)
        yield Step(page, frame_of[page], fault, victim)


def count_faults(policy: Replacement, references: Iterable[Page]) -> int:
    """Return how many of `references` find their page in no frame, the first use of each included.

    >>> from sim.policy.replacement.fifo import Fifo
    >>> [count_faults(Fifo(frames), "123412512345") for frames in (3, 4)]
    [9, 10]
    """
    return sum(step.fault for step in play(policy, references))


def stack_distances(references: Iterable[Page]) -> list[int | None]:
    """Return how many pages, its own included, were used since each reference's page was.

    None for the first use of a page.  R. L. Mattson, J. Gecsei, D. R. Slutz and I. L. Traiger
    (1970), Evaluation techniques for storage hierarchies, IBM Systems Journal 9(2).

    >>> stack_distances("abcab")
    [None, None, None, 3, 3]
    """
    stack: list[Page] = []
    found: list[int | None] = []
    used: set[Page] = set()
    for page in references:
        if page in used:
            place = stack.index(page)
            del stack[place]
            found.append(place + 1)
        else:
            used.add(page)
            found.append(None)
        stack.insert(0, page)
    return found


def lru_faults(distances: Sequence[int | None], frames: int) -> int:
    """Return the faults of exact LRU: references whose distance is more than the frames.

    One list of distances serves every number of frames.
    """
    return sum(distance is None or distance > frames for distance in distances)
