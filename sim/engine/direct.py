"""Operations carried out at once, one task after the other: no clock, no events, nobody else."""

from sim.cost.draw import settle
from sim.jit import compiled
from sim.kernel.step import OP_ACCESS, access_step, call_step
from sim.kernel.work import DONE, MAJOR_FAULT
from sim.machine.layout import NONE, Arrays


@compiled
def carry_out(m: Arrays, cpu: int, task: int) -> tuple[int, int, int]:
    """Do the steps of a task's operation until it is done or refused.

    Returns how the last step ended, the minor faults, and the time in ps.
    """
    clock = m.clock[0]
    faults = 0
    ps = 0
    while True:
        clock.lines = 0
        clock.kind = NONE
        if m.tasks[task].op == OP_ACCESS:
            status = access_step(m, cpu, task)
        else:
            status = call_step(m, cpu, task)
        if status > DONE:
            return status, faults, ps
        ps += settle(m, task)
        kind = clock.kind
        if kind != NONE and kind != MAJOR_FAULT:
            faults += 1
        if status == DONE:
            return status, faults, ps
