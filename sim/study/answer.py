"""What a study says in words: the answer, the bill, and the lines to set.

Every figure here comes from the tables; nothing is estimated anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sim.scenario.study import Answer
from sim.stats.proportion import REFUTES_AT, format_percent
from sim.study.need import Need
from sim.study.plan import Axis, Point
from sim.study.records import metric_text
from sim.study.tables import Summary, summary_text
from sim.study.trials import Books, Verdict
from sim.units import MIB, PAGE_BYTES, format_bytes, format_bytes_up, format_duration

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
    subject = _capital(words["subject"])
    sentences = [
        f"{subject} ({where}) needs {format_bytes_up(host_bytes)} of memory{ratio}: {content} "
        f"stay within {format_bytes_up(need.bound.bound)} of it, {confidence} "
        f"({need.bound.n} runs, {need.bound.method}); the rest is for the kernel."
    ]
    if len(times_data) > 1:
        low, high = min(times_data.values()), max(times_data.values())
        sentences.append(f"Over the whole study it needs {low:.2f} to {high:.2f} times its data.")
    return sentences


def no_answer_sentences(reasons: Sequence[str], where: str | None) -> list[str]:
    """Return that there is no answer, and why, one line a reason."""
    at = f" ({where})" if where else ""
    return [f"No answer{at}: {reasons[0]}.", *(f"Also: {reason}." for reason in reasons[1:])]


def more_than_host(subject: str, where: str, host_bytes: float, cut_off: int, runs: int) -> str:
    """Return what is known of a need that was cut off by every host it was measured on."""
    return (
        f"{_capital(subject)} ({where}) needs more than {format_bytes(host_bytes)} of memory: "
        f"{cut_off} of {runs} runs ran out of memory on a host of that size."
    )


def more_than_sentence(metric: str, where: str, at_least: float, cut_off: int, runs: int) -> str:
    """Return what is known of a need that was cut off on the scenario's own host."""
    return (
        f"{metric} ({where}) is more than {metric_text(metric, at_least)}: "
        f"{cut_off} of {runs} runs ran out of memory."
    )


def metric_sentence(metric: str, where: str, summary: Summary, confidence: float) -> str:
    """Return the answer to a question about a metric: its mean, and what is known of it."""
    if summary.n == 1:
        return f"{metric} ({where}) is {metric_text(metric, summary.mean)}, in a single run."
    text = summary_text(metric, summary)
    if summary.half_width is not None:
        return f"{metric} ({where}) is {text} ({100 * confidence:g} % CI, n={summary.n})."
    if summary.low == summary.high:
        return f"{metric} ({where}) is {text}, the same in all {summary.n} runs."
    return f"{metric} ({where}) is {text}."


def fork_sentence(
    mean_ns: float, low_ns: float, high_ns: float, longest_ns: float, runs: int
) -> str:
    """Return how long the fork stalls its caller; means of runs lie from `low_ns` to `high_ns`."""
    if low_ns == high_ns == longest_ns:
        return f"The fork stalls it for {format_duration(mean_ns)}, the same in all {runs} runs."
    return (
        f"The fork stalls it for {format_duration(mean_ns)} on average "
        f"({format_duration(low_ns)} to {format_duration(high_ns)} in {runs} runs), "
        f"{format_duration(longest_ns)} at the longest."
    )


def outgrown_sentences(hosts: Sequence[tuple[int, int, int]]) -> list[str]:
    """Return on which hosts the need could not be measured, as memory ran out there."""
    return [
        f"In {cut_off} of {runs} runs on a host of {format_bytes(host)} memory ran out, so the "
        "need was measured on one of twice that size."
        for host, cut_off, runs in hosts
    ]


def verdict_sentence(verdict: Verdict, event: str) -> str:
    """Return what fresh runs on a host of the answer's size say about it."""
    seen = (
        f"in {verdict.runs} runs with fresh random numbers on a host of exactly that size, "
        f"{verdict.exceeded} needed more than the bound and memory ran out in {verdict.ran_out}"
    )
    level = f"{100 * REFUTES_AT:g} %"
    lost = f" {verdict.lost} more had no result." if verdict.lost else ""
    if verdict.noticed is None:
        text = f"Check: {seen}; so few runs cannot refute a bound on so few {event}."
    elif verdict.refuted:
        text = (
            f"Check: refuted: {seen}; if the bound held, {verdict.refuting} or more would be seen "
            f"in at most {level} of such checks."
        )
    else:
        text = (
            f"Check: not refuted: {seen}; {verdict.refuting} or more would have refuted it, which "
            f"has a chance of {100 * verdict.power:g} % if only "
            f"{format_percent(1 - verdict.noticed)} of {event} stay within the bound."
        )
    return text + lost


def books_sentences(books: Books) -> list[str]:
    """Return whether runs on small hosts ended as the need with the same random numbers says."""
    if not books.runs:
        return []
    agree, runs = books.agree, books.runs
    how_many = f"all {runs}" if agree == runs else f"{agree} of {runs}"
    lost = f" {books.lost} more had no run to compare with." if books.lost else ""
    return [
        f"In {how_many} trial runs, memory ran out exactly when the need measured with the same "
        "random numbers exceeded what the trial host had left: a test of the books, not of the "
        f"bound.{lost}"
    ]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
