"""What a study says in words: the answer, the bill, and the lines to set.

Every figure here comes from the tables; nothing is estimated anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sim.scenario.study import Answer
from sim.stats.proportion import format_percent
from sim.study.need import Need
from sim.study.plan import Axis, Point
from sim.units import MIB, PAGE_BYTES, format_bytes, format_duration

CHARGED_IN_PAGES: Final = 64
"""A control group is charged in batches of this many pages a CPU."""

PART_WORDS: Final = {
    "cow_copies": ("copies", "pages written while the child still shares them"),
    "page_tables": ("page tables", "those of the parent and of its children"),
    "kernel_stacks": ("kernel stacks", "one a task"),
    "page_cache": ("page cache", "file pages in use"),
}


@dataclass(frozen=True, slots=True)
class Item:
    """One part of the bill."""

    name: str
    size_bytes: int
    note: str

    def plain(self) -> dict[str, Any]:
        """Return the item as JSON-able values, its size also as text."""
        return {
            "name": self.name,
            "bytes": self.size_bytes,
            "text": format_bytes(self.size_bytes),
            "note": self.note,
        }


def bill(
    need: Need, host_bytes: int, scenario: Mapping[str, Any], data_bytes: int | None, event: str
) -> list[Item]:
    """Return what a host's memory is for, from the data set up; the items add up to the host.

    `scenario` is the point's on a host of `host_bytes`.  Without `data_bytes` the data and the
    allocator's slack are one item.
    """
    parts = {name: round(value) for name, value in need.parts_bytes.items()}
    data = parts.pop("data")
    if data_bytes is not None and data_bytes <= data:
        items = [
            Item("data set", data_bytes, "as the application counts it"),
            Item("slack", data - data_bytes, "what the allocator and the process add to the data"),
        ]
    else:
        items = [Item("data", data, "pages of the processes, not counting copies")]
    items += [Item(*_named(part, size)) for part, size in parts.items() if size]
    host = scenario["host"]
    others = [
        Item("kernel", int(host["kernel_reserve"]), "struct pages, text, slab: not for processes"),
        Item("min watermark", int(host["min_free"]), "below this a host counts as short"),
    ]
    left = host_bytes - sum(item.size_bytes for item in (*items, *others))
    share = f"{100 * need.bound.content:g} %"
    chance = Item("margin", left, f"from the mean to the bound for {share} of {event}, rounded up")
    return [item for item in (*items, chance, *others) if item.size_bytes]


def _named(part: str, size_bytes: int) -> tuple[str, int, str]:
    name, note = PART_WORDS[part]
    return name, size_bytes, note


def settings(
    need: Need, host_bytes: int, scenario: Mapping[str, Any], data_bytes: int | None
) -> list[dict[str, str]]:
    """Return the lines to set, each with where it goes and why it is that figure."""
    limit_bytes = _whole_mib(
        need.bound.bound + CHARGED_IN_PAGES * PAGE_BYTES * int(scenario["host"]["cpus"])
    )
    limit_mib = limit_bytes // MIB
    lines = [
        _line(
            "Memory of the host",
            f"{host_bytes // MIB} MiB",
            "or more: with the kernel's share and the min watermark, which no process gets",
        ),
        _line(
            "Limit of the container",
            f"docker run --memory={limit_mib}m …\n"
            f"MemoryMax={limit_mib}M    # systemd\n"
            f"memory: {limit_mib}Mi     # Kubernetes",
            "a control group is charged for the data, the copies, page tables and kernel stacks",
        ),
    ]
    if _runs_program(scenario, "redis"):
        if data_bytes:
            lines.append(
                _line(
                    "redis.conf",
                    f"maxmemory {data_bytes // MIB}mb",
                    "the data set itself; what it takes beyond that is in the limit above",
                )
            )
        lines.append(
            _line(
                "/etc/sysctl.conf",
                "vm.overcommit_memory = 1",
                "else the kernel may refuse the fork of a large process although memory suffices",
            )
        )
    held = need.parts_bytes["data"] * (1 + 1 / 512)
    extra = _whole_mib(max(need.bound.bound - held, 0.0))
    if extra:
        lines.append(
            _line(
                "Alert, outside a save",
                f"node_memory_MemAvailable_bytes < {extra}   # {format_bytes(extra)}",
                "what a save takes on top of the data: with less, the next one may not fit",
            )
        )
    return lines


def _runs_program(scenario: Mapping[str, Any], program: str) -> bool:
    return any(
        process.get("program", name) == program
        for name, process in scenario.get("processes", {}).items()
    )


def _line(where: str, text: str, why: str) -> dict[str, str]:
    return {"where": where, "text": text, "why": why}


def _whole_mib(size_bytes: float) -> int:
    return -(-int(size_bytes) // MIB) * MIB


def bound_words(asked: Answer) -> str:
    """Return what the bound covers: ``99 % of saves at 95 % confidence``."""
    return f"{100 * asked.content:g} % of {asked.event} at {100 * asked.confidence:g} % confidence"


def place_text(axes: Sequence[Axis], point: Point) -> str:
    """Return where a point stands, in words: ``data set 16 GiB, writes 20000/s``."""
    return ", ".join(f"{axis.label} {name}" for axis, name in zip(axes, point.levels, strict=True))


def need_sentences(
    need: Need,
    host_bytes: int,
    times_data: Mapping[int, float],
    data_bytes: int | None,
    where: str,
    words: Mapping[str, str],
) -> list[str]:
    """Return the answer to "how much memory", first the figure, then how far it reaches."""
    content = f"{100 * need.bound.content:g} % of {words['event']}"
    confidence = f"at {100 * need.bound.confidence:g} % confidence"
    ratio = f", {host_bytes / data_bytes:.2f} times the data" if data_bytes else ""
    subject = words["subject"][:1].upper() + words["subject"][1:]
    sentences = [
        f"{subject} ({where}) needs {format_bytes(host_bytes)} of memory{ratio}: {content} "
        f"stay within {format_bytes(need.bound.bound)} of it, {confidence} ({need.bound.n} runs, "
        f"{need.bound.method}); the rest is for the kernel."
    ]
    if len(times_data) > 1:
        low, high = min(times_data.values()), max(times_data.values())
        sentences.append(f"Over the whole study it needs {low:.2f} to {high:.2f} times its data.")
    return sentences


def fork_sentence(mean_ns: float, half_width_ns: float, longest_ns: float, runs: int) -> str:
    """Return how long the fork stalls its caller."""
    if not half_width_ns and longest_ns == mean_ns:
        return f"The fork stalls it for {format_duration(mean_ns)}, the same in all {runs} runs."
    return (
        f"The fork stalls it for {format_duration(mean_ns)} ± {format_duration(half_width_ns)} on "
        f"average (95 % CI, {runs} runs), {format_duration(longest_ns)} at the longest."
    )


def check_sentences(oom: Any) -> list[str]:
    """Return how the answer fared on hosts of about its size.

    Points share their random numbers, so the bound quoted is that of a single point.
    """
    if oom.empty:
        return []
    sentences = []
    for factor, rows in oom[oom["part"] == "around"].groupby("factor", sort=True):
        events, runs = int(rows["ran_out"].sum()), int(rows["runs"].sum())
        host = "exactly that size" if factor == 1 else f"{factor:g} times that size"
        per_point = f"{int(rows['runs'].min())} at each of {len(rows)} points"
        if len(rows) == 1:
            per_point = "one point"
        bound = ""
        if events == 0:
            worst = format_percent(float(rows["high"].max()))
            bound = f"; so below {worst} at {100 * float(rows['confidence'].max()):g} %"
            bound += "" if len(rows) == 1 else " for each"
        sentences.append(
            f"Tried on hosts of {host}, memory ran out in {events} of {runs} runs "
            f"({per_point}{bound})."
        )
    return sentences


def agreement_sentences(agree: int, runs: int) -> list[str]:
    """Return whether runs on tight hosts ended as the need of the same replication says."""
    if not runs:
        return []
    how_many = f"all {runs}" if agree == runs else f"{agree} of {runs}"
    return [
        f"In {how_many} runs on hosts of chosen sizes, memory ran out exactly if the need that the "
        "same replication had on a roomy host is more than that host leaves for processes."
    ]
