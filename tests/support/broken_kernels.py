"""Kernels broken on purpose: would the history test notice, and would the net?

Run as a program, in plain Python: each broken kernel is a copy of `sim` with one line changed,
tried in a process of its own.  Prints a JSON object: for each name, how it was found out, or null.

    python broken_kernels.py history 12,40,80     # so many examples, until one series notices
    python broken_kernels.py net drawn/001,...    # these of the net
"""

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import hypothesis.stateful
import numba  # noqa: F401  (loaded once, before the processes part)
from hypothesis import HealthCheck, Phase, settings

MOST_CPU_S = 40
"""CPU time that each series of histories, or each row of the net, may take on a kernel: a broken
list may have no end."""

Change = tuple[str, str, str]
"""A file of `sim`, what is there once, and what stands there instead."""
BROKEN: dict[str, Change] = {
    "nothing": ("kernel/fault/fault.py", "old.refs -= 1", "old.refs -= 1"),
    "fork leaves the parent's entries writable": (
        "kernel/fork/shared_tables.py",
        "ptep_set_wrprotect(m, source, i)",
        "int(m.tables[source, i])",
    ),
    "fork does not count the new mapping": (
        "kernel/fork/shared_tables.py",
        "frame.maps += 1\n        frame.bits &= ~F_EXCLUSIVE\n        set_pte",
        "frame.bits &= ~F_EXCLUSIVE\n        set_pte",
    ),
    "the reference is not dropped after a copy": ("kernel/fault/fault.py", "old.refs -= 1", "pass"),
    "a shared page is reused": ("kernel/fault/fault.py", "or old.refs == 1)", "or old.refs <= 2)"),
    "a leaf table that others use is changed": (
        "kernel/fault/fault.py",
        "if s.shared_tables != 0 and leaf",
        "if s.shared_tables > 99 and leaf",
    ),
    "the zero page is written": ("kernel/fault/fault.py", "= entry & PTE_ZERO == 0 and (", "= ("),
    "dontneed leaves the entries": (
        "kernel/calls/unmap.py",
        "ptep_get_and_clear(m, leaf, vpn & TABLE_MASK)",
        "int(m.tables[leaf, vpn & TABLE_MASK])",
    ),
    "a borrowed address space is torn down": (
        "kernel/fork/process.py",
        "s.users > 1",
        "s.users > 2",
    ),
    "a page is dropped though it is mapped": ("kernel/files/fadvise.py", "frame.maps > 0 or ", ""),
    "a frame is charged to another group": (
        "machine/groups.py",
        "    hand_over(m, pfn, pages, group)",
        "    hand_over(m, pfn, pages, 1)",
    ),
    "a frame stays charged when it is freed": (
        "machine/pool.py",
        "    uncharge(m, cpu, pfn, kind, 1)",
        "    pass",
    ),
    "a slot is not counted when another entry takes it": (
        "machine/swap.py",
        "m.swap[slot].refs += 1",
        "pass",
    ),
    "buddies merge wrongly": ("machine/buddy.py", "pfn = min(pfn, buddy)", "pfn = buddy"),
}


def put_in_place(change: Change, folder: Path) -> None:
    """Let this process import a changed copy of `sim`, with the bytecode of what is as it was."""
    source = Path(__file__).parents[2] / "sim"
    shutil.copytree(source, folder / "sim", ignore=shutil.ignore_patterns("*.nb?"))
    file, old, new = change
    text = (folder / "sim" / file).read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{file} has not one but {text.count(old)} of: {old}")
    (folder / "sim" / file).write_text(text.replace(old, new))
    for bytecode in (folder / "sim" / file).parent.glob(f"__pycache__/{Path(file).stem}.*"):
        bytecode.unlink()
    (folder / "configs").symlink_to(source.parent / "configs")
    sys.path.insert(0, str(folder))


def try_history(examples: int) -> None:
    """Run the history test; raise what it raises."""
    from support.conservation import Conservation

    Conservation.audit_every = 8  # plain Python is slow at it
    hypothesis.stateful.run_state_machine_as_test(
        Conservation,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def try_net(name: str) -> None:
    """Hold a run against the net; raise `AssertionError` if it differs."""
    from support import net

    held, cases = net.read_net(), net.scenario_cases() | net.drawn_cases()
    try:
        line = net.line_of(net.document_of(cases[name]))
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}") from None
    assert line == held[name], f"{name} differs"


def found_out(change: Change, attempt: Callable[[], None]) -> str | None:
    """Return what an attempt says of a broken kernel, None if it notices nothing."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        said = ""
        with tempfile.TemporaryDirectory() as folder:

            def never_ends(_number: int, _frame: object, folder: str = folder) -> None:
                shutil.rmtree(folder)
                os.write(write_end, b"TimeoutError: it goes round in circles")
                os._exit(0)  # an exception would only lead to the next circle

            signal.signal(signal.SIGVTALRM, never_ends)
            signal.setitimer(signal.ITIMER_VIRTUAL, MOST_CPU_S)
            try:
                put_in_place(change, Path(folder))
                attempt()
            except SystemExit as unusable:
                said = f"unusable: {unusable}"
            except BaseException as failure:
                said = f"{type(failure).__name__}: {failure}"
        os.write(write_end, said.encode()[:2000])
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said.splitlines()[0] if said else None


def found_out_by_any(name: str, attempts: list[Callable[[], None]]) -> str | None:
    """Return what the first attempt says that notices."""
    change = BROKEN[name]
    return next((said for attempt in attempts if (said := found_out(change, attempt))), None)


if __name__ == "__main__":
    how, tries, *names = sys.argv[1:]
    attempt = {"net": try_net, "history": lambda examples: try_history(int(examples))}[how]
    attempts = [partial(attempt, word) for word in tries.split(",")]  # each series draws others
    told = {name: found_out_by_any(name, attempts) for name in names or BROKEN}
    print(json.dumps(told, indent=1))  # noqa: T201
