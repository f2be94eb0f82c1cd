"""How much there is to predict: what is little is not worth compiled code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sim.script.grammar import Operation

PLAIN_PAGES: Final = 10_000
"""Pages that plain Python takes about as long for as compiled code takes to be loaded."""


def named_pages(script: Iterable[Operation]) -> int:
    """Return how many pages the lines of a script are about, each line for itself."""
    return sum(1 + max(operation.pages, 0) for operation in script)


def plain_if_small(scripts: Iterable[Sequence[Operation]]) -> None:
    """Have scripts that are short carried out uncompiled; call it before the simulator is loaded.

    A first compilation takes a minute, and whoever tries a script of ten lines should not wait for
    it.  The decision is for the whole process: it is the command line's, not the library's.
    """
    if sum(named_pages(script) for script in scripts) <= PLAIN_PAGES:
        from sim.base.jit import stay_plain

        stay_plain()
