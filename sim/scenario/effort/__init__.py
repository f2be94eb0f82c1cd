"""How much work a run is to the simulator: a pure function of the resolved scenario.

Within a factor of 1.5 for the programs that ship (`tests/property/test_expected_work.py`).  Being
wrong here costs time, never a result: heavy runs start first, time left is told, and a study takes
as many runs of a point as its work allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import PAGE_BYTES
from sim.engine.replicas import groups_around, how_many
from sim.program import PROGRAMS
from sim.program.signature import keyword_arguments
from sim.scenario.effort.amount import Amount, work_s
from sim.scenario.effort.programs import (
    LIFE,
    build_effort,
    growth_effort,
    pipeline_effort,
    prefork_effort,
    redis_effort,
)
from sim.scenario.effort.steps import steps_effort
from sim.scenario.forms.host import data_pages
from sim.scenario.forms.setting import setting_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.scenario.forms.setting import Setting

NEVER_NS: Final = 1 << 62
"""A run without a horizon ends when its work has."""

EFFORTS: Final[Mapping[str, Callable[[Mapping[str, Any], Setting, int], Amount]]] = {
    "build_storm": build_effort,
    "heap_growth": growth_effort,
    "prefork_web": prefork_effort,
    "redis": redis_effort,
    "shell_pipeline": pipeline_effort,
    "steps": steps_effort,
}
"""By program: takes its arguments, the setting and the horizon in ns."""


def expected_work(scenario: Mapping[str, Any]) -> Amount:
    """Return what a run of a resolved scenario does, as far as that can be said.

    What does not fit the host is not filled: then the process is killed, and does nothing more.
    """
    host, horizon_ns = scenario["host"], scenario["run"]["horizon"] or NEVER_NS
    setting = setting_of(host, scenario["policy"])
    room = data_pages(host)
    total = Amount()
    for process in scenario["processes"].values():
        program = PROGRAMS.get(process["program"])
        effort = EFFORTS.get(process["program"])
        if program is None or effort is None:  # of a plug-in, whose work nobody knows
            total += _by_sizes(process, host).times(how_many(process, scenario["groups"]))
            continue
        arguments = keyword_arguments(program, process)
        left_ns = max(1, horizon_ns - _starts_ns(process, scenario["groups"]))
        one = effort(arguments, setting, left_ns)
        if process["program"] == "redis" and one.fills > 1.02 * room:
            one = LIFE + Amount(fills=room, accesses=room, removed=room)
        total += one.times(how_many(process, scenario["groups"]))
    return total


def expected_work_s(scenario: Mapping[str, Any]) -> float:
    """Return the worker time that a run of a resolved scenario may take, in s."""
    return work_s(expected_work(scenario), scenario["host"])


def _starts_ns(process: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]]) -> int:
    """Return when a process starts on average, where that is at random."""
    staggered = (process, *(groups[name] for name in groups_around(process["group"], groups)))
    return int(process["start"] + sum(each.get("start_within", 0) for each in staggered) // 2)


def _by_sizes(process: Mapping[str, Any], host: Mapping[str, Any]) -> Amount:
    """Return a guess for a program that is not known: it fills what its sizes say."""
    sizes = sum(v for k, v in process.items() if isinstance(v, int) and v > PAGE_BYTES)
    pages = min(sizes, host["memory"]) / PAGE_BYTES
    return LIFE + Amount(fills=pages, accesses=pages, removed=pages, operations=10)


__all__ = ["Amount", "expected_work", "expected_work_s", "work_s"]
