"""Pricing a receipt: one draw and one interpolation a line, in picoseconds.

Where the knots of a table lie is told in `sim.cost.quantiles`.
"""

from sim.base.jit import inlined
from sim.machine.draw import draw
from sim.machine.layout import N_QUANTILES, Arrays
from sim.machine.work import ACCESS

_COARSE = 240
_LAST_LEVEL = N_QUANTILES - 257
_FRACTION_BITS = 24
_FRACTION_MASK = (1 << _FRACTION_BITS) - 1


@inlined
def unit_price_ps(m: Arrays, task: int, line: int) -> int:
    """Return the next price of one unit of `line` for this task; flat tables need no draw."""
    low = int(m.prices[line, 0])
    if low == m.prices[line, N_QUANTILES - 1]:
        return low
    return price_at_ps(m, line, draw(m, task, line))


@inlined
def price_at_ps(m: Arrays, line: int, bits: int) -> int:
    """Return the quantile of the price of `line` at `bits` / 2**32."""
    part = bits >> _FRACTION_BITS
    fraction = bits & _FRACTION_MASK
    first = 0
    while part >= _COARSE and first < _LAST_LEVEL:  # the next level divides it into 16
        first += _COARSE
        part = ((part - _COARSE) << 4) + (fraction >> (_FRACTION_BITS - 4))
        fraction = (fraction << 4) & _FRACTION_MASK
    low = int(m.prices[line, first + part])
    step = int(m.prices[line, first + part + 1]) - low
    whole = (step >> _FRACTION_BITS) * fraction  # so that no product outgrows 64 bits
    return low + whole + (((step & _FRACTION_MASK) * fraction) >> _FRACTION_BITS)


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
