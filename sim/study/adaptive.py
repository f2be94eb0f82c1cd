"""When another replication would tell nothing: rules that depend on results only.

Runs are added in fixed rounds (first `least`, then up to `most`), never one by one as they come
in, so that the number of workers and their speed cannot change which runs are made.  Results that
decide whether there are more of them cost confidence: a bound whose number of runs was decided so
is worked out at ``1 - (1 - confidence) / 2``, so that both looks together keep what is claimed.
"""

from collections.abc import Sequence

from sim.base.errors import InsufficientDataError
from sim.stats.estimate import mean_over_replications
from sim.stats.proportion import level_of_a_look
from sim.study.need import Need
from sim.study.percentiles import (
    distributions_of,
    percent_of,
    percentile_limits,
    pooled_percentile,
)
from sim.study.records import Record
from sim.study.store import Store
from sim.study.summary import values_of


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
    low = min(need.low_bytes, need.mean_bytes * (1 - margin))
    high = max(need.bound.bound, need.mean_bytes * (1 + margin))
    return usable_bytes < low if ran_out[0] else usable_bytes > high


def need_is_sure(need: Need | None, precision: float) -> bool:
    """Return whether a need's bound is at most `precision` of the mean above it.

    By normal theory the bound of few runs is far above the mean, however alike they are: so where
    chance hardly matters, few runs tell it, and elsewhere more runs are made.  Runs too few for
    the share that was asked for are never enough.
    """
    if need is None or need.bound.method == "largest value":
        return False
    return need.bound.bound - need.mean_bytes <= precision * need.mean_bytes


def figure_is_sure(
    store: Store,
    records: Sequence[Record],
    metric: str,
    *,
    precision: float,
    confidence: float,
    looks: int = 1,
) -> bool:
    """Return whether the figure that is told of a metric is sure to `precision` of itself.

    That is the mean over runs; of a percentile it is that of all values, whose limits count.
    """
    if percent_of(metric) is None:
        values = values_of(records, metric)
        return mean_is_sure(values or [], precision=precision, confidence=confidence, looks=looks)
    try:
        told = distributions_of(store, records)
        figure = pooled_percentile(told, records, metric)
        low, high = percentile_limits(told, metric, level_of_a_look(confidence, looks))
    except InsufficientDataError:
        return False
    return max(high - figure, figure - low) <= precision * figure


def mean_is_sure(
    values: Sequence[float], *, precision: float, confidence: float, looks: int = 1
) -> bool:
    """Return whether the half-width of the mean is at most `precision` of it."""
    try:
        level = level_of_a_look(confidence, looks)
        estimate = mean_over_replications(values, confidence=level)
    except InsufficientDataError:
        return False
    return estimate.half_width <= precision * abs(estimate.mean)
