"""Whom the out-of-memory killer took, why, and by which limit: what dmesg says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.base.units import PAGE_BYTES
from sim.machine.layout import NONE, ROOT

if TYPE_CHECKING:
    from sim.engine.clock import Clock
    from sim.engine.groups import GroupNames
    from sim.engine.shortage import Scope
    from sim.engine.table import TaskTable
    from sim.engine.task import Task
    from sim.machine.machine import Machine


class KillLog:
    """The kills of a run, from its start, an entry for each process."""

    def __init__(self, machine: Machine, clock: Clock, table: TaskTable, names: GroupNames) -> None:
        self._machine = machine
        self._clock = clock
        self._table = table
        self._names = names
        self.entries: list[dict[str, Any]] = []

    def note(
        self, victim: Task, scope: Scope, asked: Task, badness: int | None, together: int | None
    ) -> None:
        """Note that `victim` is killed because `asked` could not have memory within `scope`.

        `badness` is its score in pages; `together` the group all of which is killed.
        """
        m = self._machine.arrays
        leader = victim.leader
        space = self._table.space_of(victim)
        p = self._machine.process_of(victim.row)
        held = dict.fromkeys(("total_vm", "anon_rss", "file_rss", "shmem_rss", "page_tables"), 0)
        if space != NONE:
            s = m.spaces[space]
            columns = ("pages", "rss_anon", "rss_file", "rss_shmem", "tables")
            held = {name: int(s[column]) for name, column in zip(held, columns, strict=True)}
        limit = scope.pages * PAGE_BYTES
        usage = limit if scope.group == ROOT else int(m.groups[scope.group].usage) * PAGE_BYTES
        self.entries.append(
            {
                "t_ns": self._clock.now_ns,
                "process": leader.name,
                "pid": int(leader.pid),
                "group": self._names.of_row(int(p.group)),
                "asked_by": asked.leader.name,
                "limit_of": self._names.of_row(scope.group),
                "limit_bytes": limit,
                "usage_bytes": usage,
                "badness_pages": badness,
                "oom_score_adj": int(p.oom_score_adj),
                "killed_with": None if together is None else self._names.of_row(together),
                **{f"{name}_bytes": pages * PAGE_BYTES for name, pages in held.items()},
            }
        )
