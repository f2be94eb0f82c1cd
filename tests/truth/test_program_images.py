"""The programs that ship, against the real ones: minor faults of a child that execs them.

Each is run in a root of its own (`support.program_roots`), whose files are those of this machine.
Where they are the files that were recorded, the counts must be equal; where libraries or program
differ, they may differ by `TOLERANCE`.
"""

import json
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from support.kernel import DONE, Kernel
from support.machines import run
from support.program_roots import (
    COMMANDS,
    ENVIRONMENT,
    MissingError,
    files_of,
    fingerprint,
    make_root,
)
from support.traced_programs import memory_at_exit

from sim.base.resources import config_path
from sim.engine.images import Shelf
from sim.host.conditions import file_folder
from sim.host.kernel import compiled_program
from sim.host.spawn.real import FLAGS, SOURCES
from sim.kernel import ops
from sim.machine.layout import KIND_FILE
from sim.program.image import ProgramImage
from sim.program.presets import preset, preset_names
from sim.script.spawn import Method, SpawnedProgram, predict_spawns

pytestmark = pytest.mark.truth

RECORD = struct.Struct("<7q")
TRIES = 3
TOLERANCE = 0.1
UNMAP_BUFFERS = ("cat", "sort")
"""They give memory back before they end; an image keeps it."""


@pytest.fixture(scope="module")
def spawner() -> Path:
    return Path(compiled_program("spawner", [SOURCES / "spawner.c"], *FLAGS))


@pytest.fixture(params=COMMANDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(spawner: Path, name: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cowpool-", dir=file_folder()))
    try:
        make_root(folder, COMMANDS[name])
        shutil.copy(spawner, folder / "spawner")
        subprocess.run(["mount", "-t", "proc", "proc", folder / "proc"], check=True)
    except (MissingError, PermissionError, subprocess.CalledProcessError) as error:
        shutil.rmtree(folder)
        pytest.skip(f"unchecked: {error}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder / "proc"], check=True)
        shutil.rmtree(folder)


def counted(root: Path, name: str) -> int:
    """Return the minor faults of the program, once all its files are in the page cache."""
    cpu = str(min(os.sched_getaffinity(0)))
    spawns = ("/spawner", "v", "0", "3")
    done = subprocess.run(
        ["taskset", "-c", cpu, "chroot", root, *spawns, *COMMANDS[name]],
        env={**ENVIRONMENT, "PATH": os.environ["PATH"]},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode or len(done.stderr) != 3 * RECORD.size:
        pytest.skip(f"unchecked: {done.stderr.decode(errors='replace').strip()}")
    records = list(RECORD.iter_unpack(done.stderr))
    assert all(status == 0 for status, *_ in records)
    return int(records[-1][1])


def predicted(image: ProgramImage) -> int:
    program = SpawnedProgram(image, image.stack_pages)
    return predict_spawns(Method.VFORK, 0, program=program, spawns=1)[0].child


def is_as_recorded(root: Path, name: str) -> bool:
    recorded = json.loads(config_path("programs", name).read_text())["sha256"]
    found = {file: fingerprint(path) for file, path in files_of(root).items() if file in recorded}
    return found == recorded


def test_every_program_that_ships_is_run() -> None:
    assert sorted(COMMANDS) == list(preset_names())


@pytest.mark.kernel
def test_a_program_takes_the_faults_that_were_predicted(root: Path, name: str) -> None:
    expected = predicted(preset(name))
    counts = [counted(root, name) for _ in range(TRIES)]
    if is_as_recorded(root, name):
        assert min(counts) == expected
    else:
        assert min(counts) == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.kernel
@pytest.mark.parametrize("name", [n for n in COMMANDS if n not in UNMAP_BUFFERS], indirect=True)
def test_a_program_has_the_memory_that_was_predicted(root: Path, name: str) -> None:
    """Resident pages, anonymous ones, and tables just before its end."""
    kernel = Kernel(memory_pages=32_768)

    @cache
    def file_named(_: str, pages: int) -> int:
        return kernel.machine.new_file(KIND_FILE, pages, known=True)

    program = Shelf(kernel.machine, file_named).find(name)
    row = kernel.process()
    fields = {"image": program.row, "stack_limit": program.stack_limit_pages}
    assert kernel.call(row, ops.OP_EXEC, stack_pages=program.stack_pages, **fields) == DONE
    assert kernel.call(row, ops.OP_START, image=program.row) == DONE
    space = kernel.space(row)
    expected = {
        "Rss": int(space.rss_anon + space.rss_file) - pages_uncounted(preset(name)),
        "Anonymous": int(space.rss_anon),
        "VmPTE": int(space.tables) - 1,  # Linux does not count the top one
    }
    memory_at_exit(root, COMMANDS[name])  # brings its files into the page cache
    found = [memory_at_exit(root, COMMANDS[name]) for _ in range(TRIES)]
    if is_as_recorded(root, name):
        assert expected in found
    else:
        assert found[-1] == pytest.approx(expected, rel=TOLERANCE)


def pages_uncounted(image: ProgramImage) -> int:
    """Return the pages of the linker's cache, which it unmaps, and of the kernel's own data.

    The latter (``[vvar]``) have no `struct page` that a resident set could count.
    """
    touched = {touch.vpn for touch in image.touches}
    return sum(
        s.start_vpn in touched
        for s in image.segments
        if s.file == "ld.so.cache" or s.file.startswith("[vvar")
    )


def pages_apart(image: ProgramImage) -> ProgramImage:
    """Return an image without fault-around: each page of a file is an area of its own."""
    parts = [
        replace(s, start_vpn=s.start_vpn + n, pages=1, offset=s.offset + n, clears=False)
        for s in image.segments
        if s.file
        for n in range(s.pages)
    ]
    return replace(image, segments=(*parts, *(s for s in image.segments if not s.file)))


WRONG: dict[str, Callable[[ProgramImage], ProgramImage]] = {
    "nothing is mapped around a fault": pages_apart,
    "exec leaves the pages where bss begins alone, and nobody writes data": lambda image: replace(
        image,
        segments=tuple(replace(s, clears=False) for s in image.segments),
        touches=tuple(replace(t, write=False) for t in image.touches),
    ),
    "the program touches nothing": lambda image: replace(image, touches=()),
}


@pytest.mark.kernel
@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("name", ["true"], indirect=True)
def test_a_wrong_rule_would_show(root: Path, name: str, what: str) -> None:
    wrong = predicted(WRONG[what](preset(name)))
    assert counted(root, name) != pytest.approx(wrong, rel=TOLERANCE)


@pytest.mark.parametrize("program", ["true", "sh", "static"])
def test_a_workload_takes_as_many(program: str) -> None:
    """What `task.exec` does in a run is what the prediction above does by hand."""
    faults = {}

    def parent(task):
        child = yield from task.vfork(child_of)
        yield from task.wait(child)

    def child_of(task):
        yield from task.exec(program)

    document = run({"parent": parent}, host={"memory_pages": 16_384})
    for process in document["processes"]:
        faults[process["name"]] = process["minor_faults"]
    assert faults["parent/1"] == predicted(preset(program))
