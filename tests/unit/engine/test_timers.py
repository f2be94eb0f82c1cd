"""The heap of arrivals that tasks are blocked for."""

import random

from support.machines import machine

from sim.engine import timers
from sim.machine.layout import FOREVER, NONE


def test_timers_come_in_order_whatever_is_set_and_dropped() -> None:
    """Against a sorted list, with many ties: those set first come first."""
    draw = random.Random(3)
    m = machine(memory_pages=100).arrays
    waiting: dict[int, tuple[int, int]] = {}
    order = 0
    for number in range(600):
        m.sched[0].event = number
        row = draw.randrange(50)
        if row in waiting:
            timers.drop_timer(m, row)
            del waiting[row]
            assert int(m.entities[row].timer) == NONE
        else:
            due_ns = draw.randrange(8)
            timers.set_timer(m, row, due_ns)
            waiting[row] = due_ns, order
            order += 1
        first = min(waiting, key=waiting.__getitem__, default=NONE)
        assert int(m.sched[0].timers) == len(waiting)
        assert timers.first_due_ns(m) == (waiting[first][0] if waiting else FOREVER)
        assert not waiting or int(m.timers[0]) == first
        assert not waiting or int(m.entities[first].due_number) <= number
        places = [int(m.entities[row].timer) for row in waiting]
        assert sorted(places) == list(range(len(waiting)))
