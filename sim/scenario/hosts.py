"""The host of a resolved scenario: a profile, what the scenario changes, and Linux's defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import KIB, PAGE_BYTES
from sim.machine import watermarks
from sim.machine.work import KINDS
from sim.program.declared import Uncertain
from sim.scenario import defaults
from sim.scenario.profiles import DEFAULT_PROFILE, merged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.scenario.document import Document
    from sim.scenario.model import Host
from sim.scenario.prices import with_zeroing
from sim.scenario.swap import resolve_swap

HOST_UNCERTAIN: Final = {
    "profile": Uncertain(
        "assumed: your machine is none of those that were measured",
        instead=("generic", "ec2_hvm", "kvm_guest"),
        measure="how long a fork of a process of known size takes (latest_fork_usec, strace -T)",
        says="host",
    ),
}
"""What a host's keys say of themselves, as programs' parameters do."""

DISK_UNCERTAIN: Final = {
    "disk.latency": Uncertain(
        "assumed: half and four times as long", times=(0.5, 4), measure="r_await of `iostat -x`"
    ),
    "disk.bandwidth": Uncertain(
        "assumed: a quarter of it, and twice as much",
        times=(0.25, 2),
        measure="`fio --rw=read` with the data's block size",
    ),
}
"""The same for its disk, for runs that read from it."""


def resolve_host(
    given: Host, profile_name: str | None, profile: dict[str, Any], document: Document
) -> dict[str, Any]:
    """Return the host with every value filled in, sizes in bytes.

    Raises `ScenarioError` if neither the scenario nor the profile says how large it is, or what
    something costs.
    """
    host = merged(profile, given.model_dump(exclude_unset=True, exclude_none=True))
    for key in ("memory", "cpus", "hz", "kernel"):
        if key not in host:
            message = f"missing; the profile has no default, so add `{key}: ...`"
            raise document.error(("host", key), message)
    stages = host.get("stages", {})
    prices = with_zeroing(host.get("prices", {}), stages)
    missing = [key for key in KINDS if key not in prices]
    if missing:
        message = f"has no price for {', '.join(missing[:5])}; let it extend `{DEFAULT_PROFILE}`"
        raise document.error(("host", "profile"), message)
    memory = host["memory"] // PAGE_BYTES * PAGE_BYTES
    return {
        "profile": profile_name,
        "machine": " ".join(host.get("machine", "").split()),
        "memory": memory,
        "cpus": host["cpus"],
        "hz": host["hz"],
        "kernel": host["kernel"],
        "lru": host.get("lru", "classic"),
        "cgroup": host.get("cgroup", "v2"),
        **_memory_rules(host, memory),
        "nr_hugepages": host.get("nr_hugepages", 0),
        "kernel_stack": host.get("kernel_stack", defaults.kernel_stack_bytes(host["kernel"])),
        "overcommit": {"mode": 0, "ratio": 50, **host.get("overcommit", {})},
        "disk": {**defaults.DISK, **host.get("disk", {})},
        **resolve_swap(host),
        "prices": {key: prices[key] for key in KINDS},
        "stages": {key: stages[key] for key in KINDS if key in stages},
        "published": host.get("published", []),
    }


def managed_pages(memory_bytes: int, kernel_reserve_bytes: int) -> int:
    """Return how many pages the page allocator owns: memory less the kernel's own."""
    return (memory_bytes - kernel_reserve_bytes) // PAGE_BYTES


def huge_pool_pages(host: Mapping[str, Any]) -> int:
    """Return how many pages of 4 KiB a resolved host keeps as huge pages for hugetlb."""
    return int(host["nr_hugepages"]) * watermarks.PAGEBLOCK_PAGES


def most_huge_pages(host: Mapping[str, Any]) -> int:
    """Return how many huge pages fit into a resolved host's zones, above their min watermarks."""
    managed = managed_pages(host["memory"], host["kernel_reserve"])
    min_free = host["min_free"] // PAGE_BYTES
    reserved = max(1, -(-host["kernel_reserve"] // PAGE_BYTES))
    start = most = 0
    for zone in host["zones"]:
        end = start + zone["memory"] // PAGE_BYTES
        first = max(start, reserved)
        pages = max(0, end - first)
        low = watermarks.zone_watermarks(min_free, min(pages, managed), managed).min_pages
        blocks = end // watermarks.PAGEBLOCK_PAGES - -(-first // watermarks.PAGEBLOCK_PAGES)
        most += max(0, min(blocks, (pages - low) // watermarks.PAGEBLOCK_PAGES))
        start = end
    return most


def host_watermarks(host: Mapping[str, Any]) -> watermarks.Watermarks:
    """Return the watermarks of a resolved host as a whole."""
    pages = managed_pages(host["memory"], host["kernel_reserve"])
    return watermarks.zone_watermarks(
        host["min_free"] // PAGE_BYTES, pages, pages, host["watermark_scale_factor"]
    )


def reserved_pages(host: Mapping[str, Any]) -> int:
    """Return what the zones of a resolved host keep back together (``totalreserve_pages``)."""
    whole = max(1, managed_pages(host["memory"], host["kernel_reserve"]))
    least, factor = host["min_free"] // PAGE_BYTES, host["watermark_scale_factor"]
    taken = max(1, host["kernel_reserve"] // PAGE_BYTES)
    zones = []
    for zone in host["zones"]:
        pages = zone["memory"] // PAGE_BYTES
        own = max(0, pages - taken)
        taken -= pages - own
        zones.append((own, watermarks.zone_watermarks(least, own, whole, factor).high_pages))
    return watermarks.total_reserve_pages(zones)


def _memory_rules(host: Mapping[str, Any], memory: int) -> dict[str, Any]:
    """Return reserve, watermarks, per-CPU lists, zones and huge pages, in that order."""
    zones = host.get("zones") or [{"name": "Normal", "memory": memory}]
    thp = host.get("thp", "never")
    reserve = host.get("kernel_reserve", defaults.kernel_reserve_bytes(memory))
    managed = max(1, managed_pages(memory, reserve))
    n_zones = len(zones) if host.get("zones") else watermarks.x86_zones(memory // PAGE_BYTES)
    min_free_kb = watermarks.default_min_free_kb(managed, zones=n_zones, huge_pages=thp != "never")
    min_free = host.get("min_free", min_free_kb * KIB)
    factor = host.get("watermark_scale_factor", 10)
    dirty = host.get("dirty_ratio", 20)
    background = host.get("dirty_background_ratio", 10)
    largest = max(zone["memory"] for zone in zones) // PAGE_BYTES * managed
    zone_pages = min(managed, largest // max(1, memory // PAGE_BYTES))
    low = watermarks.zone_watermarks(min_free // PAGE_BYTES, zone_pages, managed, factor).low_pages
    batch = host.get("percpu_batch", watermarks.percpu_batch(zone_pages))
    high = watermarks.percpu_high(low, host["cpus"], batch) if batch else 0
    return {
        "kernel_reserve": reserve,
        "min_free": min_free,
        "watermark_scale_factor": factor,
        "dirty_ratio": dirty,
        "dirty_background_ratio": background if background < dirty else dirty // 2,
        "percpu_batch": batch,
        "percpu_high": host.get("percpu_high", high),
        "zones": zones,
        "thp": thp,
        "thp_sizes": host.get("thp_sizes", {}),
        "khugepaged": host.get("khugepaged", thp != "never"),
    }
