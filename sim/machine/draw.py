"""Counter-based random draws: the n-th draw of (task, purpose) is a pure function of a key and n.

Threefry-2x32 with 13 rounds (Salmon, Moraes, Dror and Shaw 2011, Parallel Random Numbers: As Easy
as 1, 2, 3, SC'11, table 2: passes BigCrush).  Only additions, shifts and masks on values below
2**62, so that compiled and plain Python agree to the bit.
"""

from sim.base.jit import inlined
from sim.machine.layout import Arrays

_MASK = 0xFFFFFFFF
_PARITY = 0x1BD11BDA


@inlined
def _mix(x0: int, x1: int, rotation: int) -> tuple[int, int]:
    x0 = (x0 + x1) & _MASK
    x1 = ((x1 << rotation) & _MASK) | (x1 >> (32 - rotation))
    return x0, x1 ^ x0


@inlined
def threefry(key0: int, key1: int, counter0: int, counter1: int) -> int:
    """Return 32 random bits for a key and a counter of two 32-bit words each."""
    key2 = _PARITY ^ key0 ^ key1
    x0 = (counter0 + key0) & _MASK
    x1 = (counter1 + key1) & _MASK
    x0, x1 = _mix(x0, x1, 13)
    x0, x1 = _mix(x0, x1, 15)
    x0, x1 = _mix(x0, x1, 26)
    x0, x1 = _mix(x0, x1, 6)
    x0 = (x0 + key1) & _MASK
    x1 = (x1 + key2 + 1) & _MASK
    x0, x1 = _mix(x0, x1, 17)
    x0, x1 = _mix(x0, x1, 29)
    x0, x1 = _mix(x0, x1, 16)
    x0, x1 = _mix(x0, x1, 24)
    x0 = (x0 + key2) & _MASK
    x1 = (x1 + key0 + 2) & _MASK
    x0, x1 = _mix(x0, x1, 13)
    x0, x1 = _mix(x0, x1, 15)
    x0, x1 = _mix(x0, x1, 26)
    x0, x1 = _mix(x0, x1, 6)
    x0 = (x0 + key0) & _MASK
    x1 = (x1 + key1 + 3) & _MASK
    x0, x1 = _mix(x0, x1, 17)
    return x0


@inlined
def peek(m: Arrays, task: int, purpose: int, ahead: int) -> int:
    """Return the next 32 bits of (task, purpose), or those `ahead` behind them; uses none up."""
    d = m.draws
    n = int(d[task, purpose, 2]) + ahead
    return threefry(int(d[task, purpose, 0]), int(d[task, purpose, 1]), n & _MASK, n >> 32)


@inlined
def draw(m: Arrays, task: int, purpose: int) -> int:
    """Return the next 32 bits of (task, purpose)."""
    bits = peek(m, task, purpose, 0)
    m.draws[task, purpose, 2] += 1
    return bits
