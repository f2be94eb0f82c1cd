"""Operations carried out at once, one task after the other: no clock, no events, nobody else.

What a device is asked for has come when the step ends.
"""

from sim.base.jit import compiled
from sim.cost.draw import settle
from sim.kernel.files.requests import arrive_at_once
from sim.kernel.step import step
from sim.kernel.work import DONE, MORE
from sim.machine.layout import Arrays
from sim.machine.work import MAJOR_FAULT


@compiled
def take_step(m: Arrays, cpu: int, task: int) -> tuple[int, int, int]:
    """Do one step of a task's operation.

    Returns how it ended, the minor faults (0 or 1), and the time in ps; the receipt stays readable.
    """
    status = step(m, cpu, task)
    if status > DONE:
        return status, 0, 0
    ps = settle(m, task)
    kind = m.clock[0].kind
    if m.pool[0].requests != 0:
        arrive_at_once(m)
    return status, 1 if kind >= 0 and kind != MAJOR_FAULT else 0, ps


@compiled
def carry_out(m: Arrays, cpu: int, task: int) -> tuple[int, int, int]:
    """Do the steps of a task's operation until it is done or refused.

    Returns how the last step ended, the minor faults, and the time in ps.
    """
    faults = 0
    ps = 0
    status = MORE
    while status == MORE:
        status, fault, more_ps = take_step(m, cpu, task)
        faults += fault
        ps += more_ps
    return status, faults, ps
