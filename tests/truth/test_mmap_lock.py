"""How calls hold the mmap lock: the table that the machine goes by, asked of the running kernel.

One thread is inside a long call when another makes a short one.  A short call that returns long
before the long one did not have to wait, and saying so once is proof; one that waits is believed
when it does every time.
"""

import subprocess
from functools import cache
from pathlib import Path

import pytest
from support.samples import sample

from sim.host.kernel import compiled_program
from sim.kernel import ops
from sim.kernel.ops import AREA_LOCK, BLOCK_LOCK, NO_LOCK, OPS, READ_LOCK, WRITE_LOCK, Op

SOURCE = Path(__file__).with_name("mmap_lock.c")
TRIES = 5
BELIEVED = sample(2, TRIES)
"""Times that a short call waits until it is believed, where that is what was expected."""
ROUNDS = 3
CALLS: dict[Op, tuple[str, str]] = {
    ops.OP_MMAP: ("mmap", "mmap_populate"),
    ops.OP_MUNMAP: ("munmap", "munmap"),
    ops.OP_BRK: ("brk", "brk_shrink"),
    ops.OP_MREMAP: ("mremap", "mremap_shrink mremap_grow"),
    ops.OP_MLOCK: ("mlock munlock", "mlock"),
    ops.OP_MPROTECT: ("mprotect", "mprotect"),
    ops.OP_MADVISE: ("random hugepage dontfork wipeonfork", "dontfork"),
    ops.OP_FORK: ("", "fork"),
    ops.OP_DONTNEED: ("dontneed", "dontneed"),
    ops.OP_FREE: ("free", "free"),
    ops.OP_POPULATE: ("populate_read populate_write", "populate_write"),
    ops.OP_MSYNC: ("msync", ""),
    ops.OP_COLLAPSE: ("collapse", "collapse"),
}
"""Short calls by which the running kernel is asked how it takes the lock, and long ones by which it
is asked how it holds it."""

LONG_WRITER, LONG_READER = "mprotect", "populate_write"
SHORT_WRITER, SHORT_READER, ON_AN_AREA = "mmap", "mincore", "dontneed"


def ask(
    holder: str, probe: str, *, expected: bool = False, behind: bool = False
) -> tuple[bool, list[int]]:
    """Return whether the short call waits for the long one, and how long it took at most.

    It does not if it was through in the first half of what was left of the long one, just once.
    """
    program = compiled_program("mmap_lock", [SOURCE], "-pthread")
    command = [program, holder, probe, "1", *(["behind"] if behind else [])]
    took = []
    for _ in range(BELIEVED if expected else TRIES):
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        held_ns, probe_ns, left_ns = map(int, ran.stdout.split()[2:])
        took.append(probe_ns)
        if left_ns > held_ns // 5 and left_ns > probe_ns:
            return False, took
    return True, took


waits = cache(lambda holder, probe, expected: ask(holder, probe, expected=expected)[0])


def takes(probe: str, said: int) -> int:
    """Return how a short call takes the lock; `said` is how it should."""
    if waits(LONG_READER, probe, said == WRITE_LOCK):
        return WRITE_LOCK
    return READ_LOCK if waits(LONG_WRITER, probe, said == READ_LOCK) else AREA_LOCK


def holds(holder: str, said: int) -> int:
    """Return how a long call holds it for most of its time; `said` is how it should."""
    if waits(holder, SHORT_READER, said == WRITE_LOCK):
        return WRITE_LOCK
    return READ_LOCK if waits(holder, SHORT_WRITER, said == READ_LOCK) else AREA_LOCK


PROBES = [(call, probe) for call, (probes, _) in CALLS.items() for probe in probes.split()]
HOLDERS = [(call, holder) for call, (_, holders) in CALLS.items() for holder in holders.split()]


def named(value: object) -> str:
    return tuple(OPS)[value] if isinstance(value, Op) else str(value)


@pytest.mark.kernel
@pytest.mark.truth
@pytest.mark.parametrize(("call", "probe"), PROBES, ids=named)
def test_the_table_is_the_running_kernels(call: Op, probe: str) -> None:
    said = WRITE_LOCK if call.first == BLOCK_LOCK else call.first
    for _ in range(ROUNDS):  # one that came before the long call had the lock looks as if let by
        if takes(probe, said) == said:
            break
        waits.cache_clear()
    assert takes(probe, said) == said


@pytest.mark.kernel
@pytest.mark.truth
@pytest.mark.parametrize(("call", "holder"), HOLDERS, ids=named)
def test_long_calls_hold_it_as_the_table_says(call: Op, holder: str) -> None:
    """A collapse gives the lock up so often that nobody waits for its end."""
    said = AREA_LOCK if call.then == BLOCK_LOCK else call.then
    assert holds(holder, said) == said


@pytest.mark.kernel
@pytest.mark.truth
@pytest.mark.parametrize(
    ("holder", "probe", "behind", "expected"),
    [
        ("mprotect", "fault", False, False),
        ("mprotect", "read_fault", False, False),
        ("mprotect", "first_fault", False, True),  # the area gets its family
        ("populate_write", "first_fault", False, False),
        ("fork", "fault", False, True),  # fork has locked that area
        ("fork", "dontneed", False, True),
        ("munmap", "fault", False, False),
        ("populate_write", "mincore", True, True),  # behind a writer that waits
        ("populate_write", "first_fault", True, True),
        ("populate_write", "fault", True, False),
        ("populate_write", "dontneed", True, False),
    ],
)
def test_faults_and_who_stands_behind_a_writer(
    holder: str, probe: str, behind: bool, expected: bool
) -> None:
    found, took = ask(holder, probe, expected=expected, behind=behind)
    assert found == expected, took


def test_each_call_that_takes_the_lock_was_asked_for() -> None:
    """A row without a probe or a holder would be a guess."""
    assert set(CALLS) == {op for op in OPS.values() if op.first != NO_LOCK}
    assert all(probes or holders for probes, holders in CALLS.values())
    source = SOURCE.read_text(encoding="utf-8")
    for asked in CALLS.values():
        for name in " ".join(asked).split():
            assert f'{{"{name}", ' in source


@pytest.mark.kernel
@pytest.mark.truth
def test_a_wrong_row_is_noticed() -> None:
    """Negative control: nothing is held by a call that sleeps, and mprotect is no reader."""
    assert holds("nothing", AREA_LOCK) == AREA_LOCK != READ_LOCK
    assert takes("mprotect", WRITE_LOCK) != READ_LOCK
