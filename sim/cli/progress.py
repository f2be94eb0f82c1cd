"""How far a study is, for people: lines and tables of `cowpool status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.base.counts import counted
from sim.base.units import S, format_duration
from sim.cli.show import Page
from sim.cli.tables import Table
from sim.study.packed import damaged_words
from sim.study.status import LEAST_FINISHED

if TYPE_CHECKING:
    from sim.study.status import Count, Left, Status

MOST_POINTS: Final = 20
MOST_FAILURES: Final = 10
_HEADINGS: Final = ("done", "failed", "left")


def show_status(status: Status) -> None:
    """Print how far a study is."""
    page = Page()
    page.sentence(f"{status.name}: {status.question}" if status.question else status.name, "bold")
    page.sentence(_who(status))
    page.sentence(_runs(status.whole) + damaged_words(status.damaged))
    if time := _time(status.left, running=status.process is not None):
        page.sentence(time)
    if not status.whole.planned:
        return
    parts = Table(("part", *_HEADINGS))
    parts.rows += [(part, *_counts(count)) for part, count in status.parts.items()]
    page.table(parts.lines(page.width))
    several = len({point for _, point in status.points}) > 1
    if several:
        _show_points(page, status)
    _show_failures(page, status)


def _who(status: Status) -> str:
    quiet = f"last written {_time_text(status.quiet_s)} ago"
    if not status.watched:
        return f"Whether somebody runs it cannot be seen here; {quiet}."
    if status.process is None:
        goes_on = "" if status.whole.planned and not status.whole.left else (
            f" What is left is made by: {status.command}"
        )  # fmt: skip
        return f"Nobody runs it now; {quiet}.{goes_on}"
    who = f" by process {status.process}" if status.process > 0 else ""
    return f"It is run now{who}; {quiet}."


def _runs(count: Count) -> str:
    return (
        f"{count.done:,} of {count.planned:,} runs that are planned so far are done,"
        f" {count.failed:,} failed, {count.left:,} are left."
    )


def _time(left: Left, *, running: bool) -> str:
    later = "What later rounds need is decided by results; it is not in this."
    if not left.runs:
        return later.replace("it is not in this", "nothing is said of it") if running else ""
    if left.work_s is None:
        return "How long that takes is not known: no run is finished."
    work = (
        f"{counted(left.runs, 'run')} of {_time_text(left.work_s / left.runs)}"
        f" on average ({left.alike:,} like finished ones)"
    )
    if left.time_s is not None and left.at_once is not None and left.seen_s is not None:
        return (
            f"That takes about {_time_text(left.time_s)}: {work}, {left.at_once:.1f} at a time, as"
            f" over the last {_time_text(left.seen_s)} ({counted(left.finished, 'run')}). {later}"
        )
    why = ""
    if running:
        why = f" How many are made at a time is not known: fewer than {LEAST_FINISHED} are finished"
        why += " since it was begun."
    return f"That takes {_time_text(left.work_s)}, one at a time: {work}.{why} {later}"


def _show_points(page: Page, status: Status) -> None:
    """Print counts by point: of many, those with something left or failed come first."""
    places = list(status.points)
    if len(places) > MOST_POINTS:
        places.sort(key=lambda place: not (status.points[place].left + status.points[place].failed))
    table = Table(("point", *_HEADINGS))
    for part, point in places[:MOST_POINTS]:
        name = status.point_names.get(point) or str(point)
        table.rows.append((f"{part}: {name}", *_counts(status.points[part, point])))
    page.table(table.lines(page.width))
    if len(places) > MOST_POINTS:
        page.lines([f"and {len(places) - MOST_POINTS:,} more; --json has them all"])


def _show_failures(page: Page, status: Status) -> None:
    if status.failures:
        page.lines([""])
    for failed in status.failures[:MOST_FAILURES]:
        where = f" ({failed.point_name})" if failed.point_name else ""
        raised = f" [{failed.raised_in}]" if failed.raised_in else ""
        page.sentence(
            f"failed: {failed.part}{where}, host {failed.host}, run {failed.replication}:"
            f" {failed.reason}{raised}"
        )
    if len(status.failures) > MOST_FAILURES:
        page.lines([f"failed: {len(status.failures) - MOST_FAILURES:,} more; --json has them all"])


def _counts(count: Count) -> tuple[str, ...]:
    return tuple(f"{n:,}" for n in (count.done, count.failed, count.left))


def _time_text(time_s: float) -> str:
    return format_duration(round(time_s * S))
