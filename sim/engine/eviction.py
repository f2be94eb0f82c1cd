"""The kubelet's eviction: every ten seconds it looks how much memory its node has left.

Below its threshold it kills a pod as a whole, as Linux would not yet: one that uses more than it
asked for before one that does not, then the lower priority, then the one furthest above its
request.  From memory of Kubernetes 1.31, not checked: `pkg/kubelet/eviction`
(`eviction_manager.go` `synchronize`, `helpers.go` `rankMemoryPressure`); a pod's usage
is its working set.  What is left (`memory.available`) is MemTotal less the working set of all: free
memory and inactive pages of files, as the kubelet has it with version 2 of control groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.base.units import S
from sim.engine.endings import CRITICAL
from sim.engine.task import Signal
from sim.kernel.files.dirty import pages_on_list
from sim.machine.groups import is_within
from sim.machine.layout import LRU_INACTIVE_FILE, NONE, ROOT

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from sim.engine.system import System
    from sim.engine.task import Task

MONITORING_NS: Final = 10 * S
"""How often the kubelet looks (`evictionMonitoringPeriod`)."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A group that the kubelet may evict: what it asked for, in pages, and its priority."""

    group: str
    request_pages: int
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Eviction:
    """Below how many pages of memory.available the kubelet evicts one of some pods."""

    available_pages: int
    pods: tuple[Pod, ...]


def rank(usages: Sequence[tuple[Pod, int]]) -> list[Pod]:
    """Return pods in the order of their eviction, by their usage in pages.

    >>> rank([(Pod("a", 9), 8), (Pod("b", 1, 5), 9), (Pod("c", 1), 3)])[0].group
    'c'
    """
    ordered = sorted(
        usages,
        key=lambda each: (
            each[1] <= each[0].request_pages,
            each[0].priority,
            each[0].request_pages - each[1],
        ),
    )
    return [pod for pod, _ in ordered if pod.priority < CRITICAL]


def start_kubelet(system: System, eviction: Eviction) -> None:
    """Let the kubelet look after its node, as long as anybody else lives; it uses no CPU time."""
    system.clock.start(_monitor(system, eviction))


def _monitor(system: System, eviction: Eviction) -> Generator[Any, Any, None]:
    while True:
        yield system.clock.timer(MONITORING_NS, background=True)
        available = _available_pages(system)
        if available >= eviction.available_pages:
            continue
        living = [
            (pod, _working_set_pages(system, system.groups.rows[pod.group]))
            for pod in eviction.pods
            if _processes(system, pod)
        ]
        for pod in rank(living)[:1]:
            for process in _processes(system, pod):
                system.kills.note_eviction(process, pod.group, available, eviction.available_pages)
                system.signals.kill(process, Signal.EVICTED)


def _available_pages(system: System) -> int:
    m = system.machine.arrays
    return int(m.pool[0].free) + pages_on_list(m, ROOT, LRU_INACTIVE_FILE)


def _working_set_pages(system: System, group: int) -> int:
    m = system.machine.arrays
    return max(0, int(m.groups[group].usage) - pages_on_list(m, group, LRU_INACTIVE_FILE))


def _processes(system: System, pod: Pod) -> list[Task]:
    m, row = system.machine.arrays, system.groups.rows[pod.group]
    return [
        process
        for process in system.table.processes()
        if process.killed is None
        and (group := int(system.machine.process_of(process.row).group)) != NONE
        and is_within(m, group, row)
    ]
