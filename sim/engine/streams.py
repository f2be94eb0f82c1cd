"""An access stream as a task's row describes it: checked, and its lists put where the burst sees.

Whatever a program hands to `read` or `write` is looked at here, before anything of it reaches
compiled code: a number that is out of range is refused with EINVAL, and named.
"""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any, Final

from sim.base.errors import Errno, Refused
from sim.base.text import shown
from sim.kernel import stream as codes
from sim.program.patterns import (
    SEQUENTIAL,
    Every,
    HotCold,
    Listed,
    Pattern,
    Sequential,
    Uniform,
    check_arrivals,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sim.engine.lists import ListStore
    from sim.machine.layout.fields import Access
    from sim.program.api import Region

MOST: Final = 1 << 60
"""Largest number that a call takes: sums of a few must not overflow."""
PATTERN_CODES: Final[dict[type, int]] = {
    Sequential: codes.SEQUENTIAL,
    Uniform: codes.UNIFORM,
    HotCold: codes.HOT_COLD,
    Listed: codes.LISTED,
}


def whole(call: str, name: str, value: Any, low: int = 0, high: int = MOST) -> int:
    """Return `value` as a whole number from `low` to `high`, or refuse `call`.

    Raises `TypeError` and `ValueError` for what no kernel could even be asked: that is a mistake in
    the program, not a result.
    """
    if type(value) is int and low <= value <= high:
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{call}: {name} must be a whole number, not {shown(value)}") from None
    if not -MOST <= number <= MOST:
        raise ValueError(f"{call}: {name}: {shown(number)} is too large")
    if not low <= number <= high:
        least = f">= {low}" if number < low else f"<= {high}"
        raise Refused(Errno.EINVAL, call, f"{name} must be {least}, got {number}")
    return number


def stream(
    store: ListStore,
    call: str,
    region: Region,
    *,
    first: int = 0,
    pages: int | None = None,
    pattern: Pattern = SEQUENTIAL,
    arrivals: NDArray[np.int64] | Every | None = None,
    span: int = 1,
    per_request: int = 1,
    cpu_ns: int = 0,
    drop: bool = False,
) -> tuple[Access, list[int]]:
    """Return the columns of an access stream, and the segments of `store` that it uses.

    Columns as in `NO_OPERATION` are left out, but for `accesses`: 0 means nothing to do.  Raises
    `Refused`, and then uses nothing of `store`.
    """
    first = whole(call, "first", first, 0, region.pages)
    most = region.pages - first
    pages = most if pages is None else whole(call, "pages", pages, 0, most)
    fields: Access = {"start": region.start_vpn + first, "pages": pages}
    if span != 1:
        fields["span"] = span = whole(call, "span", span, 1)
    if per_request != 1:
        fields["per_request"] = per_request = whole(call, "per_request", per_request, 1)
    if drop:
        fields["drop"] = 1
    if cpu_ns != 0:
        fields["access_cpu_ns"] = whole(call, "cpu_ns", cpu_ns)
    if type(pattern) is Sequential:
        fields["accesses"] = pages // span
    else:
        _add_pattern(fields, call, pattern, region, span)
    if fields["accesses"] == 0:
        return fields, []
    if arrivals is not None:
        _add_arrivals(fields, call, arrivals, -(-fields["accesses"] // per_request))
    segments = []
    if isinstance(pattern, Listed):
        fields["pages_at"] = store.put(pattern.pages)
        segments.append(fields["pages_at"])
    if arrivals is not None and not isinstance(arrivals, Every):
        fields["arrivals_at"] = store.put(arrivals)
        segments.append(fields["arrivals_at"])
    return fields, segments


def _add_pattern(
    fields: Access, call: str, pattern: Uniform | HotCold | Listed, region: Region, span: int
) -> None:
    """Say how many accesses a pattern makes, and where they go."""
    if type(pattern) not in PATTERN_CODES:
        known = ", ".join(kind.__name__ for kind in PATTERN_CODES)
        raise TypeError(f"{call}: pattern must be one of {known}, not {shown(pattern)}")
    fields["pattern"] = PATTERN_CODES[type(pattern)]
    pages = fields["pages"]
    groups = pages // span
    if isinstance(pattern, Listed):
        _check_listed(call, pattern, region, span)
        fields["accesses"] = len(pattern.pages)
        fields["start"] = int(region.start_vpn)
        return
    count = whole(call, "count", pattern.count)
    if groups == 0:
        if count > 0 and pages > 0:
            why = f"an access spans {span} pages, in a range of {pages}"
            raise Refused(Errno.EINVAL, call, why)
        count = 0
    elif isinstance(pattern, HotCold):
        hot = pattern.hot_pages(groups)
        fields["hot_groups"] = hot
        fields["hot_share"] = round(pattern.hot_share * 2**32) if hot < groups else 2**32
    fields["accesses"] = count


def _check_listed(call: str, pattern: Listed, region: Region, span: int) -> None:
    """Refuse page numbers that reach out of their region."""
    if not pattern.pages.size:
        return
    largest = int(pattern.pages.max())
    if int(pattern.pages.min()) < 0 or largest + span > region.pages:
        wrong = largest if largest + span > region.pages else int(pattern.pages.min())
        reach = f" and the {span - 1} behind it" if span > 1 else ""
        why = f"page {wrong} of the list{reach} is not in a region of {region.pages} pages"
        raise Refused(Errno.EINVAL, call, why)


def _add_arrivals(
    fields: Access, call: str, arrivals: NDArray[np.int64] | Every, requests: int
) -> None:
    """Say how the `requests` requests of a stream arrive."""
    if isinstance(arrivals, Every):
        first_ns = whole(call, "first_ns", arrivals.first_ns)
        every_ns = whole(call, "interval_ns", arrivals.interval_ns, 1)
        if first_ns + (requests - 1) * every_ns > MOST:
            why = f"the last of {requests} arrivals is {every_ns} ns x {requests - 1} away"
            raise Refused(Errno.EINVAL, call, why)
        fields |= {"arrivals": 1, "arrival_first": first_ns, "arrival_every": every_ns}
        return
    try:
        check_arrivals(arrivals)
    except ValueError as error:
        raise Refused(Errno.EINVAL, call, str(error)) from None
    if len(arrivals) < requests:
        why = f"{requests} requests need as many arrivals, got {len(arrivals)}"
        raise Refused(Errno.EINVAL, call, why)
    if int(arrivals[-1]) > MOST:
        raise Refused(Errno.EINVAL, call, f"arrivals must be <= {MOST} ns, got {arrivals[-1]}")
    fields["arrivals"] = 2
