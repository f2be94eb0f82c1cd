"""Pricing a receipt: one draw and one interpolation a line, in picoseconds."""

from sim.jit import inlined
from sim.kernel.work import ACCESS
from sim.machine.draw import draw
from sim.machine.layout import Arrays

_FRACTION_BITS = 20
_FRACTION_MASK = (1 << _FRACTION_BITS) - 1


@inlined
def unit_price_ps(m: Arrays, task: int, line: int) -> int:
    """Return the next price of one unit of `line` for this task; flat tables need no draw."""
    low = int(m.prices[line, 0])
    if low == m.prices[line, 256]:
        return low
    bits = draw(m, task, line)
    at = bits >> 24
    fraction = (bits >> 4) & _FRACTION_MASK
    low = int(m.prices[line, at])
    high = int(m.prices[line, at + 1])
    return low + (((high - low) * fraction) >> _FRACTION_BITS)


@inlined
def settle(m: Arrays, task: int) -> int:
    """Price the receipt of the step just done, book it, and return its total in ps.

    The part that is not the access itself is left in ``clock.fault_ps``.
    """
    clock = m.clock[0]
    total = 0
    extra = 0
    for i in range(int(clock.lines)):
        line = int(m.receipt[i, 0])
        units = int(m.receipt[i, 1])
        if units == 0:
            continue
        ps = unit_price_ps(m, task, line) * units
        m.counts[task, line] += units
        m.spent_ps[line, 0] += units
        m.spent_ps[line, 1] += ps
        total += ps
        if line != ACCESS:
            extra += ps
    clock.fault_ps = extra
    return total
