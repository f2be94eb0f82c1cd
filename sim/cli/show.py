"""Results for people: tables on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from sim.cost.bounds import PRICED, mean_range
from sim.stats.enough import enough_for, percentile_needs
from sim.units import PAGE_BYTES, format_bytes, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sim.scenario.explain import Section

_WIDTH_OF_A_FILE: Final = 110
_MOST_PROCESSES: Final = 20
_FAULTS: Final = (
    "zero_fills", "zero_page_maps", "cow_copies", "cow_reuses", "file_maps",
    "spurious_faults", "major_faults", "segfaults",
)  # fmt: skip
_EVENTS: Final = (
    "forks", "vforks", "execs", "exits", "fork_failures", "oom_kills", "direct_reclaims",
    "pages_swapped_in", "pages_swapped_out", "context_switches",
)  # fmt: skip
_LATENCIES: Final = {
    "fault_latency_ns": "fault",
    "fork_latency_ns": "fork",
    "request_latency_ns": "request",
    "runqueue_wait_ns": "wait for a CPU",
}
_PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}
_NEED: Final = ("data", "cow_copies", "page_tables", "kernel_stacks", "page_cache")
_ENDINGS: Final = {
    "horizon": "the horizon was reached",
    "idle": "nothing was left to do",
    "deadlock": "DEADLOCK: processes wait and nothing can wake them",
}


def console() -> Console:
    """Return the console for stdout; a file gets lines of a fixed width."""
    width = None if sys.stdout.isatty() else _WIDTH_OF_A_FILE
    return Console(file=sys.stdout, width=width, highlight=False)


def show_sections(sections: Iterable[Section]) -> None:
    """Print sections of labels and texts."""
    out = console()
    for section in sections:
        out.print(Text(section.title, style="bold"))
        table = Table.grid(padding=(0, 2), pad_edge=True)
        table.add_column(no_wrap=True)
        table.add_column()
        for label, text in section.lines:
            table.add_row(Text(label), Text(text))
        out.print(table)
        out.print()


def show_run(document: Mapping[str, Any]) -> None:
    """Print the results of one run."""
    out = console()
    metrics, provenance = document["metrics"], document["provenance"]
    name = provenance["scenario"]["name"]
    out.print(
        Text.assemble(
            (name, "bold"),
            f": {format_duration(document['simulated_ns'])} simulated, "
            f"{_ENDINGS[document['ending']]}; seed {provenance['seed']}, "
            f"replication {provenance['replication']}",
        )
    )
    show_validity(out, document)
    cut_off = any(finding["code"] == "need_cut_off" for finding in document["validity"])
    for table in (
        _counts(metrics),
        Group(_latencies(metrics), Text(_price_ranges(document))),
        _memory(metrics, document.get("host") or {}, cut_off=cut_off),
        _processes(document["processes"]),
    ):
        out.print()
        out.print(table)


def _price_ranges(document: Mapping[str, Any]) -> str:
    """Return how far latencies move over the ranges of the prices, where the work done says so."""
    prices = document["provenance"]["scenario"]["host"]["prices"]
    said = []
    for name, lines in PRICED.items():
        span = mean_range(document["metrics"][name], document["work"], prices, lines)
        if span is not None:
            low, high = (format_duration(round(ns)) for ns in (span.low_ns, span.high_ns))
            said.append(f"{_LATENCIES[name]} {low} to {high}")
    return f"means with all prices low, and all high: {'; '.join(said)}" if said else ""


def show_validity(out: Console, document: Mapping[str, Any]) -> None:
    """Say whether a run answers, and everything that was found: a line each, then its remedy."""
    for finding in document["validity"]:
        times = f" ({finding['count']:,} times)" if finding["count"] > 1 else ""
        text = f"{finding['severity']}: {finding['code']}: {finding['where']}: {finding['what']}"
        style = "bold" if finding["severity"] == "error" else ""
        out.print(Text(f"{text}{times}", style=style), soft_wrap=True)
        if finding["severity"] != "note":
            out.print(Text(f"  {finding['remedy']}"), soft_wrap=True)
    if not document["answered"]:
        out.print(Text("no answer: the figures below are not what was asked for", style="bold"))


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _counts(metrics: Mapping[str, Any]) -> Table:
    table = _table("faults", "count", "", "events", "count")
    table.columns[2].width = 2
    table.columns[3].justify = "left"
    faults = [("minor faults", metrics["minor_faults"])]
    faults += [(f"  {_words(name)}", metrics[name]) for name in _FAULTS[:5]]
    faults += [(_words(name), metrics[name]) for name in _FAULTS[5:]]
    events = [(_words(name), metrics[name]) for name in _EVENTS]
    for number in range(max(len(faults), len(events))):
        left = faults[number] if number < len(faults) else ("", None)
        right = events[number] if number < len(events) else ("", None)
        table.add_row(left[0], _count(left[1]), "", right[0], _count(right[1]))
    return table


def _latencies(metrics: Mapping[str, Any]) -> Table | Group:
    """Return the table of latencies; a percentile that too few values support is left out."""
    table = _table("time", "count", "mean", *_PERCENTILES, "max")
    left_out = False
    for name, label in _LATENCIES.items():
        row = metrics[name]
        few = {c for c, percent in _PERCENTILES.items() if not enough_for(percent, row["count"])}
        left_out = left_out or (row["count"] > 0 and bool(few))
        times = [
            "-" if row[column] is None or column in few else format_duration(round(row[column]))
            for column in ("mean", *_PERCENTILES, "max")
        ]
        table.add_row(label, _count(row["count"]), *times)
    if not left_out:
        return table
    needs = ", ".join(f"{c} {percentile_needs(p):,}" for c, p in _PERCENTILES.items())
    return Group(table, Text(f"-: too few values; {needs} are needed"))


def _memory(metrics: Mapping[str, Any], host: Mapping[str, Any], *, cut_off: bool) -> Table:
    table = _table("memory", "", "", "shares of time", "")
    table.columns[2].width = 2
    table.columns[3].justify = "left"
    need, free = metrics["memory_need_bytes"], metrics["free_pages"]
    least = "more than " if cut_off else ""
    rows = [("needed at the peak", f"{least}{format_bytes(need['total'])}")]
    rows += [(f"  {_words(part)}", format_bytes(need[part])) for part in _NEED]
    rows += [(f"free, {kind}", _pages(free[kind])) for kind in ("min", "mean", "end")]
    if host:
        rows.append(("min watermark", _pages(host["min_pages"])))
    shares = [
        ("CPUs busy", metrics["cpu_busy_fraction"]),
        ("memory pressure, some", metrics["psi_memory_some"]),
        ("memory pressure, full", metrics["psi_memory_full"]),
    ]
    for number, (label, text) in enumerate(rows):
        if number < len(shares):
            table.add_row(label, text, "", shares[number][0], f"{shares[number][1]:.2%}")
        else:
            table.add_row(label, text)
    return table


def _processes(processes: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("process", "minor faults", "peak RSS", "PSS", "unique", "CPU time", "ended")
    ranked = sorted(range(len(processes)), key=lambda n: -processes[n]["peak_rss_bytes"])
    shown = sorted(ranked[:_MOST_PROCESSES])
    for number in shown:
        process = processes[number]
        sizes = (format_bytes(process[f"{kind}_bytes"]) for kind in ("peak_rss", "pss", "unique"))
        table.add_row(
            Text(process["name"], overflow="ellipsis"),
            _count(process["minor_faults"]),
            *sizes,
            format_duration(process["cpu_ns"]),
            Text(process["ended"]),
        )
    if len(processes) > len(shown):
        table.add_row(f"and {len(processes) - len(shown):,} smaller ones")
    return table


def _words(name: str) -> str:
    return name.replace("_", " ")


def _count(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _pages(pages: float) -> str:
    return f"{format_bytes(round(pages) * PAGE_BYTES)} ({round(pages):,} pages)"
