"""The machine and its policies, explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.base.units import GIB, PAGE_BYTES, S, format_bytes, format_duration
from sim.engine.conditions import host_conditions, policy_conditions
from sim.machine.rules import rules_of
from sim.machine.rules.limits import R_GUESS_TOTAL
from sim.scenario.devices import latency_text
from sim.scenario.explain.section import Section
from sim.scenario.forms.figures import pages_text
from sim.scenario.forms.host import commit_limit_pages, data_pages, largest_request_pages
from sim.scenario.hosts import host_watermarks, huge_pool_pages
from sim.scenario.swap import zram_bytes
from sim.stats.theory import page_table_pages

if TYPE_CHECKING:
    from collections.abc import Mapping


def machine_section(host: Mapping[str, Any]) -> Section:
    """Return what the machine is: sizes, kernel, promises, disk."""
    profile = host["profile"] or "a file of its own"
    zones = ", ".join(f"{zone['name']} {format_bytes(zone['memory'])}" for zone in host["zones"])
    return Section(
        "Machine",
        (
            ("profile", f"{profile}: {host['machine']}" if host["machine"] else profile),
            ("memory", pages_text(host["memory"] // PAGE_BYTES, "frames")),
            ("zones", zones),
            ("CPUs", f"{host['cpus']}, tick every {format_duration(S // host['hz'])}"),
            ("kernel", f"Linux {host['kernel']}, huge pages {host['thp']}{_sizes(host)}"),
            *((each.where, each.what) for each in host_conditions(host)),
            ("reclaim", f"{host['lru']} LRU; control groups {host['cgroup']}"),
            ("overcommit", _overcommit(host)),
            ("disk", _disk(host["disk"])),
            *_swap(host),
        ),
    )


def _swap(host: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what swap there is; nothing where there is none."""
    if not host["swap"]:
        return []
    device = host["swap_device"]
    if device["device"] == "zram":
        speed = f"the CPU compresses, {device['compression_ratio']:g} to 1"
    else:
        latency, rate = latency_text(device), format_bytes(device["bandwidth"])
        speed = f"{latency} and {rate}/s, {device['queue_depth']} requests at a time"
    said = f"{format_bytes(host['swap'])} on {device['device']}, swappiness {host['swappiness']}: "
    zeros = device.get("zeros", 0)
    if zeros:
        speed += f"; {zeros:.3g} of the pages are zeros"
    return [("swap", f"{said}{speed} ({device['source']})")]


def _disk(disk: Mapping[str, Any]) -> str:
    return (
        f"{latency_text(disk)} and {format_bytes(disk['bandwidth'])}/s, "
        f"{disk['queue_depth']} requests at a time; {format_bytes(disk['read_ahead'])} read ahead "
        f"({disk['source']})"
    )


def _overcommit(host: Mapping[str, Any]) -> str:
    mode, ratio = host["overcommit"]["mode"], host["overcommit"]["ratio"]
    largest = largest_request_pages(host)
    if largest is None:
        return f"mode {mode}: refuses nothing"
    if mode == 2:
        limit = format_bytes(commit_limit_pages(host) * PAGE_BYTES)
        whose = "the kernel's, nor huge pages" if host["nr_hugepages"] else "the kernel's"
        return (
            f"mode 2: promises {limit} in all (CommitLimit: {ratio} % of the memory that is not "
            f"{whose}), of which {pages_text(largest)} to processes"
        )
    if rules_of(host["kernel"]) & R_GUESS_TOTAL:
        return f"mode 0: refuses a single request of more than {pages_text(largest)}"
    return (
        "mode 0: before 5.2 it refuses a request that free memory and the page cache do not hold "
        f"at that moment: {pages_text(largest)} while nothing else runs"
    )


def not_for_data_section(host: Mapping[str, Any]) -> Section:
    """Return what takes memory besides data."""
    min_pages = host_watermarks(host).min_pages
    tables_per_gib = page_table_pages(GIB // PAGE_BYTES) * PAGE_BYTES
    return Section(
        "Memory that is not for data",
        (
            (
                "kernel",
                f"{format_bytes(host['kernel_reserve'])}: page structures, text, slab (assumed, "
                "unless the scenario says otherwise)",
            ),
            ("min watermark", f"{pages_text(min_pages)}: short of memory below it"),
            *_huge_pool(host),
            *_zram(host),
            (
                "page tables",
                f"{format_bytes(tables_per_gib)} per GiB of data in every process that maps it",
            ),
            ("kernel stacks", f"{format_bytes(host['kernel_stack'])} per task"),
            ("left for data", f"{pages_text(data_pages(host))} if one process had it all, ±1 %"),
        ),
    )


def _huge_pool(host: Mapping[str, Any]) -> list[tuple[str, str]]:
    pages = huge_pool_pages(host)
    said = (
        f"{host['nr_hugepages']:,} of 2 MiB, {format_bytes(pages * PAGE_BYTES)}: for hugetlb only"
    )
    return [("huge pages", said)] if pages else []


def _zram(host: Mapping[str, Any]) -> list[tuple[str, str]]:
    size = zram_bytes(host, host["swap"])
    said = f"{format_bytes(size)} once all of its {format_bytes(host['swap'])} is in use, 0 before"
    return [("zram", f"{said} anything is swapped out; no group is charged for it")] if size else []


def watermarks_section(host: Mapping[str, Any]) -> Section:
    """Return the watermarks, and what the per-CPU lists may hold."""
    marks = host_watermarks(host)
    what = "drops clean pages of files" + (", or swaps others out" if host["swap"] else "")
    lists = "none: every page comes out of the zone"
    if host["percpu_batch"]:
        lists = (
            f"{host['percpu_batch']} pages at a time, at most {host['percpu_high']:,} a CPU "
            f"({format_bytes(host['percpu_high'] * host['cpus'] * PAGE_BYTES)} in all)"
        )
        if len(host["zones"]) > 1:
            lists += "; that is the largest zone, others have lists of their own"
    return Section(
        "Watermarks and per-CPU lists",
        (
            ("min", pages_text(marks.min_pages)),
            ("low", f"{pages_text(marks.low_pages)}: kswapd wakes, and {what}"),
            ("high", f"{pages_text(marks.high_pages)}: and sleep again"),
            ("per-CPU lists", lists),
        ),
    )


def policies_section(policy: Mapping[str, Any], host: Mapping[str, Any]) -> Section:
    """Return who decides what."""
    scheduler = policy["scheduler"]
    tick_ns = S // host["hz"]
    slice_ns = -(-scheduler["quantum"] // tick_ns) * tick_ns
    scheduling = scheduler["kind"]
    if scheduling != "fifo":
        quantum = format_duration(scheduler["quantum"])
        scheduling += f", quantum {quantum}, in ticks {format_duration(slice_ns)}"
    memory = {"oom": "a process is killed", "wait": "processes wait in line"}[policy["memory"]]
    fork = {
        "cow": "pages are shared until written",
        "eager": "all pages are copied at once",
        "on_demand": "leaf page tables are shared until changed, pages until written",
        "async": "the child copies the leaf page tables; pages are shared until written",
    }
    leaves = {
        "linux": "as Linux chooses (classic LRU)"
        if host["lru"] == "classic"
        else "as Linux chooses by its classic LRU (MGLRU is not simulated)",
        "fifo": "who came first (textbook)",
        "clock": "who came first, unless used since the hand passed (textbook)",
        "lru": "whose last use is longest ago, every use seen (textbook)",
        "mglru_like": "who was not used since two looks at all pages (an approximation of MGLRU)",
        "random": "anybody, by chance (textbook)",
    }
    zeroing = policy["zeroing"]
    taken = "when memory is mapped" if zeroing == "eager" else "at first touch"
    zeroed = "then"
    if zeroing == "at_free":
        zeroed = "when they are given back, by who does that (init_on_free)"
    elif isinstance(zeroing, dict):
        zeroed = f"ahead by idle CPUs, up to {format_bytes(zeroing['idle'])}; the rest then"
    return Section(
        "Policies",
        (
            ("CPU", scheduling),
            ("short of memory", memory),
            ("a page leaves", leaves[policy["replacement"]]),
            *((each.where, each.what) for each in policy_conditions(policy)),
            ("fork", fork[policy["fork"]]),
            ("frames are taken", taken),
            ("frames are zeroed", zeroed),
        ),
    )


def _sizes(host: Mapping[str, Any]) -> str:
    sizes = "".join(f", {size} {mode}" for size, mode in host["thp_sizes"].items())
    return sizes + (", khugepaged every 10 s" if host["khugepaged"] else "")
