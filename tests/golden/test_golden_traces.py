"""Traces that fit on a screen and were checked by hand once: order, timing and price.

`pytest --regen-golden` writes them anew and fails: read the diff, check it, and explain it in the
changelog under *Results change*.
"""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from support.machines import flat_prices, run

from sim.base.units import PAGE_BYTES
from sim.engine.system import System
from sim.engine.task import Task
from sim.engine.verbs.process import Process
from sim.program.api import Region

HERE = Path(__file__).parent
Life = Generator[Any, Any, None]

PRICES_NS = {
    "access": 100,
    "zero_fill": 900,
    "cow_copy": 1900,
    "cow_reuse": 400,
    "table_alloc": 300,
    "fork_base": 5000,
    "fork_area": 1000,
    "fork_table": 500,
    "fork_pte": 10,
    "exec_base": 3000,
    "exit_base": 1000,
    "unmap_pte": 10,
    "frame_free": 50,
    "table_free": 20,
    "mmap_call": 700,
    "madvise_call": 600,
    "context_switch": 200,
}


class Trace:
    """Lines of what happened, when, to whom, and how many frames were free then."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, task: Process, what: str) -> None:
        self._say(task.system, task.name, what)

    def _say(self, system: System, name: str, what: str) -> None:
        free = int(system.machine.arrays.pool[0].free)
        self.lines.append(f"{system.clock.now_ns:7} ns  {name:<7} {what:<42} free={free}")

    def watch(self, system: System) -> None:
        """Tell of waits for memory, which programs do not see."""
        waits = system.memory_waits.tasks
        park, wake = waits.park, waits.wake

        def tell_park(task: Task, cpu: int, what: str, *how: Any, **more: Any) -> None:
            park(task, cpu, what, *how, **more)
            self._say(system, task.name, f"waits for {what}".split(",")[0])

        def tell_wake(task: Task) -> None:
            wake(task)
            self._say(system, task.name, "may try again")

        waits.park, waits.wake = tell_park, tell_wake  # type: ignore[method-assign]


def compare(name: str, trace: Trace, regenerate: bool) -> None:
    """Compare a trace with its golden file, or write that file and fail."""
    file = HERE / f"{name}.txt"
    text = "\n".join(line.rstrip() for line in trace.lines) + "\n"
    if regenerate:
        file.write_text(text, encoding="utf-8")
        pytest.fail(f"{file.name} written anew: read the diff and explain it in CHANGELOG.md")
    assert text == file.read_text(encoding="utf-8")


def trace_of_the_textbook_pool(burst: int = 0, **other_prices_ns: int) -> Trace:
    """Parent and child share pages of a pool that is all but empty, under the `wait` policy.

    Checked by hand, with one CPU, first come first served, no preemption; changes of state happen
    at the start of a step, so who waits may try again while the step that helps it is under way.

    =====  =========================================================================================
    at ns  because
    =====  =========================================================================================
    3000   exec 3000; of 24 frames the kernel has 1, the image 9 (4 tables, a page, 4 of stack)
    3700   mmap 700
    5000   a leaf table 300, zero-fill 900, access 100; then 1000 a page
    17040  fork 5000, 3 areas 3000, 4 tables below the top 2000, 4 entries 40: 5 tables, 4 of stack
    19240  a switch 200, a copy 1900, access 100: the last frame; the child finds none for page 1
    37850  the parent wakes after 20000, a switch 200, madvise 600, an entry 10: page 1 has an owner
    38550  a switch 200, a reuse 400, access 100: no frame was freed, none is needed
    59050  the parent wakes after 20000, a switch 200, exit 1000; then its first leaf table goes:
           page 0, which it had to itself, and the table are the 2 that are free
    59410  that leaf 20 + 50 + 20, the stack's 10 + 20, two tables 40, four frames of stack 200
    60610  a switch 200, zero-fill 900, access 100; free: 2, and 8 of tables and stack, less this 1
    62190  exit 1000; leaf 40 + 200 + 20, the stack's 10 + 50 + 20, two tables 40, stack 200
    =====  =========================================================================================
    """
    trace = Trace()

    def parent(task: Process) -> Life:
        trace.watch(task.system)
        trace.say(task, "starts")
        data = yield from task.mmap(4 * PAGE_BYTES)
        trace.say(task, "mapped 4 pages")
        for page in range(3):
            yield from task.write(data, first=page, pages=1)
            trace.say(task, f"wrote page {page}")
        yield from task.fork(child, data, name="child")
        trace.say(task, "forked")
        yield from task.sleep(20_000)
        trace.say(task, "woke up")
        yield from task.dontneed(data, first=1, pages=1)
        trace.say(task, "gave page 1 back")
        yield from task.sleep(20_000)
        trace.say(task, "exits")

    def child(task: Process, data: Region) -> Life:
        trace.say(task, "is born")
        for page in (0, 1, 3):
            yield from task.write(data, first=page, pages=1)
            trace.say(task, f"wrote page {page}")
        trace.say(task, "exits")

    document = run(
        {"parent": parent},
        host={"memory_pages": 24, "cpus": 1, "queueing": True, "overcommit": 1},
        prices=flat_prices(**PRICES_NS | other_prices_ns),
        scheduler="fifo",
        burst=burst,
        check=True,
    )
    for process in document["processes"]:
        trace.lines.append(f"{process['ended_ns']:7} ns  {process['name']:<7} has exited")
    trace.lines.sort(key=lambda line: int(line.split()[0]))
    return trace


def test_the_last_owner_goes_on_although_no_frame_was_freed(
    pytestconfig: pytest.Config,
) -> None:
    regenerate = bool(pytestconfig.getoption("--regen-golden"))
    compare("textbook_pool", trace_of_the_textbook_pool(), regenerate)


def test_the_trace_is_the_same_step_by_step() -> None:
    assert trace_of_the_textbook_pool(burst=1).lines == trace_of_the_textbook_pool().lines


@pytest.mark.parametrize("line", sorted(PRICES_NS))
def test_a_nanosecond_more_for_anything_is_seen(line: str) -> None:
    """Negative control: no price in the list is without effect on the trace."""
    other = trace_of_the_textbook_pool(**{line: PRICES_NS[line] + 1})
    with pytest.raises(AssertionError):
        compare("textbook_pool", other, regenerate=False)
