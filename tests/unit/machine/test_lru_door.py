"""Doors to the page cache: who else links pages, or looks into `cached`."""

import pytest
from support.writes import Write, all_writes, modules, writes

DOORS = {"machine/cached.py", "machine/tree.py"}
OF_THE_HUGE_POOL = {
    *(f"kernel/hugetlb/{name}.py" for name in ("areas", "fault", "pages")),
    *(f"machine/audit/{name}.py" for name in ("memory", "spaces")),
}
"""Files of the pool of huge pages have words of their own there: a page of 2 MiB, or used up."""


def is_of_lists(write: Write) -> bool:
    """Whether only the door to the lists may write that."""
    return write.array in {"lrus", "batches"} or (write.array, write.column) == ("frames", "prev")


def is_of_the_cache(write: Write) -> bool:
    return write.array == "cached"


def writers(wrong: object) -> set[str]:
    assert callable(wrong)
    return {path for path, found in all_writes().items() if any(map(wrong, found))}


def test_only_the_lists_and_the_buddy_allocator_link_frames_both_ways() -> None:
    assert writers(is_of_lists) == {"machine/lru.py", "machine/buddy.py"}


def test_only_one_module_writes_what_the_page_cache_has() -> None:
    assert writers(is_of_the_cache) - OF_THE_HUGE_POOL == DOORS


def test_only_one_module_reads_what_the_page_cache_has() -> None:
    """A shadow is no frame: whoever compares with 0 takes one for the other."""
    readers = {path for path, source in modules() if ".cached[" in source}
    assert readers - OF_THE_HUGE_POOL == DOORS


@pytest.mark.parametrize(
    "line",
    ["m.lrus[row].head = pfn", "m.batches[row, 0] += 1", "frame = m.frames[pfn]; frame.prev = 1"],
)
def test_a_second_door_to_the_lists_is_found(line: str) -> None:
    found = writes(f"def steal(m, row, pfn):\n    {line}\n")
    assert any(is_of_lists(write) for write in found)


def test_a_second_door_to_the_cache_is_found() -> None:
    found = writes("def steal(m, at):\n    m.cached[at] = 0\n")
    assert any(is_of_the_cache(write) for write in found)
