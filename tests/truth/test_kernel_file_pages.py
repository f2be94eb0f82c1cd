"""Pages of files under a limit, against the running kernel: which stay in the page cache.

In a control group of its own (version 1), which is removed again; skipped where none may be made.
"""

import io

import pytest
from support.samples import sample

from sim.host.claims.files import FILEPAGE, LARGE, MAPPED, read_twice, twice
from sim.host.filepage.compare import compare
from sim.host.filepage.conform import run_filepage_conform
from sim.host.filepage.real import FileReader, why_not

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

SCRIPTS = sample(5, 10)
ROUNDS = 3


@pytest.fixture(autouse=True)
def _group() -> None:
    if reason := why_not():
        pytest.skip(f"unchecked: {reason}")


@pytest.mark.parametrize(
    ("random", "resident", "stolen"), [(False, 15872, 49664), (True, 16256, 49280)]
)
def test_a_file_of_twice_the_limit_read_twice(random: bool, resident: int, stolen: int) -> None:
    """The map, what was reclaimed, what came back, and the nodes of its tree.

    Where the machine is slow, a flush of statistics falls into each of a few runs in a row: later
    ones are tried as well.
    """
    for _ in range(ROUNDS):
        found = read_twice(LARGE, random=random, ask=True)
        assert found.real is not None
        if found.is_equal:
            break
    assert found.is_equal, (found.line(), found.counted)
    assert found.resident == (resident, resident)
    assert found.counted == ((stolen, stolen), (2 * LARGE, 2 * LARGE))
    assert found.real.kernel_pages == found.predicted.kernel_pages


def test_a_file_that_fits_is_read_twice_without_refaults() -> None:
    """Negative control: the same with half of the limit."""
    script = twice(LARGE // 2)
    with FileReader(script.pages) as reader:
        found = compare(reader, "", script, LARGE, count=True)
    assert found.is_equal, (found.line(), found.counted)
    assert found.counted == ((0, 0), (0, 0))


def test_random_reads_leave_the_pages_that_are_predicted() -> None:
    found = list(FILEPAGE.check(SCRIPTS, 1, True))
    assert [case for case in found if not case.held] == []


def test_text_of_programs_stays_as_long_as_is_predicted() -> None:
    found = list(MAPPED.check(SCRIPTS, 1, True))
    assert [case for case in found if not case.held] == []


def test_a_script_written_by_hand_is_compared(tmp_path) -> None:
    path = tmp_path / "script.txt"
    path.write_text("file A 700\nread A 0 700\nmap\nbackwards A 0 300\nread A 0 40\n")
    out, err = io.StringIO(), io.StringIO()
    assert run_filepage_conform([path], kernel=True, limit_pages=500, out=out, err=err) == 0
    assert "different=0" in out.getvalue()
    assert "!" not in out.getvalue()
    assert "DAMON" in err.getvalue()
