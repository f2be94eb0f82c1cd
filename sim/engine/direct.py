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
def carry_out(m: Arrays, cpu: int, task: int, most: int) -> tuple[int, int, int]:
    """Do steps of a task's operation until it is done or refused, at most so many.

    Returns how the last step ended, the minor faults, and the time in ps; the receipt of the last
    step stays readable.
    """
    faults = 0
    ps = 0
    status = MORE
    while status == MORE and most > 0:
        most -= 1
        status = step(m, cpu, task)
        if status > DONE:
            break
        ps += settle(m, task)
        kind = m.clock[0].kind
        if kind >= 0 and kind != MAJOR_FAULT:
            faults += 1
        if m.pool[0].requests != 0:
            arrive_at_once(m)
    return status, faults, ps
