"""Real programs: the faults of fork + exec, vfork + exec and posix_spawn, predicted and counted.

Parent and program are real ones (`sim/host/spawn/programs`); what they touch is known, how many
faults that takes is the simulated kernel's affair.  Drawn are what the program touches, how long
its arguments are, how large the parent is, and how it starts its children.
"""

import os
import random
import subprocess
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.samples import sample

from sim.base.units import GIB, MIB, PAGE_BYTES
from sim.host.conditions import compiler
from sim.host.spawn.real import ENVIRONMENT, SpawnRunner
from sim.program.image import ProgramImage, Touch
from sim.script.spawn import Method, Spawn, SpawnedProgram, predict_spawns, some_touches

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

CASES = sample(20, 200)
FRESH_CASES = sample(10, 100)
SPAWNS = 2


@pytest.fixture(scope="module")
def runner() -> Iterator[SpawnRunner]:
    with SpawnRunner() as it:
        yield it


def faults(spawns: Sequence[Spawn]) -> list[tuple[int, int, int]]:
    return [spawn.faults for spawn in spawns]


def check(
    runner: SpawnRunner,
    method: Method,
    pages: int,
    touches: Sequence[Touch],
    padding: str = "",
    seed: int | None = None,
) -> None:
    """Compare three times at most: one interrupted run proves nothing."""
    program = runner.program(touches, padding)
    predicted = faults(
        predict_spawns(method, pages, program=program, parent=runner.parent, spawns=SPAWNS)
    )
    real = []
    for _ in range(3):
        real = faults(runner.run(method, pages, touches, padding, spawns=SPAWNS))
        if real == predicted:
            return
        runner.lay_out()
    text = f"seed {seed}: {method}, parent of {pages} pages, {touches}, {len(padding)} more bytes: "
    text += f"predicted {predicted}, the kernel says {real}"
    pytest.fail(text, pytrace=False)


def drawn_touches(draw: random.Random, image: ProgramImage) -> list[Touch]:
    touches = []
    for _ in range(draw.randrange(60)):
        segment = draw.choice(image.segments)
        vpn = segment.start_vpn + draw.randrange(segment.pages)
        touches.append(Touch(vpn, segment.writable and draw.random() < 0.5))
    return touches


def check_drawn(runner: SpawnRunner, seed: int, count: int) -> None:
    draw = random.Random(seed)
    for _ in range(count):
        touches = drawn_touches(draw, runner.image)
        padding = "x" * draw.choice([0, draw.randrange(9000), draw.randrange(9000), 100_000])
        pages = draw.choice([0, 1, 17, 600])
        check(runner, draw.choice(list(Method)), pages, touches, padding, seed)


def test_drawn_spawns(runner: SpawnRunner):
    check_drawn(runner, 1, CASES)


@pytest.mark.parametrize("words", [0, 1], ids=["odd", "even"])
def test_where_the_arguments_begin_another_page(
    runner: SpawnRunner, words: int, monkeypatch: pytest.MonkeyPatch
):
    """To the byte, for an odd number of words below the auxiliary vector and for an even one.

    The vector ends 9 bytes above a multiple of 16; only the count's word is at one
    (`create_elf_tables`).
    """
    if words:
        monkeypatch.setitem(ENVIRONMENT, "ONE_MORE", "1")

    def pages(length: int) -> int:
        return runner.program([], "x" * length).stack_pages

    lengths = range(1, 2 * PAGE_BYTES)
    edge = lengths[bisect_right(lengths, pages(1), key=pages)]
    around = sample(6, 20)
    for length in range(edge - around, edge + around):
        check(runner, Method.FORK, 1, [], "x" * length)


def test_fresh_spawns(runner: SpawnRunner):
    seed = random.SystemRandom().randrange(2**32)
    check_drawn(runner, seed, FRESH_CASES)


@pytest.mark.slow
@pytest.mark.parametrize("method", list(Method), ids=lambda method: method.name.lower())
@pytest.mark.parametrize("parent_bytes", [MIB, 16 * MIB, 256 * MIB, GIB])
def test_parents_of_every_size(runner: SpawnRunner, method: Method, parent_bytes: int):
    check(runner, method, parent_bytes // PAGE_BYTES, some_touches(runner.image))


WRONG = {
    "exec leaves the page where bss begins alone": lambda program: replace(
        program,
        image=replace(
            program.image,
            segments=tuple(replace(s, clears=False) for s in program.image.segments),
        ),
    ),
    "exec fills one page of arguments, however long": lambda program: replace(
        program, stack_pages=1
    ),
    "bss is a file's": lambda program: replace(
        program,
        image=replace(
            program.image,
            segments=tuple(
                s if s.file else replace(s, file=program.image.files[0][0])
                for s in program.image.segments
            ),
        ),
    ),
    "text is not shared by fault-around windows": lambda program: replace(
        program, image=replace(program.image, segments=tuple(_pages_apart(program.image)))
    ),
}


def _pages_apart(image: ProgramImage):
    for segment in image.segments:
        if segment.writable:
            yield segment
        else:
            for page in range(segment.pages):
                at = {"start_vpn": segment.start_vpn + page, "offset": segment.offset + page}
                yield replace(segment, **at, pages=1)


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_rule_would_show(runner: SpawnRunner, what: str):
    touches = [
        Touch(s.start_vpn + n, write=False) for s in runner.image.segments[:5] for n in (0, 1)
    ]
    padding = "x" * 9000
    program = runner.program(touches, padding)
    right = predict_spawns(Method.VFORK, 1, program=program, parent=runner.parent)
    broken: SpawnedProgram = WRONG[what](program)
    wrong = predict_spawns(Method.VFORK, 1, program=broken, parent=runner.parent)
    assert faults(right) != faults(wrong)
    assert faults(right) == faults(runner.run(Method.VFORK, 1, touches, padding))


LIBC_PARENT = r"""
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int count, char **arguments)
{
    extern char **environ;
    for (int i = 0; i < 4; i++) {
        int status;
        struct rusage usage;
        pid_t pid;
        if (i % 2)
            pid = vfork();
        else if (posix_spawn(&pid, arguments[1], 0, 0, arguments + 1, environ))
            return 1;
        if (pid == 0) {
            execve(arguments[1], arguments + 1, environ);
            _exit(1);
        }
        wait4(pid, &status, 0, &usage);
        printf("%ld\n", status ? -1 : usage.ru_minflt);
    }
    return count < 2;
}
"""


def test_the_c_library_starts_programs_likewise(runner: SpawnRunner, tmp_path: Path):
    """`posix_spawn` and `vfork` of the C library: what the child takes is the same."""
    source, parent = tmp_path / "parent.c", tmp_path / "parent"
    source.write_text(LIBC_PARENT)
    command = [str(compiler()), "-O1", "-static", "-o", str(parent), str(source)]
    subprocess.run(command, capture_output=True, check=True)
    cpu = str(min(os.sched_getaffinity(0)))
    touches = some_touches(runner.image)
    told, _ = runner._command(touches, "")
    done = subprocess.run(
        ["setarch", "-R", "taskset", "-c", cpu, parent, *told],
        env={**ENVIRONMENT, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    program = runner.program(touches)
    expected = [
        predict_spawns(method, 1, program=program, parent=runner.parent)[0].child
        for method in (Method.SPAWN, Method.VFORK)
    ]
    assert [int(line) for line in done.stdout.split()] == 2 * expected
