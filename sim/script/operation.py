"""One operation of the simulated kernel, from its fields to how it ended.

Scripts of memory operations, of malloc and of spawns are all carried out so: no clock, one task
after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final

from sim.base.errors import Errno, KernelPanicError
from sim.engine.direct import carry_out, flush_at_once
from sim.kernel import stream, work
from sim.kernel.ops import F, Op, begin
from sim.kernel.work import DONE, EFAULT, EINVAL, ENOMEM, GROW, SEGV, SHORT, THROTTLED
from sim.machine.layout import FOREVER
from sim.machine.layout.fields import Access
from sim.machine.words import O_ERRNO, O_WORDS

if TYPE_CHECKING:
    from sim.machine.machine import Machine

SIGSEGV: Final = "SIGSEGV"
"""How an access ends that may not be."""
SIGBUS: Final = "SIGBUS"
"""How one ends that may be, where no huge page is left."""
ERRNO_NAMES: Final = {
    ENOMEM: Errno.ENOMEM.name,
    EINVAL: Errno.EINVAL.name,
    EFAULT: Errno.EFAULT.name,
}

Ended = tuple[str, int, int]
"""How an operation ended (as in `OpRecord.ending`), its minor faults, its time in ps."""
Work = Generator[None, None, Ended]
"""An operation under way: it stops wherever memory is short, to try again when sent on."""
Carry = Callable[[], tuple[int, int, int]]
"""Does a task's steps while it can: how the last one ended, minor faults, time in ps."""


def run_operation(
    machine: Machine,
    row: int,
    cpu: int,
    op: Op[F],
    fields: F,
    carry: Carry | None = None,
) -> Work:
    """Have the task in `row` carry out `op` on `cpu`, with these fields.

    `carry` does the steps in place of `carry_out`, for who watches them.
    """
    begin(machine.arrays, row, op, fields)
    faults = ps = 0
    while True:
        status, more_faults, more_ps = (
            carry_out(machine.arrays, cpu, row, FOREVER) if carry is None else carry()
        )
        faults += more_faults
        ps += more_ps
        if status == GROW:
            machine.make_room()
        elif status == THROTTLED:
            while flush_at_once(machine.arrays) == GROW:
                machine.make_room()
        elif status == SHORT:
            yield
        elif status == SEGV:
            bus = machine.arrays.operations[row].fault_signal == work.SIGBUS
            return SIGBUS if bus else SIGSEGV, faults, ps
        elif status == DONE:
            errno = machine.arrays.words.operations[row * O_WORDS + O_ERRNO]
            return ERRNO_NAMES[errno] if errno else "", faults, ps
        else:
            raise KernelPanicError(f"a step ended with {status}", f"operation {op} of task {row}")


def each_page(start: int, pages: int, *, write: bool) -> Access:
    """Return one access to each page of a range, in order."""
    return Access(
        start=start, pages=pages, accesses=pages, pattern=stream.SEQUENTIAL, write=int(write)
    )


def at_once(work: Work) -> Ended:
    """Carry out an operation that finds all the memory it needs."""
    try:
        next(work)
    except StopIteration as done:
        ended: Ended = done.value
        return ended
    raise KernelPanicError("a large machine ran out of memory")
