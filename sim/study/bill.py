"""The bill of a host, item by item, and the lines to set.

Every figure here comes from the tables; nothing is estimated anew.  What a program leaves out has
an item of its own, with "0, not given" where nobody gave it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sim.base.units import MIB, PAGE_BYTES, format_bytes
from sim.machine.parts import PARTS
from sim.program.declared import HEADROOM, Line, advice_of
from sim.program.signature import keyword_arguments
from sim.study.inputs import Omission
from sim.study.need import Need

CHARGED_IN_PAGES: Final = 64
"""A control group is charged in batches of this many pages a CPU."""

PART_NOTES: Final = {
    "data": "pages of the processes, not counting copies",
    "cow_copies": "pages written while the child still shares them",
    "page_tables": "those of the parent and of its children",
    "kernel_stacks": "16 KiB for every task",
    "page_cache": "file pages in use",
    "shared_memory": "anonymous memory that processes share, such as shared buffers",
    "hugetlb": "the pool of huge pages (vm.nr_hugepages), free for nobody else",
    "zram": "pages that were swapped out to zram, compressed: no group is charged for them",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One part of the bill; one that is `left_out` of the model is taken as it is `given`."""

    name: str
    size_bytes: int
    note: str
    left_out: bool = False
    given: bool = True

    def plain(self) -> dict[str, Any]:
        """Return the item as JSON-able values, its size also as text."""
        not_given = self.left_out and not self.given
        return {
            "name": self.name,
            "bytes": self.size_bytes,
            "text": "0, not given" if not_given else format_bytes(self.size_bytes),
            "note": self.note,
            "left_out": self.left_out,
        }


def bill(
    need: Need,
    host_bytes: int,
    scenario: Mapping[str, Any],
    data_bytes: int | None,
    event: str,
    omissions: Sequence[Omission] = (),
) -> list[Item]:
    """Return what a host's memory is for, from the data set up; the items add up to the host.

    `scenario` is the point's on a host of `host_bytes`.  Without `data_bytes` the data and the
    allocator's slack are one item.  `omissions` are taken out of the part that has them.
    """
    parts = {name: round(value) for name, value in need.parts_bytes.items()}
    given = []
    for omission in omissions:
        size = min(omission.size_bytes, parts[omission.part])
        note = f"to measure: {omission.measure}"
        if omission.passes and size and parts["cow_copies"]:  # more is needed later, by a child
            size, note = 0, f"{format_bytes(size)}, gone when most is needed"
        parts[omission.part] -= size
        said = omission.size_bytes > 0
        given.append(Item(omission.what, size, note, left_out=True, given=said))
    data = parts.pop("data")
    if data_bytes is not None and data_bytes <= data:
        items = [
            Item("data set", data_bytes, "as the application counts it"),
            Item("slack", data - data_bytes, "what the allocator and the process add to the data"),
        ]
    else:
        items = [Item(PARTS["data"], data, PART_NOTES["data"])]
    items += [Item(PARTS[p], size, PART_NOTES[p]) for p, size in parts.items() if size]
    host = scenario["host"]
    others = [
        Item("kernel", int(host["kernel_reserve"]), "struct pages, text, slab: not for processes"),
        Item("min watermark", int(host["min_free"]), "below this a host counts as short"),
    ]
    left = host_bytes - sum(item.size_bytes for item in (*items, *given, *others))
    share = f"{100 * need.bound.content:g} %"
    chance = Item("margin", left, f"from the mean to the bound for {share} of {event}, rounded up")
    whole = (*items, *given, chance, *others)
    return [item for item in whole if item.size_bytes or item.left_out]


def settings(
    need: Need,
    host_bytes: int,
    scenario: Mapping[str, Any],
    programs: Mapping[str, Callable[..., Any]],
) -> list[dict[str, str]]:
    """Return the lines to set, each with where it goes and why it is that figure.

    What is pasted leaves `HEADROOM` above the figure that it is made from, and says so.
    """
    charged = need.bound.bound + CHARGED_IN_PAGES * PAGE_BYTES * int(scenario["host"]["cpus"])
    limit_mib = _whole_mib(charged * (1 + HEADROOM)) // MIB
    room = f"{100 * HEADROOM:g} % headroom"
    lines = [
        Line(
            "Memory of the host",
            f"{host_bytes // MIB} MiB",
            "or more: the answer as it is, without headroom; with the kernel's share and the min "
            "watermark, which no process gets",
        ),
        Line(
            "Limit of the container",
            f"docker run --memory={limit_mib}m …\n"
            f"# systemd\nMemoryMax={limit_mib}M\n"
            f"# Kubernetes, resources.limits\nmemory: {limit_mib}Mi",
            f"{format_bytes(charged)} for data, copies, page tables and kernel stacks, which are "
            f"charged to the group, and {room} ({format_bytes(charged * HEADROOM)}) for what is "
            "not in the bill: buffers and cache not given, growth and model error",
        ),
    ]
    for name, process in scenario.get("processes", {}).items():
        program = programs.get(process.get("program", name))
        if program is not None:
            lines += advice_of(program, keyword_arguments(program, process))
    held = need.parts_bytes["data"] * (1 + 1 / 512)
    extra = max(need.bound.bound - held, 0.0)
    if _whole_mib(extra):
        alert = _whole_mib(extra * (1 + HEADROOM))
        lines.append(
            Line(
                "Alert, before a fork",
                f"node_memory_MemAvailable_bytes < {alert}",
                f"{format_bytes(extra)} is what a fork and its copies take on top of the data, and "
                f"{room}: with less, the next one may not fit",
            )
        )
    return [{"where": line.where, "text": line.text, "why": line.why} for line in lines]


def _whole_mib(size_bytes: float) -> int:
    return -(-int(size_bytes) // MIB) * MIB
