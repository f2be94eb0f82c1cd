"""How many examples a test takes: a sample in `make test`, the whole list in `make stress`."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

_whole = False


def take_whole_lists(whole: bool) -> None:
    """Decide for this process, before any test module is imported."""
    global _whole
    _whole = whole


def sample(few: int, many: int) -> int:
    """Return how many examples to take: `few` in `make test`, `many` with pytest's `--whole`.

    `make test` leaves no list out, so `few` is at least 1; the list is what it would be of `many`.
    """
    if not 1 <= few <= many:
        raise ValueError(f"a sample of {few} out of {many} examples; it takes at least one")
    return many if _whole else few


def spread(items: Sequence[Item], few: int) -> list[Item]:
    """Return `few` of the items in `make test`, from the first to the last; all with `--whole`."""
    count = sample(min(few, len(items)), len(items))
    return [items[at * len(items) // count] for at in range(count)]
