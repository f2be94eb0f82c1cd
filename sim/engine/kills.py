"""Whom the out-of-memory killer took, why, and by which limit: what dmesg says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.base.units import PAGE_BYTES
from sim.machine.layout import NONE, ROOT
from sim.machine.words import PROCESS_GROUP, PROCESS_OOM_SCORE_ADJ

if TYPE_CHECKING:
    from sim.engine.clock import Clock
    from sim.engine.groups import GroupNames
    from sim.engine.held import Held
    from sim.engine.shortage import Scope
    from sim.engine.table import TaskTable
    from sim.engine.task import Task
    from sim.machine.machine import Machine


class KillLog:
    """The kills of a run, from its start, an entry for each process."""

    def __init__(
        self,
        machine: Machine,
        clock: Clock,
        table: TaskTable,
        names: GroupNames,
        held: Held,
    ) -> None:
        self._machine = machine
        self._clock = clock
        self._table = table
        self._names = names
        self._seen = held
        self.entries: list[dict[str, Any]] = []

    @property
    def first_ns(self) -> int | None:
        """When the kernel's killer first ended a process; the kubelet is not it."""
        return next((kill["t_ns"] for kill in self.entries if not kill.get("evicted")), None)

    def note(
        self,
        victim: Task,
        scope: Scope,
        asked: Task,
        badness: int | None,
        together: int | None,
        *,
        in_place_of: Task | None = None,
    ) -> None:
        """Note that `victim` is killed because `asked` could not have memory within `scope`.

        `badness` is its score in pages; `together` the group all of which is killed; `in_place_of`
        its parent, which had the highest score (before 5.1).  The limit may be the one of memory
        and swap together that groups of version 1 have.
        """
        self._seen.short()
        m = self._machine.arrays
        limit = scope.pages * PAGE_BYTES
        g = m.groups[scope.group]
        usage = limit if scope.group == ROOT else int(g.usage) * PAGE_BYTES
        with_swap = bool(scope.group != ROOT and m.operations[asked.row].over_memsw)
        if with_swap:
            limit, usage = (int(n) * PAGE_BYTES for n in (g.memsw_limit, g.usage + g.swap))
        self.entries.append(
            {
                **self._who(victim),
                "asked_by": asked.leader.name,
                "limit_of": self._names.of_row(scope.group),
                "limit_bytes": limit,
                "usage_bytes": usage,
                **({"of_memory_and_swap": True} if with_swap else {}),
                "badness_pages": badness,
                "killed_with": None if together is None else self._names.of_row(together),
                **({} if in_place_of is None else {"in_place_of": in_place_of.leader.name}),
                **self._held(victim),
            }
        )

    def note_eviction(self, victim: Task, pod: str, left_pages: int, least_pages: int) -> None:
        """Note that `victim` is killed with its pod: `left_pages` were less than `least_pages`.

        Its limit is the least that is to be left, its usage what was.
        """
        self._seen.look()
        self.entries.append(
            {
                **self._who(victim),
                "asked_by": "kubelet",
                "limit_of": None,
                "limit_bytes": least_pages * PAGE_BYTES,
                "usage_bytes": left_pages * PAGE_BYTES,
                "badness_pages": None,
                "killed_with": pod,
                "evicted": True,
                **self._held(victim),
            }
        )

    def _who(self, victim: Task) -> dict[str, Any]:
        attribute = self._machine.attribute
        return {
            "t_ns": self._clock.now_ns,
            "process": victim.leader.name,
            "pid": int(victim.leader.pid),
            "group": self._names.of_row(attribute(victim.row, PROCESS_GROUP)),
            "oom_score_adj": attribute(victim.row, PROCESS_OOM_SCORE_ADJ),
        }

    def _held(self, victim: Task) -> dict[str, int]:
        m = self._machine.arrays
        space = self._table.space_of(victim)
        held = dict.fromkeys(("total_vm", "anon_rss", "file_rss", "shmem_rss", "page_tables"), 0)
        if space != NONE:
            s = m.spaces[space]
            columns = ("pages", "rss_anon", "rss_file", "rss_shmem", "tables")
            held = {name: int(s[column]) for name, column in zip(held, columns, strict=True)}
        return {f"{name}_bytes": pages * PAGE_BYTES for name, pages in held.items()}
