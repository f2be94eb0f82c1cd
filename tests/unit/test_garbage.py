"""The collector goes through what is new alone, and who has frozen things keeps them frozen."""

import subprocess
import sys

CODE = """
import gc
from sim.base.garbage import set_aside
{before}
before = gc.get_freeze_count()
with set_aside():
    within = gc.get_freeze_count()
print(before > 0, within > 0, within == before, gc.get_freeze_count() == before)
"""


def printed(before: str) -> list[str]:
    command = [sys.executable, "-c", CODE.format(before=before)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_what_there_is_is_set_aside_for_the_block() -> None:
    assert printed("") == ["False", "True", "False", "True"]


def test_what_the_process_has_frozen_stays_so_and_nothing_else_is() -> None:
    assert printed("gc.freeze()") == ["True", "True", "True", "True"]


KEPT = """
import gc
from sim.base.garbage import keep_aside, set_aside
keep_aside()
count, gc.get_freeze_count = gc.get_freeze_count, None
with set_aside():
    within = count()
print(within > 0, count() == within)
"""


def test_what_is_kept_aside_is_not_counted_at_every_run() -> None:
    """Of half a gigabyte of objects that takes 36 ms, and a short run less."""
    told = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["True", "True"]


ENDING = """
import gc
from sim.base.garbage import look_seldom
{before}
class Cycle:
    def __init__(self):
        self.me = self
    def __del__(self):
        print("gone through", end=" ")
kept = Cycle()
print(gc.get_threshold()[0] > 10_000, end=" ")
"""


def test_a_command_is_not_gone_through_as_it_ends() -> None:
    def told(before: str) -> str:
        command = [sys.executable, "-c", ENDING.format(before=before)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert told("look_seldom()") == "True "
    assert told("") == "False gone through "
