"""The swap device of a host: what may be written of one, and what it means.

A size alone is a device of the usual kind.  Latency, bandwidth and queue depth are those of the
kind unless they are given; a device in memory (zram) has none, the CPU compresses.  It has a ratio
instead: what pages take there.  2 to 1 is what Linux expects (`admin-guide/blockdev/zram.rst`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from sim.base.units import MS, PAGE_BYTES, US
from sim.machine.spec import zram_page_bytes
from sim.scenario.devices import Device
from sim.scenario.quantities import Bytes, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.scenario.document import Document

_ASSUMED: Final[dict[str, dict[str, Any]]] = {
    "nvme": {"latency": 80 * US, "bandwidth": 2e9, "queue_depth": 64},
    "ssd": {"latency": 150 * US, "bandwidth": 500e6, "queue_depth": 32},
    "disk": {"latency": 8 * MS, "bandwidth": 150e6, "queue_depth": 1},
    "zram": {"latency": 0, "bandwidth": 1e15, "queue_depth": 1, "compression_ratio": 2.0},
}
DEFAULT_DEVICE: Final = "ssd"
_OF_DEVICES: Final = ("latency", "latency_sd", "bandwidth", "queue_depth")
"""What is said of a device that is not memory."""


class Swap(Device):
    """Where pages go that are in nobody's file, when memory runs short."""

    size: Bytes = Field(description="how much there is", examples=["4 GiB"])
    device: Literal["nvme", "ssd", "disk", "zram"] | None = Field(
        default=None, description="what it is on; `zram` keeps pages in memory, compressed"
    )

    compression_ratio: Annotated[float, within(1, PAGE_BYTES)] | None = Field(
        default=None,
        description="of `zram`: how many bytes of pages it has in one of memory (`zramctl`: DATA "
        "by TOTAL); 2 unless it is said",
    )

    zeros: Annotated[float, within(0, 1)] | None = Field(
        default=None,
        description="share of the pages swapped out that are nothing but zeros, 0 to 1, default 0; "
        "since 6.12 they are not written, on zram they take no memory",
    )

    @model_validator(mode="after")
    def _memory_has_no_latency(self) -> Self:
        given = [key for key in _OF_DEVICES if getattr(self, key) is not None]
        if self.device == "zram" and given:
            raise ValueError(
                f"zram is memory, the CPU compresses: it has no {given[0]}; take it out, and set "
                "prices.swap_read and prices.swap_write"
            )
        if self.device != "zram" and self.compression_ratio is not None:
            raise ValueError(
                "only zram compresses; take compression_ratio out, or write `device: zram`"
            )
        return self


def _size_alone(value: object) -> object:
    """Let ``swap: 4 GiB`` stand for ``swap: {size: 4 GiB}``."""
    return value if isinstance(value, dict | Swap) else {"size": value}


SwapSpace = Annotated[Swap, BeforeValidator(_size_alone)]


def resolve_swap(host: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a host's keys about swap come to, in base units; without swap only its size."""
    given = host.get("swap", {})
    size = given.get("size", 0) // PAGE_BYTES * PAGE_BYTES
    if size == 0:
        return {"swap": 0}
    device = given.get("device", DEFAULT_DEVICE)
    told = {key: given[key] for key in (*_ASSUMED[device], "latency_sd", "zeros") if key in given}
    source = given.get("source", f"assumed: {_ordinary(device, told)}")
    return {
        "swap": size,
        "swap_device": {"device": device, **_ASSUMED[device], **told, "source": source},
        "swappiness": host.get("swappiness", 60),
        "page_cluster": host.get("page_cluster", 3),
    }


def _ordinary(device: str, told: Mapping[str, Any]) -> str:
    """Return what is assumed of a device of which so much is told."""
    if device != "zram":
        return f"an ordinary {device} device"
    return "as was said" if told else "what Linux expects of zram"


def zram_bytes(host: Mapping[str, Any], size_bytes: int) -> int:
    """Return what a resolved host's zram takes for `size_bytes` of pages; 0 if it has none."""
    device = host["swap_device"] if host["swap"] else {}
    if "compression_ratio" not in device:
        return 0
    page_bytes = zram_page_bytes(device["compression_ratio"])
    written: float = 1 - device.get("zeros", 0)
    return round(-(-size_bytes // PAGE_BYTES) * page_bytes * written)


def check_swap(host: Mapping[str, Any], document: Document) -> None:
    """Refuse what is not simulated beside swap."""
    if host["swap"] == 0:
        return
    if host["thp"] != "never" or host["thp_sizes"]:
        message = (
            "swapping out huge pages is not simulated; set `thp: never` and leave `thp_sizes` out, "
            "or `swap: 0`"
        )
        raise document.error(("host", "swap"), message)
