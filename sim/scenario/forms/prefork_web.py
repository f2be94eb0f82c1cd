"""What a preloading web server should do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any, Final

from scipy import special

from sim.base.units import PAGE_BYTES, S, format_duration, pages_for
from sim.scenario.forms.figures import (
    BUSY,
    CHANCE,
    OTHER_PAGES,
    OTHER_TABLES,
    children,
    first_of,
    metric,
    pages_text,
    resident_pages,
)
from sim.scenario.forms.fork import edge_ns, fork_ns
from sim.scenario.forms.form import Form, no_form
from sim.stats.theory import page_table_pages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.scenario.forms.form import Document
    from sim.scenario.forms.setting import Setting


LEAK_EDGE_PAGES: Final = 768
"""What leaks of a worker beyond what its requests do: the rest of a piece, and of a huge page."""


def prefork_forms(arguments: Mapping[str, Any], setting: Setting) -> list[Form]:
    """Return what closed forms expect of the program with these arguments."""
    web = Web(arguments, setting)
    load = web.load_cpus
    fork = fork_ns(setting, web.shared_pages)
    shared = pages_text(web.shared_pages) if web.shared_pages else "nothing: each worker loads it"
    return [
        Form("shared at the start", shared, web.shared_pages, resident_pages,
             holds="about", beside=OTHER_PAGES),
        Form("its fork takes", f"{format_duration(round(fork))} without waiting", fork,
             first_of("fork_ns"), holds="about", within=0.02, beside=edge_ns(setting)),
        *_memory(web),
        Form("offered load", f"{load:.3g} CPUs, besides faults"),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Web:
    """A server as closed forms see it."""

    arguments: Mapping[str, Any]
    setting: Setting

    @property
    def pages(self) -> int:
        """Pages of the application."""
        return pages_for(self.arguments["app_bytes"])

    @property
    def shared_pages(self) -> int:
        """Those that workers share at their start."""
        return self.pages if self.arguments["preload"] else 0

    @property
    def workers(self) -> int:
        """How many workers are kept."""
        return int(self.arguments["workers"])

    @property
    def own_pages(self) -> int:
        """Pages that a worker has for itself at its start, page tables included."""
        heap = pages_for(self.arguments["worker_heap_bytes"])
        own = heap + page_table_pages(self.pages) + page_table_pages(heap)
        alone = self.setting.fork == "eager" or not self.shared_pages
        return own + (self.pages if alone else 0)

    @property
    def requests(self) -> float:
        """Requests that a worker is offered while the server runs, on average."""
        return float(self.arguments["requests_per_s"] * self.arguments["duration_ns"] / S)

    @property
    def life(self) -> float:
        """Requests that a worker serves in its life, on average."""
        most = self.arguments["max_requests"] + self.jitter / 2
        return min(self.requests, most) if self.recycled else self.requests

    @property
    def jitter(self) -> int:
        """Most requests that are added to a worker's life."""
        return int(self.arguments["max_requests"] and self.arguments["max_requests_jitter"])

    def leaked(self, requests: float) -> float:
        """Return the pages that so many requests leave behind, page tables included."""
        pages = requests * self.arguments["leak_bytes"] / PAGE_BYTES
        return float(pages + (page_table_pages(math.ceil(pages)) if pages else 0))

    @property
    def recycled(self) -> bool:
        """Whether workers are replaced, as far as one can tell."""
        most = self.arguments["max_requests"]
        return bool(most and self.requests + self.spread * CHANCE >= most)

    @property
    def spread(self) -> float:
        """The standard deviation of the requests that a worker is offered."""
        return 0.0 if self.arguments["arrivals"] == "fixed" else self.requests**0.5

    @property
    def load_cpus(self) -> float:
        """CPUs that all requests keep busy, besides their faults."""
        a_cpu = self.arguments["requests_per_s"] * self.arguments["request_cpu_ns"] / S
        return float(self.workers * a_cpu)

    def eroded(self, requests: float, *, collects: bool) -> float:
        """Return the pages that a worker has copied after so many requests.

        Both regions begin at page 0: what collections write is not hit again elsewhere.
        """
        if not self.shared_pages or self.setting.fork == "eager":
            return 0.0
        keys = ("hot_fraction", "hot_share", "collected_fraction")
        hot_fraction, hot_share, fraction = (self.arguments[key] for key in keys)
        writes = requests * self.arguments["eroded_pages"]
        hot = min(self.pages, max(1, round(self.pages * hot_fraction)))
        collected = int(self.pages * fraction) if collects else 0
        cold = self.pages - hot
        if not cold:
            return float(collected - (hot - collected) * math.expm1(-writes / hot))
        hot_left, cold_left = max(0, hot - collected), self.pages - max(hot, collected)
        found = -hot_left * math.expm1(-writes * hot_share / hot)
        found -= cold_left * math.expm1(-writes * (1.0 - hot_share) / cold)
        return float(collected + found)


def _memory(web: Web) -> list[Form]:
    labels = ("eroded in a worker's life", "memory when eroded")
    own = web.workers * web.own_pages
    private = f"{pages_text(web.own_pages)} a worker, page tables included"
    told = [
        Form("private from the start", private, web.shared_pages + 0.98 * own,
             metric("memory_need_bytes", "total", per=PAGE_BYTES), holds="at least",
             beside=web.workers * OTHER_TABLES)
    ]  # fmt: skip
    if web.setting.fork == "on_demand":
        told = []
    if why := _not_served(web):
        told += [no_form(label, why) for label in labels]
    else:
        told += _erosion(web)
    most = web.shared_pages + web.workers * (web.own_pages + web.shared_pages)
    if web.setting.fork == "eager":
        most -= web.workers * web.shared_pages
    if web.arguments["leak_bytes"]:
        requests = web.requests + CHANCE * max(1.0, web.spread)
        if web.recycled:
            requests = min(requests, web.arguments["max_requests"] + web.jitter)
        most += web.workers * math.ceil(web.leaked(requests) + LEAK_EDGE_PAGES)
    return [
        *told,
        Form("ceiling", pages_text(most), most,
             metric("memory_need_bytes", "total", per=PAGE_BYTES), holds="at most",
             beside=(web.workers + 1) * (OTHER_PAGES + OTHER_TABLES)),
    ]  # fmt: skip


def _not_served(web: Web) -> str:
    if web.arguments["arrivals"] == "file":
        return "arrivals come from a file"
    if web.load_cpus > BUSY * web.setting.cpus:
        return f"requests take more than {BUSY:.0%} of the CPUs, so they queue"
    if web.arguments["requests_per_s"] * web.arguments["request_cpu_ns"] / S > BUSY:
        return f"requests take a worker more than {BUSY:.0%} of its time"
    if web.arguments["leak_bytes"] and (
        web.setting.huge or web.setting.folio_sizes or web.setting.fills
    ):
        return "what leaks takes more than it writes to"
    if web.setting.whole_copies:
        return "before 5.8 the first write to a huge page copies all 2 MiB of it"
    return ""


def _erosion(web: Web) -> list[Form]:
    """Return the forms of a server that serves what it is offered."""
    requests, every = web.life, web.arguments["collect_every"]
    collects = _share_that_collects(web, requests)
    eroded = collects * web.eroded(requests, collects=True)
    eroded += (1.0 - collects) * web.eroded(requests, collects=False)
    spread = web.jitter / 12**0.5 if web.requests > requests else max(1.0, web.spread)
    up = web.eroded(requests + spread, collects=collects > 0.5)
    down = web.eroded(max(0.0, requests - spread), collects=collects > 0.5)
    jump = web.pages * (collects * (1.0 - collects)) ** 0.5 if every else 0.0
    chance = CHANCE * ((up - down) / 2 + jump + max(1.0, eroded) ** 0.5)
    most = web.requests < requests + CHANCE * max(1.0, web.spread)  # some end early
    full = web.shared_pages + web.workers * (web.own_pages + eroded + web.leaked(requests))
    leaks = CHANCE * spread * web.arguments["leak_bytes"] / PAGE_BYTES
    if web.arguments["leak_bytes"]:
        leaks += LEAK_EDGE_PAGES
    return [
        Form(
            "eroded in a worker's life",
            f"{pages_text(eroded)}, {eroded / web.pages:.1%} of it" if eroded else "nothing",
            eroded,
            lambda document, name: _eroded_copies(document, name, web),
            holds="at most" if most and web.recycled else "about",
            within=0.01,
            beside=(0 if eroded else OTHER_PAGES) + chance,
        ),
        Form(
            "memory when eroded",
            pages_text(full),
            full,
            metric("memory_need_bytes", "total", per=PAGE_BYTES),
            holds="at most" if web.recycled or web.setting.fork == "on_demand" else "about",
            within=0.01,
            beside=web.workers**0.5 * (chance + leaks)
            + (web.workers + 1) * (OTHER_PAGES + OTHER_TABLES),
        ),
    ]


def _share_that_collects(web: Web, requests: float) -> float:
    """Return the share of workers that live to their first collection."""
    every = web.arguments["collect_every"]
    if not every:
        return 0.0
    if web.recycled and not web.jitter and requests >= web.arguments["max_requests"]:
        return float(requests >= every)
    if web.arguments["arrivals"] == "fixed":
        return 0.5 if abs(requests - every) <= 1 else float(requests >= every)
    return float(special.pdtrc(every - 1, requests))


def _eroded_copies(document: Document, name: str, web: Web) -> float:
    """Return what workers copied on average: those that served all they may, if any did."""
    records = [document["programs"].get(p["name"], {}) for p in children(document, name)]
    lives = [(r["requests"][0], r["eroded_copies"][0]) for r in records if "requests" in r]
    if not lives:
        raise LookupError("no worker has ended")
    most = web.arguments["max_requests"]
    full = [copies for served, copies in lives if most and served >= most]
    return float(mean(full or [copies for _, copies in lives]))
