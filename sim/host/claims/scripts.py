"""Random scripts in a control group: what it is charged for after every operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.host.claims.charging import PLENTY, why_not
from sim.host.claims.claim import Case, Claim
from sim.host.compare import IN_GROUP, compare, count_differences
from sim.host.conditions import file_folder, read_ahead_pages
from sim.host.kernel import KernelRunner
from sim.script.group import predict_in_group
from sim.script.random import GROUP_VERBS, random_script, script_generator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sim.host.kernel import InGroup
    from sim.script.grammar import Operation
    from sim.script.record import GroupRun

OPERATIONS: Final = 60
SCRIPTS: Final = 40
KERNEL_WITHIN: Final = 1
"""Pages of kernel memory: what a file system has of a file is not to the byte."""
TRIES: Final = 3


def drawn(seed: int, index: int) -> list[Operation]:
    """Return the random script number `index`."""
    return random_script(script_generator(seed, index), operations=OPERATIONS, verbs=GROUP_VERBS)


def predicted(script: Sequence[Operation]) -> GroupRun:
    """Return what a script does in a group that has room for all of it."""
    folder = file_folder()
    ahead = None if folder is None else read_ahead_pages(folder)
    return predict_in_group(script, PLENTY, read_ahead_pages=ahead)


def differences(mine: GroupRun, real: InGroup) -> int:
    """Return how many figures of a run differ: faults, smaps, usage, kernel memory."""
    found = count_differences(compare(mine.records, real.records))
    kernel = zip(mine.records, mine.kernel_pages, real.kernel_pages, strict=True)
    return found + sum(
        record.usage_sure and abs(ours - theirs) > KERNEL_WITHIN for record, ours, theirs in kernel
    )


def _scripts(cases: int, seed: int, ask: bool) -> Iterator[Case]:
    found: list[int] = []
    for index in range(cases):
        script = drawn(seed, index)
        mine = predicted(script)
        sure = [record.usage for record in mine.records if record.usage_sure]
        name = f"script {index}, {len(script)} operations, usage of {len(sure)}: last, different"
        told = f"{sure[-1] if sure else 0}, 0"
        if not ask:
            yield Case(name, told)
            continue
        for _ in range(TRIES):
            real = KernelRunner().run_in_group(script, PLENTY)
            different = differences(mine, real)
            if different == 0:
                break
        last = real.records[len(sure) - 1].usage if sure else 0
        found.append(different)
        yield Case(name, told, f"{last}, {different}", different <= IN_GROUP.close)
    if ask:
        exact = f"{found.count(0)} of {cases}"
        yield Case("scripts that are exact", "nine of ten", exact, IN_GROUP.holds(found))


GROUP_SCRIPTS: Final = Claim(
    "scripts",
    "random scripts with files, vfork and exec in a group: usage, kernel memory, faults, smaps",
    f"equal in 9 of 10 scripts, a figure in the others; kernel memory {KERNEL_WITHIN} page",
    SCRIPTS,
    why_not,
    _scripts,
)
