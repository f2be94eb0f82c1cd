"""What an operation did: the one record that predictions and the kernel both come as."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from sim.script.grammar import TOUCHING_VERBS, Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Figures:
    """One region of one process as ``/proc/PID/smaps`` shows it, in pages.

    `rss` Rss, `anon` Anonymous, `pdirty` Private_Dirty, `sdirty` Shared_Dirty, `swap` Swap, `thp`
    AnonHugePages, `hugetlb` Shared_Hugetlb and Private_Hugetlb (told where there are any), each
    summed over all areas (VMAs) that lie inside the region.

    `joined` names all regions that share areas with this one, itself among them; "" if none does.
    smaps has one line for what they share: where it was asked, the counts that `summed` names are
    those of all of them together.
    """

    process: str
    region: str
    rss: int = 0
    anon: int = 0
    pdirty: int = 0
    sdirty: int = 0
    swap: int = 0
    thp: int = 0
    hugetlb: int = 0
    joined: str = ""
    summed: tuple[str, ...] = ()

    def values(self) -> dict[str, int]:
        """Return the counts by name."""
        return {name: getattr(self, name) for name in COUNTS}

    def counts_text(self) -> str:
        """Return the counts as they are printed."""
        told = (item for item in self.values().items() if item != ("hugetlb", 0))
        return " ".join(f"{name}={value}" for name, value in told)

    def __str__(self) -> str:
        counts = self.counts_text()
        joined = f" joined={self.joined}" if self.joined else ""
        return f"  {self.process} {self.region} {counts}{joined}"


COUNTS: Final = tuple(field.name for field in fields(Figures))[2:-2]
OF_AREAS: Final = ("pdirty", "sdirty", "swap")
"""Counts that the kernel tells of areas only, not of single pages."""


def together(figures: Sequence[Figures], whose: Figures, count: str) -> int:
    """Return a count of all regions that are joined with one, itself included."""
    return sum(
        int(getattr(f, count))
        for f in figures
        if f.process == whose.process and f.region in (whose.joined or whose.region)
    )


def as_told(figures: Sequence[Figures]) -> tuple[Figures, ...]:
    """Return figures as the kernel tells them: counts of joined regions are those of all."""
    return tuple(f if f.summed or not f.joined else _summed(figures, f) for f in figures)


def _summed(figures: Sequence[Figures], whose: Figures) -> Figures:
    pdirty, sdirty, swap = (together(figures, whose, name) for name in OF_AREAS)
    return replace(whose, pdirty=pdirty, sdirty=sdirty, swap=swap, summed=OF_AREAS)


KILLED: Final = "killed"
"""How an operation ends whose process is killed, because its control group is out of memory."""
GONE: Final = "gone"
"""How one ends whose process was killed before, or never came to be."""


@dataclass(frozen=True, slots=True)
class OpRecord:
    """One operation, what it counted, and what every region looks like after it.

    `minflt` counts the process's minor faults during the operation; `ns` is how long it took, or
    ``None`` if nobody asked.  `ending` is "" where all went well, the name of the error where a
    call was refused (``ENOMEM``), ``SIGSEGV`` where an access was not allowed: the accesses before
    it happened, and the process is gone.  `figures` has every region of every living process, in
    order of birth and name.

    `majflt` counts its major faults.  `unsure` names the regions, as (process, name), of files that
    were read ahead: how far that had come when somebody waited for a page is the device's affair,
    so their faults and figures are predicted, and not compared.

    In a control group, `usage` is what it is charged for after the operation, in pages, and
    `killed` names the processes that were killed during it, in order of birth.  Once something was
    freed `usage` is not compared (`usage_sure`): Linux gives back tables, stacks and processes when
    it suits it.
    """

    operation: Operation
    minflt: int
    figures: tuple[Figures, ...]
    ns: int | None = None
    ending: str = ""
    majflt: int = 0
    unsure: frozenset[tuple[str, str]] = frozenset()
    usage: int | None = None
    usage_sure: bool = True
    killed: tuple[str, ...] = ()

    @property
    def is_touch(self) -> bool:
        """Whether `minflt` is compared with a kernel."""
        return self.operation.verb in TOUCHING_VERBS

    def headline(self) -> str:
        """Return the operation's line of the output."""
        words = [str(self.operation), f"minflt={self.minflt}"]
        if self.majflt:
            words.append(f"majflt={self.majflt}")
        if self.ns is not None:
            words.append(f"ns={self.ns}")
        if self.ending:
            words.append(f"ending={self.ending}")
        return " ".join([*words, *self.group_words()])

    def group_words(self) -> list[str]:
        """Return what is printed of the control group, if there is one."""
        killed = [f"killed={','.join(self.killed)}"] if self.killed else []
        usage = self.usage if self.usage_sure else f"({self.usage})"
        return killed if self.usage is None else [f"usage={usage}", *killed]

    def __str__(self) -> str:
        return "\n".join((self.headline(), *map(str, self.figures)))

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        return {
            "minflt": self.minflt,
            "majflt": self.majflt,
            "ns": self.ns,
            "ending": self.ending,
            **({} if self.usage is None else {"usage": self.usage, "killed": [*self.killed]}),
            "figures": [
                {"process": f.process, "region": f.region, **f.values(), "joined": f.joined}
                for f in self.figures
            ],
        }


@dataclass(slots=True)
class GroupRun:
    """What a script did in a control group: as `sim.host.kernel.InGroup`, predicted.

    `scores` are badness in pages of those who could be killed, by name, for each kill; `events`
    those of `memory.events`, by name.
    """

    records: list[OpRecord] = field(default_factory=list)
    kernel_pages: list[int] = field(default_factory=list)
    scores: list[dict[str, int]] = field(default_factory=list)
    events: dict[str, int] = field(default_factory=dict)
    failcnt: int = 0
    peak_pages: int = 0


def format_records(records: Iterable[OpRecord]) -> str:
    """Return the output of a script: each operation's line, then a line for each region."""
    return "".join(f"{record}\n" for record in records)
