"""Results for people: tables on a terminal."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from sim.base.text import printable
from sim.base.units import PAGE_BYTES, format_bytes, format_duration
from sim.cli.answering import answer_of, done_in
from sim.cli.groups import lines_of_kills, tables_of_groups
from sim.cli.sparkline import lines_over_time
from sim.cli.tables import Table, beside, labelled, paragraph
from sim.cost.bounds import PRICED, mean_range
from sim.engine.conditions import exactness
from sim.engine.long_run import long_run_words
from sim.engine.metrics import EVENTS, LATENCIES
from sim.engine.shortfalls import least_words
from sim.machine.parts import PARTS
from sim.observe.faults import FAULT_METRICS
from sim.stats.enough import enough_for, independent_values, percentile_needs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from sim.scenario.explain import Section

    Mark = Callable[[str, str], str]

_WIDTH_OF_A_FILE: Final = 80
_MOST_PROCESSES: Final = 20
_FAULTS: Final = (*FAULT_METRICS.values(), "major_faults", "segfaults", "bus_errors")
_DELAYED_BY_FORKS: Final = ("request_latency_ns", "runqueue_wait_ns")
_PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}
_SELDOM: Final = ("shared_memory", "hugetlb", "zram")
"""Parts of memory that have a row only where there is any."""
HUGE_PAGE_COUNTS: Final = ("HugePages_Total", "HugePages_Free", "HugePages_Rsvd")
"""The pool of huge pages as ``/proc/meminfo`` has it, of the end of the run."""
_ENDINGS: Final = {
    "horizon": "the horizon was reached",
    "idle": "nothing was left to do",
    "deadlock": "DEADLOCK: processes wait and nothing can wake them",
}


class Page:
    """What is printed on stdout, in lines as wide as its terminal or `COLUMNS` says; else 80."""

    def __init__(self, width: int | None = None) -> None:
        self._console = Console(file=sys.stdout, highlight=False)
        self.at_terminal = sys.stdout.isatty()
        terminal = self._console.width if self.at_terminal else _WIDTH_OF_A_FILE
        self.width = width or _width_asked() or terminal

    def lines(self, lines: Iterable[str], style: str = "") -> None:
        """Print lines as they are."""
        for line in lines:
            self._console.print(Text(printable(line), style=style), soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        """Print a paragraph."""
        self.lines(paragraph(text, self.width), style)

    def sentence(self, text: str, style: str = "", indent: str = "") -> None:
        """Print a sentence: to a file in one line, so that it can be searched for."""
        whole = [f"{indent}{text}"]
        self.lines(paragraph(text, self.width, indent) if self.at_terminal else whole, style)

    def table(self, lines: Sequence[str]) -> None:
        """Print the lines of a table below an empty one."""
        self.lines(["", *lines])


def _width_asked() -> int | None:
    """Return what `COLUMNS` says, if it is a number; rich heeds it on terminals only."""
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else None


def show_sections(sections: Iterable[Section]) -> None:
    """Print sections of labels and texts."""
    page = Page()
    for section in sections:
        page.say(section.title, "bold")
        page.lines(labelled(section.lines, page.width))
        page.lines([""])


def show_run(
    document: Mapping[str, Any], width: int | None = None, ranges: Sequence[str] = ()
) -> None:
    """Print the results of one run, in lines of `width`; default: those of the terminal.

    `ranges` are sentences on how far its times move with the prices.
    """
    page = Page(width)
    metrics, provenance = document["metrics"], document["provenance"]
    name = provenance["scenario"]["name"]
    show_validity(page, document)
    answer = [*answer_of(document), *ranges]
    for sentence in answer:
        page.sentence(sentence, "bold")
    if answer:
        page.lines([""])
    done = done_in(document)
    page.say(
        f"{name}: {format_duration(document['simulated_ns'])} simulated, "
        f"{f'{done}, ' if done else ''}{_ENDINGS[document['ending']]}; seed {provenance['seed']}, "
        f"replication {provenance['replication']}"
    )
    found = {finding["code"] for finding in document["validity"]}
    host = provenance["scenario"]["host"]
    mark = partial(marked, host=host)
    page.table(beside(*_counts(metrics, mark), page.width))
    times, notes = _latencies(metrics)
    page.table(times.lines(page.width))
    inexact = [words for name, words in LATENCIES.items() if exactness(name, host)]
    if inexact:
        notes.append(f"times of {', '.join(inexact)}: {exactness('fault_latency_ns', host)}")
    for note in (*notes, *_in_the_long_run(document), *_price_ranges(document)):
        page.say(note)
    memory = _memory(document, mark, found)
    page.table(beside(*memory, page.width))
    over_time = lines_over_time(document, page.width)
    if over_time:
        page.lines([""])
        page.say(over_time[0])
        page.lines(over_time[1:])
    if document.get("groups"):
        for table in tables_of_groups(document["groups"], host.get("cgroup", "v2")):
            page.table(table.lines(page.width))
    if document.get("kills"):
        page.lines([""])
        for line in lines_of_kills(document["kills"]):
            page.say(line)
    if said := exactness("free_pages", host):
        page.lines([""])
        page.say(
            "memory over time, of groups and of processes, events and pressure in groups, and who "
            f"is killed when: {said}"
        )
    page.table(_processes(document["processes"]).lines(page.width))


def _in_the_long_run(document: Mapping[str, Any]) -> list[str]:
    words = long_run_words(document)
    return [f"mean of requests in the long run: {words}"] if words else []


def _price_ranges(document: Mapping[str, Any]) -> list[str]:
    """Return how far latencies move over the ranges of the prices, where the work done says so."""
    prices = document["provenance"]["scenario"]["host"]["prices"]
    said = []
    for name, lines in PRICED.items():
        span = mean_range(document["metrics"][name], document["work"], prices, lines)
        if span is not None:
            low, high = (format_duration(round(ns)) for ns in (span.low_ns, span.high_ns))
            said.append(f"{LATENCIES[name]} {low} to {high}")
    return [f"means with all prices low, and all high: {'; '.join(said)}"] if said else []


def show_validity(page: Page, document: Mapping[str, Any]) -> None:
    """Say whether a run answers, and everything that was found: a line each, then its remedy."""
    for finding in document["validity"]:
        n = f"{finding['count']:,}"
        told = finding["count"] == 1 or n in finding["what"]
        times = "" if told else f" ({n} times)"
        text = f"{finding['severity']}: {finding['code']}: {finding['where']}: {finding['what']}"
        page.sentence(f"{text}{times}", "bold" if finding["severity"] == "error" else "")
        if finding["severity"] != "note":
            page.sentence(finding["remedy"], indent="  ")
    if not document["answered"]:
        page.say("no answer: the figures below are not what was asked for", "bold")


def marked(label: str, metric: str, host: Mapping[str, Any]) -> str:
    """Return the label of a figure, with what is to be said of it if it is not exact."""
    said = exactness(metric, host)
    return f"{label} ({said})" if said else label


def _counts(metrics: Mapping[str, Any], mark: Mark) -> tuple[Table, Table]:
    faults = Table(("faults", "count"))
    faults.rows.append((mark("minor faults", "minor_faults"), _count(metrics["minor_faults"])))
    faults.rows += [
        (mark(f"  {_words(name)}", name), _count(metrics[name])) for name in _FAULTS[:5]
    ]
    faults.rows += [(mark(_words(name), name), _count(metrics[name])) for name in _FAULTS[5:]]
    events = Table(("events", "count"))
    for name in EVENTS:
        events.rows.append((mark(_words(name), name), _count(metrics[name])))
        if name == "direct_reclaims" and metrics.get("allocation_stall_ns"):
            events.rows.append(("  time in them", format_duration(metrics["allocation_stall_ns"])))
    return faults, events


def _latencies(metrics: Mapping[str, Any]) -> tuple[Table, list[str]]:
    """Return the table of latencies, and what is said of percentiles that too few values support.

    Those are left out.
    """
    table = Table(("time", "count", "mean", *_PERCENTILES, "max"))
    left_out = by_forks = False
    for name, label in LATENCIES.items():
        row = metrics[name]
        forks = metrics["forks"] if name in _DELAYED_BY_FORKS else 0
        few = {
            column
            for column, percent in _PERCENTILES.items()
            if not enough_for(percent, independent_values(percent, row["count"], forks))
        }
        by_forks = by_forks or bool(forks and row["count"])
        left_out = left_out or (row["count"] > 0 and bool(few))
        times = [
            "-" if row[column] is None or column in few else format_duration(round(row[column]))
            for column in ("mean", *_PERCENTILES, "max")
        ]
        table.rows.append((label, _count(row["count"]), *times))
    if not left_out:
        return table, []
    needs = ", ".join(f"{c} {percentile_needs(p):,}" for c, p in _PERCENTILES.items())
    of_forks = "; for p999 of requests and waits, forks count" if by_forks else ""
    return table, [f"-: too few values; {needs} are needed{of_forks}"]


def _memory(document: Mapping[str, Any], mark: Mark, found: Collection[str]) -> tuple[Table, Table]:
    metrics, watermarks = document["metrics"], document.get("host") or {}
    need, free = metrics["memory_need_bytes"], metrics["free_pages"]
    room = "peak_is_room" in found
    least = f"{least_words(document)} " if "need_cut_off" in found and not room else ""
    memory = Table(("memory", ""))
    verb = "held" if room else "needed"
    total = mark(f"{verb} at the peak", "memory_need_bytes.total")
    known = need["total"] or not least
    memory.rows.append((total, f"{least}{format_bytes(need['total'])}" if known else "not known"))
    memory.rows += [
        (mark(f"  {_words(part)}", f"memory_need_bytes.{part}"), format_bytes(need.get(part, 0)))
        for part in PARTS
        if need.get(part) or part not in _SELDOM
    ]
    memory.rows += [
        (mark(f"free, {kind}", "free_pages"), _pages(free[kind])) for kind in ("min", "mean", "end")
    ]
    if watermarks:
        memory.rows.append(("min watermark", _pages(watermarks["min_pages"])))
        memory.rows += [
            (name, f"{watermarks[name]:,}") for name in HUGE_PAGE_COUNTS if name in watermarks
        ]
    shares = Table(("shares of time", ""))
    shares.rows.append(("CPUs busy", f"{metrics['cpu_busy_fraction']:.2%}"))
    for how in ("some", "full"):
        name = f"psi_memory_{how}"
        shares.rows.append((mark(f"memory pressure, {how}", name), f"{metrics[name]:.2%}"))
    return memory, shares


def _processes(processes: Sequence[Mapping[str, Any]]) -> Table:
    headings = ("process", "minor faults", "peak RSS", "PSS", "unique", "CPU time", "ended")
    table = Table(headings)
    ranked = sorted(range(len(processes)), key=lambda n: -processes[n]["peak_rss_bytes"])
    shown = sorted(ranked[:_MOST_PROCESSES])
    for number in shown:
        process = processes[number]
        sizes = (format_bytes(process[f"{kind}_bytes"]) for kind in ("peak_rss", "pss", "unique"))
        table.rows.append(
            (
                process["name"],
                _count(process["minor_faults"]),
                *sizes,
                format_duration(process["cpu_ns"]),
                process["ended"],
            )
        )
    if len(processes) > len(shown):
        more = f"and {len(processes) - len(shown):,} smaller ones"
        table.rows.append((more, *[""] * (len(headings) - 1)))
    return table


def _words(name: str) -> str:
    return "pages reclaimed" if name == "pages_stolen" else name.replace("_", " ")


def _count(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _pages(pages: float) -> str:
    return f"{format_bytes(round(pages) * PAGE_BYTES)} ({round(pages):,} pages)"
