"""One operation of the simulated kernel, from its fields in a task's row to how it ended.

Scripts of memory operations, of malloc and of spawns are all carried out so: no clock, one task
after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final

from sim.base.errors import Errno, KernelPanicError
from sim.engine.direct import carry_out
from sim.kernel.work import DONE, EINVAL, ENOMEM, GROW, SEGV, SHORT
from sim.machine.layout import NONE
from sim.machine.words import (
    T_AT,
    T_ERRNO,
    T_FAULT_FROM_NS,
    T_NEED,
    T_OP,
    T_STAGE,
    T_WAITS,
    T_WITHIN,
    T_WORDS,
    TASK_COLUMNS,
)

if TYPE_CHECKING:
    from sim.machine.machine import Machine

SIGSEGV: Final = "SIGSEGV"
"""How an access ends that may not be."""
ERRNO_NAMES: Final = {ENOMEM: Errno.ENOMEM.name, EINVAL: Errno.EINVAL.name}

Ended = tuple[str, int, int]
"""How an operation ended (as in `OpRecord.ending`), its minor faults, its time in ps."""
Work = Generator[None, None, Ended]
"""An operation under way: it stops wherever memory is short, to try again when sent on."""
Carry = Callable[[], tuple[int, int, int]]
"""Does a task's steps while it can: how the last one ended, minor faults, time in ps."""


def operate(
    machine: Machine,
    row: int,
    cpu: int,
    op: int,
    fields: dict[str, int],
    carry: Carry | None = None,
) -> Work:
    """Have the task in `row` carry out `op` on `cpu`, with these fields of its row set.

    `carry` does the steps in place of `carry_out`, for who watches them.
    """
    at = row * T_WORDS
    words = machine.arrays.words.tasks
    words[at + T_STAGE] = words[at + T_AT] = words[at + T_WITHIN] = 0
    words[at + T_ERRNO] = words[at + T_NEED] = words[at + T_WAITS] = 0
    words[at + T_FAULT_FROM_NS] = NONE
    for name, value in fields.items():
        words[at + TASK_COLUMNS[name]] = value
    words[at + T_OP] = op
    faults = ps = 0
    while True:
        status, more_faults, more_ps = (
            carry_out(machine.arrays, cpu, row) if carry is None else carry()
        )
        faults += more_faults
        ps += more_ps
        if status == GROW:
            machine.make_room()
        elif status == SHORT:
            yield
        elif status == SEGV:
            return SIGSEGV, faults, ps
        elif status == DONE:
            errno = machine.arrays.words.tasks[at + T_ERRNO]
            return ERRNO_NAMES[errno] if errno else "", faults, ps
        else:
            raise KernelPanicError(f"a step ended with {status}", f"operation {op} of task {row}")


def at_once(work: Work) -> Ended:
    """Carry out an operation that finds all the memory it needs."""
    try:
        next(work)
    except StopIteration as done:
        ended: Ended = done.value
        return ended
    raise KernelPanicError("a large machine ran out of memory")
