"""What one run says of the mean latency of a request in the long run, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import format_duration
from sim.machine.layout import FIRST_BATCH, MOST_BATCHES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.stats.batch_means import LongRun

LEAST_REQUESTS: Final = FIRST_BATCH * MOST_BATCHES // 2
WARM_UP: Final = "all of it looks like warm-up"
_WARM_FROM: Final = 0.1
"""From this share on a cut by MSER-5 is worth a word; a steady run is cut by a few hundredths."""


def request_long_run(document: Mapping[str, Any]) -> LongRun | None:
    """Return what a run's batches of requests say, in ns; None if they are insufficient.

    A document of a version that kept no batches says nothing.
    """
    batches = document.get("request_batches", {"each": 1, "sums_ns": []})
    if len(batches["sums_ns"]) < MOST_BATCHES // 2:
        return None
    from sim.stats.batch_means import long_run  # with SciPy: not for every short run

    return long_run([total / batches["each"] for total in batches["sums_ns"]])


def long_run_words(document: Mapping[str, Any]) -> str:
    """Return what is told of the mean latency of requests in the long run; empty without any."""
    count = document["metrics"]["request_latency_ns"]["count"]
    if not count or "request_batches" not in document:
        return ""
    found = request_long_run(document)
    if found is None:
        return f"insufficient: {count:,} requests, {LEAST_REQUESTS:,} are needed"
    each = document["request_batches"]["each"]
    cut = found.n_cut or 0
    if found.verdict == "warming up":
        return f"{WARM_UP}: MSER-5 would cut {cut / found.n_batches:.0%} of it"
    warm = f"; the first {cut * each:,} requests look like warm-up (MSER-5; run.warmup)"
    warm = warm if cut >= _WARM_FROM * found.n_batches else ""
    if found.low is None or found.high is None:
        return f"correlated: {found.correlation:.2f} between batches of {each:,} requests{warm}"
    low, high = format_duration(round(found.low)), format_duration(round(found.high))
    return f"{low} to {high} (batch means, about 95 %){warm}"


def long_run_facts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same as JSON-able values: times in ns, `requests_cut` by MSER-5."""
    found = request_long_run(document)
    if found is None:
        return {"verdict": "insufficient"}
    return {
        "verdict": found.verdict,
        "mean_ns": found.mean,
        "low_ns": found.low,
        "high_ns": found.high,
        "requests_cut": (found.n_cut or 0) * document["request_batches"]["each"],
        "correlation": found.correlation,
    }
