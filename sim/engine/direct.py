"""Operations carried out at once, one task after the other: no clock, no events, nobody else.

What a device is asked for has come when the step ends.  There is no flusher: who must wait for one
has everything written.
"""

from sim.base.jit import compiled
from sim.cost.draw import settle
from sim.kernel.files.fileio import write_back
from sim.kernel.files.requests import arrive_at_once, request_room
from sim.kernel.step import step
from sim.kernel.work import DONE, GROW, MORE
from sim.machine.layout import KIND_FILE, Arrays
from sim.machine.work import MAJOR_FAULT


def flush_at_once(m: Arrays) -> int:
    """Write all dirty pages of files; return DONE, or GROW where arrays need more room first."""
    for file in range(len(m.files)):
        if m.files[file].kind != KIND_FILE:
            continue
        pages = int(m.files[file].pages)
        if not request_room(m, pages):
            return GROW
        write_back(m, file, 0, pages)
        if m.pool[0].requests != 0:
            arrive_at_once(m)
    m.pool[0].flusher_awake = 0
    return DONE


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
