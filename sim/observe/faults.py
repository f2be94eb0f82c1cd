"""Which kinds of work count as which page faults, and what their metrics are called."""

from typing import Final

from sim.machine import work


def _metric(kind: str) -> str:
    """Return the name of the metric that counts the faults of a kind.

    >>> _metric("zero_fill"), _metric("cow_copy"), _metric("spurious")
    ('zero_fills', 'cow_copies', 'spurious_faults')
    """
    if kind.endswith("s"):
        return f"{kind}_faults"
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


FAULT_KINDS: Final[dict[str, tuple[int, ...]]] = {
    work.NAMES[lines[0]]: lines
    for lines in (
        (work.ZERO_FILL, work.HUGE_ZERO_FILL, work.READY_FILL),
        (work.ZERO_PAGE_MAP,),
        (work.COW_COPY, work.HUGE_COPY),
        (work.COW_REUSE,),
        (work.FILE_MAP,),
        (work.SPURIOUS,),
        (work.SWAP_MAP,),
    )
}
"""Kinds of minor faults, each named after its first kind of work, and all that count as it."""

FAULT_METRICS: Final = {kind: _metric(kind) for kind in FAULT_KINDS}
"""Metrics by kind of minor fault, in the order in which they are told."""

FAULT_LINES: Final = (
    *(line for lines in FAULT_KINDS.values() for line in lines),
    work.MAJOR_FAULT,
    work.SEGFAULT,
)
"""Kinds of work that are faults: their latencies are in ``fault_latency_ns``."""
