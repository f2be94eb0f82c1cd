"""What a Redis server should do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.base.units import PAGE_BYTES, S, format_bytes, format_duration, pages_for
from sim.machine import work
from sim.program.shipped.redis import CRON_NS
from sim.program.shipped.redis_data import extents
from sim.program.shipped.redis_declared import HEAP_PARAMETERS
from sim.program.shipped.redis_expect import saved_copies
from sim.program.shipped.redis_heap import RedisHeap, redis_heap
from sim.program.shipped.redis_saver import Dump, frees_strings, gives_back
from sim.program.shipped.redis_version import does
from sim.scenario.forms.figures import (
    BUSY,
    CHANCE,
    OTHER_PAGES,
    ended_ns,
    first_of,
    mean_of,
    metric,
    pages_text,
    resident_pages,
)
from sim.scenario.forms.fork import LEAST_TABLES, edge_ns, fork_ns
from sim.scenario.forms.form import Form, no_form
from sim.stats.theory import page_table_pages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.scenario.forms.form import Document
    from sim.scenario.forms.setting import Setting


def redis_forms(arguments: Mapping[str, Any], setting: Setting) -> list[Form]:
    """Return what closed forms expect of the program with these arguments."""
    heap = redis_heap(**{name: arguments[name] for name in HEAP_PARAMETERS})
    if does(arguments["version"], "no_huge_pages"):
        setting = setting.without_huge_pages
    forms = _layout(heap, arguments, setting)
    if not arguments["saves"]:
        return forms
    forms.append(_fork(heap, setting))
    if why := _not_served(arguments, setting, heap):
        labels = ("a save takes", "writes during a save", "a save copies", "ends")
        return [*forms, *(no_form(label, why) for label in labels)]
    save = _save_of(heap, arguments, setting)
    return [
        *forms,
        _save_takes(save),
        _writes(save),
        _copies(save),
        _tables(save),
        _load(save),
        _ends(save),
    ]


@dataclass(frozen=True, slots=True)
class _Save:
    """A save as closed forms see it."""

    heap: RedisHeap
    arguments: Mapping[str, Any]
    setting: Setting
    fork_ns: float
    values_ns: float
    child_ns: float

    @property
    def lasts_ns(self) -> float:
        return self.fork_ns + self.child_ns

    @property
    def version(self) -> str:
        return str(self.arguments["version"])

    @property
    def writes(self) -> float:
        return float(self.arguments["writes_per_s"] * self.lasts_ns / S)

    @property
    def gives_back(self) -> bool:
        return _gives_back(self.heap, self.arguments)


def data_pages(heap: RedisHeap, setting: Setting) -> int:
    """Return the resident pages of the data, with those that a whole mapping or huge page adds."""
    sizes = extents(heap.pages)
    if setting.fills or setting.huge_entries(sizes[:1]):
        return sum(sizes)
    return heap.pages


def _fork_ns(heap: RedisHeap, setting: Setting) -> float:
    regions = extents(heap.pages) if setting.huge or setting.folio_sizes else ()
    return fork_ns(setting, data_pages(heap, setting), regions)


def _buffer_pages(arguments: Mapping[str, Any]) -> int:
    """Return what the server's buffers may hold while it saves."""
    kinds = ("client_buffers_bytes", "replica_buffers_bytes", "aof_buffers_bytes")
    return pages_for(sum(arguments[kind] for kind in kinds))


def _fork(heap: RedisHeap, setting: Setting) -> Form:
    takes = _fork_ns(heap, setting)
    text = f"{format_duration(round(takes))} without waiting"
    return Form(
        "its fork takes",
        text,
        takes,
        first_of("fork_ns"),
        holds="about",
        within=0.02,
        beside=edge_ns(setting),
    )


def _layout(heap: RedisHeap, arguments: Mapping[str, Any], setting: Setting) -> list[Form]:
    data, loading = data_pages(heap, setting), pages_for(arguments["loading_bytes"])
    spare = max(0, (_buffer_pages(arguments) if arguments["saves"] else 0) - loading)
    edge = OTHER_PAGES + 2 * (data - heap.pages) + max(setting.folio_sizes, default=0)
    values_a_page = PAGE_BYTES / heap.values.class_bytes
    per_page = f"{values_a_page:.3g} a page" if values_a_page >= 1 else "each on pages of its own"
    payload = f"{pages_text(pages_for(heap.payload_bytes))} is what users stored"
    slack = f"{format_bytes(heap.used_bytes - heap.payload_bytes)} is slack and bookkeeping"
    return [
        Form("keys", f"{heap.keys:,}; values take {heap.values.class_bytes:,} B each, {per_page}"),
        Form("of the data set", f"{payload}, {slack}", heap.payload_bytes,
             first_of("payload_bytes")),
        Form("resident before a save", pages_text(data), data + loading + spare / 2,
             resident_pages, holds="about", beside=edge + spare / 2),
        Form("a SET dirties", f"{_touched(heap):.3g} pages"),
    ]  # fmt: skip


def _not_served(arguments: Mapping[str, Any], setting: Setting, heap: RedisHeap) -> str:
    """Return why the server does not do at once what it is asked; nothing if it does."""
    if arguments["arrivals"] == "file":
        return "arrivals come from a file"
    if setting.cpus < 2:
        return "with one CPU the child takes the server's time"
    faults_ns = _touched(heap) * (setting.ns(work.COW_COPY) + setting.ns(work.ACCESS))
    if arguments["writes_per_s"] * (arguments["request_cpu_ns"] + faults_ns) / S > BUSY:
        return f"writes and their faults take the server more than {BUSY:.0%} of its time"
    return ""


def _save_of(heap: RedisHeap, arguments: Mapping[str, Any], setting: Setting) -> _Save:
    """Return a save: the child copies what fork left to it, reads all, and exits."""
    ns = setting.ns
    page_ns = round(heap.used_bytes * S / arguments["save_speed_bytes_per_s"] / heap.pages)
    a_page = page_ns + ns(work.ACCESS) + ns(work.UNMAP_PTE)
    if _gives_back(heap, arguments) or setting.fork == "eager":
        a_page += ns(work.FRAME_FREE)
    if setting.fork == "async":
        a_page += ns(work.FORK_PTE) + ns(work.FORK_FOLIO)
    dump = dump_of(arguments)
    written_ns = dump.pages * ns(work.CACHE_FILL)
    synced_ns = setting.disk_ns(dump.pages, dump.syncs)
    during_ns = written_ns + (synced_ns if dump.drops else 0.0)
    child_ns = ns(work.EXIT_BASE) + heap.pages * a_page + written_ns + synced_ns
    values_ns = heap.values.pages * (page_ns + ns(work.ACCESS)) + during_ns
    takes = _fork_ns(heap, setting)
    return _Save(heap, arguments, setting, takes, values_ns, child_ns)


def dump_of(arguments: Mapping[str, Any]) -> Dump:
    """Return the dump that a save writes."""
    drops = does(arguments["version"], "drops_dump") and arguments["save_for"] == "disk"
    return Dump("", "", pages_for(arguments["dump_bytes"]), drops)


def _gives_back(heap: RedisHeap, arguments: Mapping[str, Any]) -> bool:
    version = arguments["version"]
    return gives_back(version, heap) or frees_strings(version, heap)


def _save_takes(save: _Save) -> Form:
    return Form(
        "a save takes",
        f"{format_duration(round(save.lasts_ns))} without waiting; the server looks every "
        f"{format_duration(CRON_NS)}",
        save.lasts_ns + CRON_NS / 2,
        mean_of("save_ns"),
        holds="about",
        within=0.02,
        beside=0.6 * CRON_NS,
    )


def _writes(save: _Save) -> Form:
    def seen(document: Document, name: str) -> float:
        served = metric("request_latency_ns", "count")(document, name)
        since_ns = ended_ns(document, name) - first_of("load_ns")(document, name)
        return served * save.lasts_ns / since_ns

    return Form(
        "writes during a save",
        f"{save.writes:,.0f}",
        save.writes,
        seen,
        holds="about",
        within=0.01,
        beside=CHANCE * max(1.0, save.writes) ** 0.5,
    )


def _copies(save: _Save) -> Form:
    label, heap, setting = "a save copies", save.heap, save.setting
    seen = mean_of("cow_pages_during_save")
    if setting.fork == "eager":
        text = f"nothing: fork has copied all {pages_text(data_pages(heap, setting))}"
        return Form(label, text, 0.0, seen, holds="about", beside=OTHER_PAGES)
    if setting.whole_copies:
        return no_form(label, "before 5.8 the first write to a huge page copies all 2 MiB of it")
    large = setting.huge or setting.folio_sizes
    uneven = save.arguments["key_distribution"] != "uniform"
    copies = saved_copies(
        heap,
        writes=save.writes,
        version=save.version,
        distribution=save.arguments["key_distribution"],
        s=save.arguments["zipf_exponent"],
        values_time=save.values_ns / save.child_ns,
    )
    text = f"{pages_text(copies)}, {copies / heap.pages:.1%} of the resident set"
    chance = CHANCE * max(1.0, copies) ** 0.5 + OTHER_PAGES
    # Pages of a large folio are copied, not taken back, until the server sees the child's end.
    late = save.arguments["writes_per_s"] * _touched(heap) * CRON_NS / S if large else 0.0
    return Form(
        label,
        text + ("; the child gives saved values back" if save.gives_back else ""),
        copies + late / 2,
        seen,
        holds="about",
        within=0.03 if uneven or save.gives_back else 0.01,
        beside=chance + late / 2,
    )


def _tables(save: _Save) -> Form:
    tables = page_table_pages(save.heap.pages)
    loading = page_table_pages(pages_for(save.arguments["loading_bytes"]))
    shares = save.setting.fork == "on_demand"
    child = "up to as much again" if shares else "as much again"
    return Form(
        "page tables",
        f"{pages_text(tables)} for the server, {child} for a saving child",
        2 * tables,
        metric("memory_need_bytes", "page_tables", per=PAGE_BYTES),
        holds="at most" if shares or loading else "about",
        beside=2 * LEAST_TABLES + loading + page_table_pages(_buffer_pages(save.arguments)),
    )


def _load(save: _Save) -> Form:
    arguments = save.arguments
    load = arguments["writes_per_s"] * arguments["request_cpu_ns"] / S
    served = arguments["writes_per_s"] * (arguments["save_every_ns"] + save.lasts_ns) / S

    def seen(document: Document, name: str) -> float:
        served = metric("request_latency_ns", "count")(document, name)
        since_ns = ended_ns(document, name) - first_of("load_ns")(document, name)
        return served * float(arguments["request_cpu_ns"]) / since_ns

    return Form(
        "offered load",
        f"{load:.1%} of a CPU, besides faults",
        load,
        seen,
        holds="about",
        within=0.02 + CHANCE / max(1.0, served) ** 0.5,
    )


def _ends(save: _Save) -> Form:
    """Return when the server is done: it loads, and waits before each save."""
    loaded = save.heap.pages + pages_for(save.arguments["loading_bytes"])
    load_ns = loaded * (save.setting.ns(work.ZERO_FILL) + save.setting.ns(work.ACCESS))
    if save.setting.huge:
        load_ns = loaded * save.setting.ns(work.ACCESS)
    a_save_ns = save.arguments["save_every_ns"] + save.lasts_ns + CRON_NS / 2
    saves = save.arguments["saves"]
    return Form(
        "done",
        f"after {format_duration(round(load_ns + saves * a_save_ns))}, without waiting",
        load_ns + saves * a_save_ns,
        ended_ns,
        holds="about",
        within=0.02,
        beside=0.6 * CRON_NS * saves + 0.3 * load_ns,
    )


def _touched(heap: RedisHeap) -> float:
    return heap.values.mean_span + len(heap.written_areas) - 1
