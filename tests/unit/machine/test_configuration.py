"""What a machine is set to: all of it when it is built, and none of it later."""

from support.writes import all_writes

from sim.machine.layout import CONFIG
from sim.machine.spec import HostSpec, configuration

FROM_ZONES = {"admin_reserve", "user_reserve", "total_reserve"}
"""Reserves follow from what is free at the start."""
DAEMONS = {"khugepaged"}
"""Said by the daemon that is started with the machine."""


def test_every_column_is_set_from_the_host() -> None:
    named = set(configuration(HostSpec(memory_pages=100)))
    assert not named & (FROM_ZONES | DAEMONS)
    assert named | FROM_ZONES | DAEMONS == set(CONFIG.names or ())


def test_nothing_writes_it_while_the_machine_runs() -> None:
    columns = {"", *(CONFIG.names or ())}  # "": by its name, in brackets
    found = {
        path
        for path, its in all_writes().items()
        if any(w.array == "config" and w.column in columns for w in its)
    }
    assert found == {"machine/machine.py", "engine/khugepaged.py"}
