"""Trials on smaller hosts: how often memory ran out, and whether that refutes the answer.

Three questions, three kinds of runs:

- How often does memory run out on a host of a size fixed beforehand?  ``check`` runs, a binomial
  count.
- Are the books right: does memory run out exactly in those runs whose need, measured on a large
  host with the same random numbers, is more than the host leaves?  ``check`` and ``around`` runs.
  They repeat the luck that the answer was made from, so they can say nothing about the answer: the
  largest of n needs is at most (n - 1) / sqrt(n) standard deviations above their mean (Samuelson
  1968), which no bound for n up to 14 is below.
- Does the answer hold?  ``fresh`` runs, whose random numbers had no part in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sim.base.counts import out_of
from sim.stats.proportion import POWER, exact_limits, refuting_count, share_noticed
from sim.stats.tolerance import UpperBound
from sim.study.frames import frame_of
from sim.study.points import Axis, Point
from sim.study.records import Record
from sim.study.tables import Groups, levels_of

SAME_LUCK: Final = "same random numbers as the bound: no estimate"


def oom_table(
    groups: Groups,
    axes: Sequence[Axis],
    points: Sequence[Point],
    factors: Mapping[str, Sequence[float]],
    confidence: float,
    looks: int,
) -> Any:
    """Return one row a point and host: how often memory ran out, with exact limits.

    `factors` says, for each part, which multiple of the data or of the answer a host is; `looks`
    at how many moments results decided whether a host is run again.  Hosts whose size came from
    the same runs have counts without limits.
    """
    rows = []
    for (part, point, host), records in sorted(groups.items()):
        if part not in factors:
            continue
        events = sum(record.ran_out for record in records)
        seen = exact_limits(events, len(records), confidence=confidence, looks=looks)
        own = part == "check"
        text = str(seen) if own else f"{events} of {len(records)} ({SAME_LUCK})"
        idle = sum(bool(record.in_the_way(of_need=True)) for record in records)
        if idle:
            text += f" [{out_of(idle, len(records), 'run')} not answered]"
        rows.append(
            {
                "part": part,
                **levels_of(axes, points[point]),
                "point": point,
                "factor": factors[part][host],
                "host_memory_bytes": records[0].memory_bytes,
                "ran_out": events,
                "runs": len(records),
                "low": seen.low if own else None,
                "high": seen.high if own else None,
                "confidence": confidence,
                "not_answered": idle,
                "text": text,
            }
        )
    return frame_of(rows)


def outgrown(groups: Groups, point: int) -> list[tuple[int, int, int]]:
    """Return the hosts that a point's need was first to be measured on and ran out of.

    Each as its memory in bytes, in how many runs memory ran out, and of how many.
    """
    hosts = sorted(host for part, own, host in groups if (part, own) == ("outgrown", point))
    cells = [groups["outgrown", point, host] for host in hosts]
    return [(runs[0].memory_bytes, sum(r.cut_off for r in runs), len(runs)) for runs in cells]


@dataclass(frozen=True, slots=True)
class Books:
    """In how many trial runs the accounting held; `lost` more had no run to compare with."""

    agree: int
    runs: int
    lost: int


def books(groups: Groups) -> Books:
    """Return whether memory ran out just when it had to, in runs with the same random numbers.

    It had to when the need that the same replication had on a large host is more than the host
    leaves for processes.  A need that was cut off is more than any host up to that large.
    """
    agree = runs = lost = 0
    for (part, point, _), records in groups.items():
        if part not in ("check", "around"):
            continue
        large = {r.place.replication: r for r in groups.get(("need", point, 0), [])}
        for record in records:
            had_to = _had_to_run_out(record, large.get(record.place.replication))
            if had_to is None:
                lost += 1
            else:
                runs += 1
                agree += record.ran_out == had_to
    return Books(agree, runs, lost)


def _had_to_run_out(record: Record, on_large_host: Record | None) -> bool | None:
    """Return whether memory had to run out in `record`; None if that is not known."""
    if on_large_host is None or on_large_host.in_the_way(of_need=True):
        return None
    if on_large_host.cut_off:
        return True if record.usable_bytes <= on_large_host.usable_bytes else None
    need_bytes = on_large_host.scalars.get("memory_need_bytes.total")
    return None if need_bytes is None else need_bytes > record.usable_bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What fresh runs say about an answer: that a share `content` of all needs is within it.

    `exceeded` of `runs` needs were larger; in `ran_out` of them memory ran out.  `refuting` or
    more of them refute the answer: so many have a chance of 5 % at most if it holds.  `noticed` is
    the share of needs beyond the bound that would have been refuted with a chance of `power`; None
    if no count refutes.  `lost` runs have no result, or did not do what they were made for.
    """

    runs: int
    exceeded: int
    ran_out: int
    refuting: int
    noticed: float | None
    power: float
    content: float
    refuted: bool
    lost: int

    def plain(self) -> dict[str, Any]:
        """Return the verdict as JSON-able values."""
        return asdict(self)


def verdict(records: Sequence[Record], bound: UpperBound, *, planned: int) -> Verdict | None:
    """Return what fresh runs of the answer's point say about its bound; None without any."""
    usable = [r for r in records if not r.in_the_way(of_need=True)]
    if not usable:
        return None
    exceeded = sum(exceeds(record, bound.bound) for record in usable)
    return judged(
        len(usable),
        exceeded,
        content=bound.content,
        ran_out=sum(record.ran_out for record in usable),
        lost=planned - len(usable),
    )


def exceeds(record: Record, bound_bytes: float) -> bool:
    """Return whether a run needed more than a bound; one that was cut off needed more."""
    need_bytes = record.scalars.get("memory_need_bytes.total") or 0.0
    return record.cut_off or need_bytes > bound_bytes


def judged(runs: int, exceeded: int, *, content: float, ran_out: int = 0, lost: int = 0) -> Verdict:
    """Return the verdict on a bound for `content` of all values, `exceeded` by some of `runs`."""
    refuting = refuting_count(runs, 1 - content)
    noticed = share_noticed(runs, refuting) if refuting <= runs else None
    return Verdict(
        runs=runs,
        exceeded=exceeded,
        ran_out=ran_out,
        refuting=refuting,
        noticed=noticed,
        power=POWER,
        content=content,
        refuted=exceeded >= refuting,
        lost=lost,
    )
