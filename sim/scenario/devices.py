"""What may be written of any device that pages are read from."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sim.scenario.quantities import ByteRate, Closed, Duration, within


class Device(Closed):
    """How fast a device is."""

    latency: Duration | None = Field(
        default=None, description="from a request to its first byte, if no other is in its way"
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
