"""When another replication would tell nothing: rules that depend on results only.

Runs are added in fixed rounds (first `least`, then up to `most`), never one by one as they come
in, so that the number of workers and their speed cannot change which runs are made.
"""

from collections.abc import Sequence

from sim.errors import InsufficientDataError
from sim.stats.estimate import mean_over_replications
from sim.study.need import Need


def host_is_sure(
    ran_out: Sequence[bool], *, usable_bytes: int, need: Need | None, margin: float
) -> bool:
    """Return whether more runs on a host would only repeat what is known.

    =====================================  ===================================
    the runs so far and the host           another run
    =====================================  ===================================
    disagree on whether memory ran out     tells: chance decides
    agree, need unknown                    tells: nothing says how far off it is
    all ran out, host may be large enough  tells
    none ran out, host may be too small    tells
    agree with a host out of the band      repeats: sure
    =====================================  ===================================

    The band reaches from the lower to the upper tolerance bound of the need, and at least
    `margin` of the need to each side.
    """
    if not ran_out or len(set(ran_out)) > 1 or need is None:
        return False
    low = min(need.low_bytes, need.mean.mean * (1 - margin))
    high = max(need.bound.bound, need.mean.mean * (1 + margin))
    return usable_bytes < low if ran_out[0] else usable_bytes > high


def need_is_sure(need: Need | None, precision: float) -> bool:
    """Return whether the bound of a need is at most `precision` of the mean above it.

    With few runs the bound is far above the mean, however alike they are: so where chance hardly
    matters, few runs tell it, and elsewhere more runs are made.
    """
    return need is not None and need.bound.bound - need.mean.mean <= precision * need.mean.mean


def mean_is_sure(values: Sequence[float], *, precision: float, confidence: float) -> bool:
    """Return whether the half-width of the mean is at most `precision` of it."""
    try:
        estimate = mean_over_replications(values, confidence=confidence)
    except InsufficientDataError:
        return False
    return estimate.half_width <= precision * abs(estimate.mean)
