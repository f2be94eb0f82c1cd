"""What growing heaps should do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.base.units import PAGE_BYTES, format_bytes, pages_for
from sim.scenario.forms.figures import OTHER_PAGES, metric, pages_text
from sim.scenario.forms.form import Form, no_form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.scenario.forms.setting import Setting


def growth_forms(arguments: Mapping[str, Any], setting: Setting) -> list[Form]:
    """Return what closed forms expect of the program with these arguments."""
    processes, steps = arguments["processes"], arguments["steps"]
    share = 1.0 if setting.fills else arguments["touched_fraction"]
    touched = int(pages_for(arguments["step_bytes"]) * share)
    a_cycle = processes * steps * touched
    step_bytes = arguments["step_bytes"]
    if arguments["method"] != "malloc":  # each call takes whole pages
        step_bytes = pages_for(step_bytes) * PAGE_BYTES
    promised = format_bytes(processes * steps * step_bytes)
    return [
        _zero_fills(arguments, setting, arguments["cycles"] * a_cycle),
        _full(arguments, setting, a_cycle),
        Form("promised when all are full", promised),
    ]


def _zero_fills(arguments: Mapping[str, Any], setting: Setting, pages: int) -> Form:
    label = "zero-fills"
    if setting.huge or setting.folio_sizes:
        return no_form(label, "a fault fills a large folio")
    if arguments["method"] == "malloc":
        return no_form(label, "glibc keeps and gives back as its thresholds say")
    return Form(
        label,
        f"{pages:,} if no step is refused",
        pages,
        metric("zero_fills"),
        holds="about",
        beside=arguments["processes"] * OTHER_PAGES,
    )


def _full(arguments: Mapping[str, Any], setting: Setting, pages: int) -> Form:
    label = "frames when all are full"
    if arguments["method"] == "malloc":
        return no_form(label, "glibc keeps and gives back as its thresholds say")
    if setting.huge or setting.folio_sizes:
        return no_form(label, "a page touched takes a large folio")
    return Form(
        label,
        pages_text(pages),
        pages,
        metric("memory_need_bytes", "data", per=PAGE_BYTES),
        holds="at most",
        beside=arguments["processes"] * OTHER_PAGES,
    )
