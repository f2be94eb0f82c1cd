"""exec in a run: programs that ship, programs described by sizes, and promises that fail."""

from typing import Any

import pytest
from support.machines import run

from sim.base.errors import Refused
from sim.base.units import MIB, PAGE_BYTES
from sim.program.api import Image
from sim.program.presets import described_image, preset, preset_names

SMALL = Image(4 * PAGE_BYTES, PAGE_BYTES, PAGE_BYTES, 0)


def children_of(*images: Any, **host: Any) -> dict[str, Any]:
    """Run a parent that spawns a child for each image, all alive together; return the result."""

    def parent(task):
        for image in images:
            yield from task.posix_spawn(image, stays)
        for _ in images:
            yield from task.wait()

    def stays(task):
        yield from task.sleep(1_000_000_000)

    return run({"p": parent}, host={"memory_pages": 32_768, **host}, check=True)


def processes(document: dict[str, Any]) -> dict[str, Any]:
    return {process["name"]: process for process in document["processes"]}


@pytest.mark.parametrize("name", preset_names())
def test_a_program_touches_what_was_recorded(name: str) -> None:
    image = preset(name)
    document = children_of(name)
    child = processes(document)["p/1"]
    touched = {touch.vpn for touch in image.touches}
    assert child["minor_faults"] >= 10
    assert child["peak_rss_bytes"] >= len(touched) * PAGE_BYTES * 0.9  # not all of them stay mapped
    assert document["page_cache_pages_at_end"] == sum(pages for _, pages in image.files)


def test_text_and_libraries_are_shared_through_the_page_cache() -> None:
    """One more process of a program takes private pages and tables, and none of the page cache."""
    one, two = children_of("true"), children_of("true", "true")
    need = [d["metrics"]["memory_need_bytes"] for d in (one, two)]
    assert need[0]["page_cache"] == need[1]["page_cache"] > MIB
    more = need[1]["total"] - need[0]["total"]
    assert more == sum(need[1][k] - need[0][k] for k in ("data", "page_tables", "kernel_stacks"))
    alone, shared = (processes(d)["p/1"] for d in (one, two))
    assert alone["rss_bytes"] == shared["rss_bytes"]
    assert alone["minor_faults"] == shared["minor_faults"]
    assert shared["pss_bytes"] < 0.7 * alone["pss_bytes"]


def test_programs_share_a_library() -> None:
    cached = [
        children_of(*names)["page_cache_pages_at_end"] for names in (["true"], ["true", "sh"])
    ]
    own = dict(preset("sh").files)["sh"]
    assert own <= cached[1] - cached[0] < own + 4


@pytest.mark.parametrize(
    ("image", "faults"),
    [
        (Image(0, 0, 0, 0), {"zero_fill": 2}),  # arguments, and the stack of posix_spawn
        (Image(40 * PAGE_BYTES, 0, 0, 0), {"zero_fill": 2, "file_map": 3}),
        (Image(40 * PAGE_BYTES, 0, 0, 0, touched=0.5), {"zero_fill": 2, "file_map": 2}),
        (Image(40 * PAGE_BYTES, 0, 0, 0, touched=0.0), {"zero_fill": 2}),
        (Image(0, 3 * PAGE_BYTES, 2 * PAGE_BYTES, 0), {"zero_fill": 4, "cow_copy": 3}),
        # bss begins in the last page of data, which exec copies; the program touches nothing
        (Image(0, 3 * PAGE_BYTES - 1, 1, 0, touched=0.0), {"zero_fill": 2, "cow_copy": 1}),
    ],
)
def test_a_program_described_by_sizes(image: Image, faults: dict[str, int]) -> None:
    child = processes(children_of(image))["p/1"]
    assert {kind: count for kind, count in child["faults"].items() if count} == faults


def test_equal_sizes_are_one_file_unless_it_is_named() -> None:
    other = Image(4 * PAGE_BYTES, PAGE_BYTES, PAGE_BYTES, 0, file="other")
    larger = Image(9 * PAGE_BYTES, 0, 0, 0, file="other")  # another file of that name
    cached = [
        children_of(*images)["page_cache_pages_at_end"]
        for images in ([SMALL, SMALL], [SMALL, other], [other, larger])
    ]
    assert cached == [5, 10, 14]
    assert described_image(SMALL).files == (("a program of 16384 + 4096 bytes", 5),)


@pytest.mark.parametrize("touched", [-0.1, 1.1])
def test_what_is_touched_is_a_share(touched: float) -> None:
    with pytest.raises(ValueError, match="touched must be in 0 .. 1"):
        Image(1, 1, 1, 1, touched=touched)


@pytest.mark.parametrize(
    ("spare", "ended"), [(0, "refused"), (1, "segfault"), (40, "segfault"), (3000, "exit 0")]
)
def test_where_promises_run_out_exec_fails_or_kills(spare: int, ended: str) -> None:
    """Before the old address space is gone exec says ENOMEM; behind that there is no way back."""
    seen = []

    def parent(task):
        pool = task.system.machine.arrays.pool[0]
        config = task.system.machine.arrays.config[0]
        config.overcommit, config.admin_reserve, config.user_reserve = 2, 0, 0
        config.commit_limit = pool.committed + spare + 1  # a promise stays below the limit
        child = yield from task.vfork(execs)
        exited = yield from task.wait(child)
        seen.append(exited.status)

    def execs(task):
        try:
            yield from task.exec(Image(0, 8 * MIB, 0, 0, touched=0.0))
        except Refused as refused:
            seen.append(refused.errno.name)

    document = run({"p": parent}, host={"memory_pages": 8192}, check=True)
    statuses = {"refused": ["ENOMEM", 0], "segfault": [-11], "exit 0": [0]}
    assert seen == statuses[ended]
    assert document["metrics"]["segfaults"] == (ended == "segfault")
    assert processes(document)["p"]["ended"] == "exit 0"
