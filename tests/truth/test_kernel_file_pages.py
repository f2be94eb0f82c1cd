"""Pages of files under a limit, against the running kernel: which stay in the page cache.

In a control group of its own (version 1), which is removed again; skipped where none may be made.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from sim.host.filepage.compare import FILE_PAGES, compare, random_scripts
from sim.host.filepage.real import FileReader, why_not
from sim.host.kernel import HostError
from sim.script.filepage import MAP

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

SCRIPTS = 12
LARGE = 16384
"""64 MiB: what reading ahead needs to come to folios of 2 MiB."""


@pytest.fixture(autouse=True)
def _group() -> None:
    if reason := why_not():
        pytest.skip(f"unchecked: {reason}")


def reader_of(*pages: int) -> FileReader:
    try:
        return FileReader(pages)
    except HostError as error:
        pytest.skip(f"unchecked: {error}")


@pytest.fixture
def files() -> Iterator[FileReader]:
    with reader_of(*FILE_PAGES) as reader:
        yield reader


def test_a_file_of_twice_the_limit_read_twice() -> None:
    """As it is read ahead by default: the map, what was reclaimed, and the nodes of its tree."""
    order = np.concatenate([np.arange(2 * LARGE), [MAP]])
    with reader_of(2 * LARGE) as reader:
        found = compare(
            reader, "twice", np.concatenate([order, order]), [2 * LARGE], LARGE, random=False
        )
    assert found.different == 0, found.line()
    assert found.resident == (15872, 15872)
    assert found.real.counts["pgsteal_file"] == found.predicted.counts["pgsteal_file"] == 49664
    assert found.real.kernel_pages == found.predicted.kernel_pages == 2


def test_random_reads_leave_the_pages_that_are_predicted(files: FileReader) -> None:
    """On an idle machine nearly all maps are equal; beside others a batch more or less is full."""
    found = list(random_scripts(files, SCRIPTS, seed=1))
    told = "\n".join(script.line() for script in found)
    close = [script for script in found if script.different <= 2]
    assert 3 * len(close) >= 2 * SCRIPTS, told
    for script in found:
        mine, real = script.resident
        assert abs(mine - real) <= real // 10, told
