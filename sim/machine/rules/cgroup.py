"""What control groups of version 1 do otherwise than those of version 2: a table, a bit each.

A machine follows `cgroup_rules(host.cgroup)`, bits that compiled code finds in ``config.cgroup``.
Read in Linux 6.12 `mm/memcontrol.c`, `mm/memcontrol-v1.c`, `mm/vmscan.c` and the documentation of
both.  What was asked of running kernels is in docs/conformance.md, *In a control group*.  Some are
only told yet: see `simulated`.
"""

from typing import Final, Self

from sim.machine.rules.rule import BOTH, NOTHING, ONLY_V2, SEEN, SOURCE_6_12


class Version1(int):
    """A difference: its bit, what each version does, what it changes, and how it was checked.

    `simulated` is whether anything goes by it yet.
    """

    v2: str
    v1: str
    changes: str
    checked: str
    simulated: bool

    def __new__(
        cls, number: int, v2: str, v1: str, changes: str, checked: str, *, simulated: bool = False
    ) -> Self:
        """Make a row of the table; `number` is that of its bit."""
        row = super().__new__(cls, 1 << number)
        row.v2, row.v1, row.changes, row.checked = v2, v1, changes, checked
        row.simulated = simulated
        return row


V1_MEMSW: Final = Version1(
    0,
    "`memory.max` limits memory and `memory.swap.max` swap, each by itself",
    "`memory.memsw.limit_in_bytes` limits memory and swap together",
    "how much of a group can be swapped out; kills",
    SEEN,
    simulated=True,
)
V1_SWAPPINESS: Final = Version1(
    1,
    "`vm.swappiness` holds for all groups",
    "each group has its own, `memory.swappiness`; a new one has its parent's",
    "how reclaim divides between files and anonymous memory",
    SOURCE_6_12,
    simulated=True,
)
V1_NO_HIGH: Final = Version1(
    2,
    "a group above `memory.high` is slowed down, and nothing of it killed",
    "there is no such limit",
    "times of tasks in groups",
    ONLY_V2,
    simulated=True,
)
V1_NO_PROTECTION: Final = Version1(
    3,
    "reclaim spares what `memory.min` and `memory.low` protect",
    "nothing protects a group (a soft limit only says which is reclaimed first)",
    "whose pages reclaim takes",
    ONLY_V2,
    simulated=True,
)
V1_NO_OOM_GROUP: Final = Version1(
    4,
    "`memory.oom.group` has all processes of a group killed with one",
    "each is killed alone",
    "kills",
    ONLY_V2,
    simulated=True,
)
V1_WRITEBACK_WAITS: Final = Version1(
    5,
    "whoever dirties pages is throttled by dirty limits of the group; reclaim does not wait",
    "a group has no dirty limits; its reclaim waits for pages that are being written",
    "times of writers and of reclaim in groups",
    SOURCE_6_12,
    simulated=True,
)
V1_FAILCNT: Final = Version1(
    6,
    "`memory.events` counts `low`, `high`, `max`, `oom`, `oom_kill`, also of those nested in it",
    "`memory.failcnt` counts charges refused at its limit, `memory.oom_control` kills of its own",
    "what is counted where",
    BOTH,
    simulated=True,
)
V1_NO_PSI: Final = Version1(
    7,
    "`memory.pressure` has the stalls of each group",
    "only the machine has such figures",
    "pressure of groups",
    ONLY_V2,
    simulated=True,
)

DIFFERENCES: Final = {name: row for name, row in globals().items() if isinstance(row, Version1)}
"""By name."""


def cgroup_rules(version: str) -> int:
    """Return the bits of what groups of a version, ``v1`` or ``v2``, do otherwise than v2's."""
    return sum(DIFFERENCES.values()) if version == "v1" else 0


def cgroup_table() -> str:
    """Return the table of what differs between the versions, in Markdown."""
    lines = ["| v2 | v1 | differs in | checked |", "|---|---|---|---|"]
    for row in DIFFERENCES.values():
        changes = row.changes + ("" if row.simulated else f" ({NOTHING} yet)")
        lines.append(f"| {row.v2} | {row.v1} | {changes} | {row.checked} |")
    return "\n".join(lines) + "\n"
