"""How long forks take by the prices, explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import GIB, format_bytes, format_duration, pages_for
from sim.scenario.explain.section import Section
from sim.scenario.forms.fork import fork_ns, vfork_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.scenario.forms.setting import Setting

WITHIN: Final = 0.02
"""How near the times are to those of a run without waiting."""


def forks_section(setting: Setting, host: Mapping[str, Any]) -> Section:
    """Return how long forks of parents of some sizes take, beside what was published.

    What was published are forks with copy-on-write of memory in small pages.
    """
    compared = setting.fork == "cow" and not setting.huge and not setting.folio_sizes
    published = {
        point["rss"]: f"; published {format_duration(point['time'])} ({point['source']})"
        for point in host["published"]
        if point["kind"] == "fork" and compared
    }
    lines = [
        (
            f"{format_bytes(rss)} resident",
            f"{format_duration(round(fork_ns(setting, pages_for(rss))))}, ±{100 * WITHIN:g} %"
            + published.get(rss, ""),
        )
        for rss in sorted({*published, GIB // 64, GIB, 16 * GIB})
    ]
    held = format_duration(round(vfork_ns(setting)))
    lines.append(("vfork, posix_spawn", f"{held} at least, whatever the size: until exec is done"))
    return Section("Fork times at these prices, without waiting", tuple(lines))
