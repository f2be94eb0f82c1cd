"""Runs with every index into the machine's arrays checked: ``COWPOOL_CHECK=indices``.

``python checked_runs.py N`` draws N programs and N histories of the kernel, and says how many ran,
``python checked_runs.py tight:N`` runs N scenarios that are short of memory;
``python checked_runs.py control`` says which wrong indices were noticed.
"""

import json
import sys
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from sim.base.cache import CHECKED
from sim.base.jit import compiled
from sim.machine import work
from sim.machine.layout import NONE, RECEIPT_ROWS, Arrays
from support.conservation import Conservation
from support.kernel import Kernel
from support.machines import machine
from support.programs_drawn import hosts, outcome
from support.scripts import scripts
from support.tight_runs import run_tight
from support.tight_scenarios import tight

QUICK = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "phases": (Phase.generate,),
    "suppress_health_check": list(HealthCheck),
}


@compiled
def read_receipt(m: Arrays, row: int, column: int) -> int:
    """Read one number of the receipt, wherever that may be."""
    return int(m.receipt[row, column])


@compiled
def write_task(m: Arrays, row: int) -> None:
    """Write to a task's row, wherever that may be."""
    m.tasks[row].state = 1


def check(examples: int) -> dict[str, int]:
    """Draw programs and histories, and return how many of each ran."""
    ran = {"programs": 0, "histories": 0}

    @settings(max_examples=examples, **QUICK)
    @given(programs=st.lists(scripts(), min_size=1, max_size=3), host=hosts)
    def programs_run(programs: list[Any], host: dict[str, Any]) -> None:
        outcome(programs, host, khugepaged_ns=100_000)
        ran["programs"] += 1

    class Counted(Conservation):
        def teardown(self) -> None:
            super().teardown()
            ran["histories"] += 1

    programs_run()
    short = settings(max_examples=examples, stateful_step_count=30, **QUICK)
    run_state_machine_as_test(Counted, settings=short)
    return ran


def short_of_memory(examples: int) -> dict[str, int]:
    """Run so many scenarios that are short of memory, and return how many ended."""
    for number in range(examples):
        run_tight(tight(number)).simulation.machine.release()
    return {"tight": examples}


def control() -> dict[str, bool]:
    """Return which wrong indices are noticed: all of them should be."""
    box = machine(memory_pages=64)
    rows = len(box.arrays.tasks)
    wrong = {
        "negative row": lambda: read_receipt(box.arrays, NONE, 0),
        "row too large": lambda: read_receipt(box.arrays, RECEIPT_ROWS, 0),
        "negative column": lambda: read_receipt(box.arrays, 0, NONE),
        "column too large": lambda: read_receipt(box.arrays, 0, 2),
        "record before the first": lambda: write_task(box.arrays, NONE),
        "record behind the last": lambda: write_task(box.arrays, rows),
        "a receipt without bound": lambda: receipt_runs_over(100),
    }
    found = {name: raises(attempt) for name, attempt in wrong.items()}
    found["nothing"] = raises(lambda: read_receipt(box.arrays, RECEIPT_ROWS - 1, 1))
    return found


def receipt_runs_over(lines: int) -> None:
    """Note more than fits, as one read of 34 MiB once did, without the bound of today."""
    kernel = Kernel(memory_pages=64)
    at = int(kernel.arrays.clock[0].lines)
    for line in range(at, lines):
        read_receipt(kernel.arrays, line, 0)
        kernel.arrays.receipt[line, 0] = work.CACHE_FILL


def raises(attempt: Any) -> bool:
    try:
        attempt()
    except IndexError:
        return True
    return False


if __name__ == "__main__":
    assert CHECKED, "set COWPOOL_CHECK=indices"
    asked, _, number = sys.argv[1].partition(":")
    if asked == "tight":
        said = short_of_memory(int(number))
    else:
        said = control() if asked == "control" else check(int(asked))
    json.dump(said, sys.stdout)
