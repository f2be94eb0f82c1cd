"""What programs that start many short children should do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.base.units import PAGE_BYTES, format_duration, pages_for
from sim.program.presets import program_image
from sim.program.steps.grammar import normal_image
from sim.program.steps.meant import said_image
from sim.scenario.forms.figures import (
    OTHER_PAGES,
    children,
    first_of,
    metric,
    pages_text,
)
from sim.scenario.forms.fork import edge_ns, fork_ns, vfork_ns
from sim.scenario.forms.form import Form, no_form
from sim.stats.theory import TABLE_ENTRIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.scenario.forms.form import Document
    from sim.scenario.forms.setting import Setting


def build_forms(arguments: Mapping[str, Any], setting: Setting) -> list[Form]:
    """Return what closed forms expect of `build_storm` with these arguments."""
    jobs = arguments["jobs"]
    pages, heap = (pages_for(arguments[key]) for key in ("parent_bytes", "job_heap_bytes"))
    at_once = min(jobs, arguments["concurrency"])
    work_ns = jobs * arguments["job_cpu_ns"]
    rewritten = jobs > 1 and arguments["parent_writes"] > 0
    return [
        _started(arguments["method"], jobs),
        *_start(arguments["method"], setting, pages, "spawn_ns", rewritten=rewritten),
        _zero_fills("zero-fills", setting, pages, jobs * heap),
        _memory("data at a time", setting, pages, at_once * (heap + _image_pages(arguments))),
        Form(
            "CPU time of the jobs",
            f"{format_duration(work_ns)} besides faults",
            work_ns,
            _cpu_ns,
            holds="at least",
        ),
    ]


def pipeline_forms(arguments: Mapping[str, Any], setting: Setting) -> list[Form]:
    """Return what closed forms expect of `shell_pipeline` with these arguments."""
    stages, pipelines = arguments["stages"], arguments["pipelines"]
    pages, heap = (pages_for(arguments[key]) for key in ("shell_bytes", "stage_heap_bytes"))
    blocks = -(-arguments["stream_bytes"] // arguments["block_bytes"])
    block = pages_for(arguments["block_bytes"]) if blocks else 0
    cpu_ns = arguments["block_cpu_ns"] // max(1, block) * block
    between_ns = max(arguments["block_every_ns"], cpu_ns)
    stream_ns = (blocks - 1) * between_ns + cpu_ns if blocks else 0
    return [
        _started(arguments["method"], pipelines * stages),
        *_start(arguments["method"], setting, pages, ""),
        Form(
            "a pipeline's stream",
            f"{format_duration(stream_ns)}, with a CPU for each stage",
            stream_ns,
            _shortest_pipeline,
            holds="at least",
        ),
        _zero_fills("zero-fills", setting, pages, pipelines * stages * (heap + block)),
        _memory(
            "data at a time", setting, pages, stages * (heap + block + _image_pages(arguments))
        ),
    ]


def _started(method: str, processes: int) -> Form:
    called = "forks" if method == "fork_exec" else "vforks"
    return Form("processes started", f"{processes:,}", processes, metric(called))


def _start(
    method: str, setting: Setting, pages: int, record: str, *, rewritten: bool = False
) -> list[Form]:
    """Return what starting a process takes; `rewritten`: its parent writes between two starts."""
    if method != "fork_exec":
        holds_ns = vfork_ns(setting)
        return [
            Form("a start copies", "no page table: the child borrows the parent's",
                 0, lambda document, _: _units(document, "fork_pte")),
            Form("it holds its caller", f"{format_duration(round(holds_ns))}: until exec is done",
                 holds_ns, metric("vfork_latency_ns", "mean"), holds="at least"),
        ]  # fmt: skip
    takes = fork_ns(setting, pages)
    fork = Form(
        "its fork takes",
        f"{format_duration(round(takes))} without waiting",
        takes,
        first_of(record),
        holds="about",
        within=0.03,
        beside=edge_ns(setting),
    )
    if setting.fork in ("on_demand", "async"):
        return [fork] if record else []
    huge = 0 if setting.fork == "eager" else setting.huge_entries((pages,))  # it splits them first
    small = pages - huge * TABLE_ENTRIES
    leaves = -(-small // TABLE_ENTRIES)
    copies = Form(
        "a start copies",
        f"{small:,} entries in {leaves:,} leaf tables",
        small,
        _entries_a_fork,
        holds="about",
        beside=OTHER_PAGES,
    )
    if rewritten and huge > 0 and not setting.whole_copies:
        copies = no_form(copies.label, "what the parent writes meanwhile splits huge pages")
    return [copies, fork] if record else [copies]


def _zero_fills(label: str, setting: Setting, own: int, started: int) -> Form:
    if setting.huge or setting.folio_sizes:
        return no_form(label, "a fault fills a large folio")
    return Form(
        label,
        f"{own + started:,}, besides those of the images",
        own + started,
        metric("zero_fills"),
        holds="at least",
    )


def _memory(label: str, setting: Setting, own: int, started: int) -> Form:
    if setting.huge or setting.folio_sizes:
        return no_form(label, "a page touched takes a large folio")
    if setting.fork == "eager":
        return no_form(label, "a fork copies all pages until exec")
    return Form(
        label,
        pages_text(own + started),
        own + started,
        metric("memory_need_bytes", "data", per=PAGE_BYTES),
        holds="at most",
        within=0.01,
        beside=OTHER_PAGES,
    )


def _image_pages(arguments: Mapping[str, Any]) -> int:
    """Return the most pages of its own that an exec'd image takes."""
    image = program_image(said_image(normal_image(arguments["image"])))
    written = {touch.vpn for touch in image.touches if touch.write}
    return len(written) + image.stack_pages + OTHER_PAGES


def _units(document: Document, line: str) -> float:
    return float(document["work"].get(line, {"units": 0})["units"])


def _entries_a_fork(document: Document, name: str) -> float:
    return _units(document, "fork_pte") / metric("forks")(document, name)


def _cpu_ns(document: Document, name: str) -> float:
    return float(sum(p["cpu_ns"] for p in children(document, name)))


def _shortest_pipeline(document: Document, name: str) -> float:
    return float(min(document["programs"][name]["pipeline_ns"]))
