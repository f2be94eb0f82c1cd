"""What a scenario means in derived numbers, worked out without running it.

Everything here can be checked on paper: sizes, watermarks, prices and their sources, and what
closed forms expect of each process.  Many a wrong study ends here, before its first event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.cost.catalogue import PRICE_KEYS, PriceSpec, price_specs
from sim.cost.quantiles import PS_PER_NS, table_quantile_ps
from sim.scenario.hosts import host_watermarks, managed_pages
from sim.scenario.programs import known_programs, show_value
from sim.stats.theory import TABLE_ENTRIES, page_table_pages
from sim.units import GIB, PAGE_BYTES, S, format_bytes, format_duration, pages_for
from sim.workload.signature import keyword_arguments, parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FORK_AREAS: Final = 5
"""Areas of a parent in the fork times shown here: data, text, stack and the like."""

_MAIN_MEMORY: Final = {
    "redis": "dataset_bytes",
    "prefork_web": "app_bytes",
    "build_storm": "parent_bytes",
    "shell_pipeline": "shell_bytes",
}
"""The parameter of a program that says how much memory its forking process has."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its lines, each a label and a text."""

    title: str
    lines: tuple[tuple[str, str], ...]


def explain_scenario(
    resolved: Mapping[str, Any], programs: Mapping[str, Callable[..., Any]] | None = None
) -> list[Section]:
    """Return what a resolved scenario means, section by section."""
    known = known_programs() if programs is None else programs
    host = resolved["host"]
    specs = {price.name.lower(): spec for price, spec in price_specs(host["prices"]).items()}
    return [
        _machine(host),
        _not_for_data(host),
        _watermarks(host),
        _policy(resolved["policy"], host),
        *(
            _process(name, process, known[process["program"]], specs)
            for name, process in resolved["processes"].items()
        ),
        _run(resolved["run"]),
        _fork(specs, host),
        _prices(specs),
    ]


def fork_ns(specs: Mapping[str, PriceSpec], rss_bytes: int) -> float:
    """Return how long a fork takes on average by the prices, without waiting, in ns.

    A parent of `rss_bytes` in 4 KiB pages and `FORK_AREAS` areas; copy-on-write.
    """
    pages = pages_for(rss_bytes)
    leaf_tables = -(-pages // TABLE_ENTRIES)
    return (
        specs["fork_base"].mean_ns
        + FORK_AREAS * specs["fork_area"].mean_ns
        + leaf_tables * specs["fork_table"].mean_ns
        + pages * (specs["fork_pte"].mean_ns + specs["fork_folio"].mean_ns)
        + specs["fork_flush"].mean_ns
    )


def _machine(host: Mapping[str, Any]) -> Section:
    profile = host["profile"] or "a file of its own"
    zones = ", ".join(f"{zone['name']} {format_bytes(zone['memory'])}" for zone in host["zones"])
    return Section(
        "Machine",
        (
            ("profile", f"{profile}: {host['machine']}" if host["machine"] else profile),
            ("memory", _pages(host["memory"] // PAGE_BYTES, "frames")),
            ("zones", zones),
            ("CPUs", f"{host['cpus']}, tick every {format_duration(S // host['hz'])}"),
            (
                "kernel",
                f"Linux {host['kernel']}, huge pages {host['thp']}{_sizes(host)}",
            ),
            ("overcommit", _overcommit(host["overcommit"])),
            ("disk", _disk(host["disk"])),
        ),
    )


def _disk(disk: Mapping[str, Any]) -> str:
    return (
        f"{format_duration(disk['latency'])} and {format_bytes(disk['bandwidth'])}/s, "
        f"{disk['queue_depth']} requests at a time; {format_bytes(disk['read_ahead'])} read ahead "
        f"({disk['source']})"
    )


def _overcommit(overcommit: Mapping[str, Any]) -> str:
    mode = overcommit["mode"]
    if mode == 2:
        return f"mode 2: promises up to {overcommit['ratio']} % of memory"
    says = {0: "refuses a single request larger than memory", 1: "refuses nothing"}
    return f"mode {mode}: {says[mode]}"


def _not_for_data(host: Mapping[str, Any]) -> Section:
    managed = managed_pages(host["memory"], host["kernel_reserve"])
    min_pages = host_watermarks(host).min_pages
    data = (managed - min_pages) * TABLE_ENTRIES // (TABLE_ENTRIES + 1)
    tables_per_gib = page_table_pages(GIB // PAGE_BYTES) * PAGE_BYTES
    return Section(
        "What of the memory is not for data",
        (
            (
                "kernel",
                f"{format_bytes(host['kernel_reserve'])}: page structures, text, slab (assumed, "
                "unless the scenario says otherwise)",
            ),
            ("min watermark", f"{_pages(min_pages)}: short of memory below it"),
            (
                "page tables",
                f"{format_bytes(tables_per_gib)} per GiB of data in every process that maps it",
            ),
            ("kernel stacks", f"{format_bytes(host['kernel_stack'])} a process"),
            ("left for data", f"{format_bytes(data * PAGE_BYTES)} if one process had it all"),
        ),
    )


def _watermarks(host: Mapping[str, Any]) -> Section:
    marks = host_watermarks(host)
    lists = "none: every page comes out of the zone"
    if host["percpu_batch"]:
        lists = (
            f"{host['percpu_batch']} pages at a time, at most {host['percpu_high']:,} a CPU "
            f"({format_bytes(host['percpu_high'] * host['cpus'] * PAGE_BYTES)} in all)"
        )
    return Section(
        "Free memory",
        (
            ("min", _pages(marks.min_pages)),
            ("low", f"{_pages(marks.low_pages)}: background reclaim would wake"),
            ("high", f"{_pages(marks.high_pages)}: and sleep again"),
            ("per-CPU lists", lists),
        ),
    )


def _policy(policy: Mapping[str, Any], host: Mapping[str, Any]) -> Section:
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
    zeroing = {"demand": "at first touch", "eager": "when memory is mapped"}
    return Section(
        "Who decides",
        (
            ("CPU", scheduling),
            ("short of memory", memory),
            ("fork", fork[policy["fork"]]),
            ("frames are taken", zeroing[policy["zeroing"]]),
        ),
    )


def _sizes(host: Mapping[str, Any]) -> str:
    sizes = "".join(f", {size} {mode}" for size, mode in host["thp_sizes"].items())
    return sizes + (", khugepaged every 10 s" if host["khugepaged"] else "")


def _process(
    name: str,
    process: Mapping[str, Any],
    program: Callable[..., Any],
    specs: Mapping[str, PriceSpec],
) -> Section:
    arguments = keyword_arguments(program, process)
    lines = [("program", _how_started(process))]
    for parameter in parameters_of(program):
        value = process[parameter.key]
        shown = f"{len(value)} of them" if isinstance(value, list) else value
        if shown not in ("", None):
            lines.append((parameter.key, show_value(parameter.unit, shown)))
    lines += [(f"→ {label}", text) for label, text in _expected(process["program"], arguments)]
    main = _MAIN_MEMORY.get(process["program"])
    if main in arguments:
        size = arguments[main] * arguments.get("fragmentation", 1)
        took = format_duration(round(fork_ns(specs, round(size))))
        lines.append(("→ its fork takes", f"about {took} without waiting"))
    return Section(f"Process {name}", tuple(lines))


def _how_started(process: Mapping[str, Any]) -> str:
    text = str(process["program"])
    if process["copies"] > 1:
        text += f", {process['copies']} of them"
    if process["start"]:
        text += f", from {format_duration(process['start'])} on"
    if process["cpu"] is not None:
        text += f", on CPU {process['cpu']} only"
    if process["oom_score_adj"]:
        text += f", oom_score_adj {process['oom_score_adj']}"
    return text


def _expected(program: str, arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    from sim.workload.expect import EXPECTATIONS

    expect = EXPECTATIONS.get(program)
    return [] if expect is None else expect(arguments)


def _run(run: Mapping[str, Any]) -> Section:
    samples = run["horizon"] // run["sample_every"]
    burst = f"{run['burst']:,} steps" if run["burst"] else "no limit"
    return Section(
        "Run",
        (
            ("horizon", format_duration(run["horizon"])),
            ("warm-up", format_duration(run["warmup"])),
            ("time series", f"{samples:,} points, {format_duration(run['sample_every'])} apart"),
            ("longest burst", burst),
            ("seed", str(run["seed"])),
        ),
    )


def _fork(specs: Mapping[str, PriceSpec], host: Mapping[str, Any]) -> Section:
    published = {
        point["rss"]: f"; published {format_duration(point['time'])} ({point['source']})"
        for point in host["published"]
        if point["kind"] == "fork"
    }
    lines = [
        (
            f"{format_bytes(rss)} resident",
            format_duration(round(fork_ns(specs, rss))) + published.get(rss, ""),
        )
        for rss in sorted({*published, GIB // 64, GIB, 16 * GIB})
    ]
    return Section("Fork by the prices, without waiting", tuple(lines))


def _prices(specs: Mapping[str, PriceSpec]) -> Section:
    n_assumed = sum(spec.assumed for spec in specs.values())
    lines = [
        ("evidence", f"{len(specs) - n_assumed} of {len(specs)} prices have a source, "
         f"{n_assumed} are assumed")
    ]  # fmt: skip
    lines += [(key, _price_text(specs[key])) for key in PRICE_KEYS]
    return Section(
        "Prices: mean (low to high), what one of a hundred exceeds, source", tuple(lines)
    )


def _price_text(spec: PriceSpec) -> str:
    text = f"{_ns(spec.mean_ns)} ({_ns(spec.low_ns)} to {_ns(spec.high_ns)})"
    if spec.table[0] != spec.table[-1]:
        text += f", 1 % above {_ns(table_quantile_ps(spec.table, 0.99) / PS_PER_NS)}"
    return f"{text}; {spec.source}"


def _ns(duration_ns: float) -> str:
    return f"{duration_ns:.3g} ns" if duration_ns < 1000 else format_duration(round(duration_ns))


def _pages(pages: int, word: str = "pages") -> str:
    return f"{format_bytes(pages * PAGE_BYTES)} ({pages:,} {word})"
