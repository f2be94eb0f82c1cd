"""A stack grows downwards on touch, to its limit, and what it grows by is promised."""

from support.machines import run

from sim.machine.areas import STACK_TOP_VPN
from sim.workload.api import Region

LIMIT_PAGES = 64  # of the programs that `run` starts
FIRST_PAGES = 33


def at_depth(pages):
    """Return the region from `pages` below the top of the stack to its top."""
    return Region(STACK_TOP_VPN - pages, pages)


def grown_to(*depths):
    def grow(task):
        for depth in depths:
            yield from task.write(at_depth(depth), pages=1)
            task.record("promised", task.system.machine.arrays.pool[0].committed)

    document = run({"p": grow}, host={"memory_pages": 2000, "cpus": 1}, check=True)
    return document["processes"][0], document["programs"].get("p", {}).get("promised", [])


def test_touching_below_the_stack_extends_it():
    process, promised = grown_to(40, 60)
    assert process["ended"] == "exit 0"
    assert process["faults"]["zero_fill"] == 2
    assert promised[1] - promised[0] == 20


def test_within_the_first_pages_nothing_is_promised_anew():
    _, promised = grown_to(10, FIRST_PAGES)
    assert promised[0] == promised[1]


def test_beyond_its_limit_is_a_segmentation_fault():
    process, promised = grown_to(LIMIT_PAGES, LIMIT_PAGES + 1)
    assert process["ended"] == "segfault"
    assert len(promised) == 1
