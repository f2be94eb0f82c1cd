"""What may be written of any device that pages are read from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from sim.base.units import format_duration
from sim.cost.quantiles import PS_PER_NS, check_lognormal
from sim.scenario.quantities import ByteRate, Closed, Duration, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.scenario.document import Document


class Device(Closed):
    """How fast a device is."""

    latency: Duration | None = Field(
        default=None, description="from a request to its first byte, if no other is in its way"
    )
    latency_sd: Duration | None = Field(
        default=None,
        description="standard deviation of the latency, a lognormal with the mean `latency` "
        "(`fio`: avg and stdev of clat); all requests take the same unless it is said",
    )
    bandwidth: Annotated[ByteRate, within(1, 1e15)] | None = Field(
        default=None, description="bytes a second, of all requests together"
    )
    queue_depth: Annotated[int, within(1, 65_536)] | None = Field(
        default=None, description="requests that it works on at a time"
    )
    source: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="where latency and bandwidth come from; `assumed: ...` if guessed"
    )


def latency_text(device: Mapping[str, Any]) -> str:
    """Return the latency of a resolved device as people read it."""
    said = format_duration(device["latency"])
    sd_ns = device.get("latency_sd", 0)
    return f"{said} (sd {format_duration(sd_ns)})" if sd_ns else said


def check_latency(device: Mapping[str, Any], key: str, document: Document) -> None:
    """Refuse a resolved device whose latency has no such distribution; `key` is the host's."""
    mean_ns, sd_ns = device["latency"], device.get("latency_sd", 0)
    try:
        check_lognormal(mean_ns * PS_PER_NS, sd_ns * PS_PER_NS)
    except ValueError as error:
        message = (
            f"{format_duration(sd_ns)} beside a latency of {format_duration(mean_ns)}: {error}"
        )
        raise document.error(("host", key, "latency_sd"), message) from None
