"""Kernels broken on purpose: would the history test notice?

Run as a program, in plain Python: each broken kernel is a copy of `sim` with one line changed,
tried in a process of its own.  Prints a JSON object: for each name, how it was found out, or null.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import hypothesis.stateful
import numba  # noqa: F401  (loaded once, before the processes part)
from hypothesis import HealthCheck, Phase, settings

MOST_CPU_S = 40
"""CPU time that the history test may take on a kernel: a broken list may have no end."""

BROKEN: dict[str, tuple[str, str, str]] = {
    "nothing": ("kernel/fault/fault.py", "old.refs -= 1", "old.refs -= 1"),
    "fork leaves the parent's entries writable": (
        "kernel/fork/lend.py",
        "entry &= ~PTE_WRITE\n            m.tables[source, i] = entry",
        "pass",
    ),
    "fork does not count the new mapping": (
        "kernel/fork/lend.py",
        "frame.maps += 1\n        frame.bits &= ~F_EXCLUSIVE\n        if",
        "frame.bits &= ~F_EXCLUSIVE\n        if",
    ),
    "the reference is not dropped after a copy": ("kernel/fault/fault.py", "old.refs -= 1", "pass"),
    "a shared page is reused": ("kernel/fault/fault.py", "or old.refs == 1)", "or old.refs <= 2)"),
    "a leaf table that others use is changed": (
        "kernel/fault/fault.py",
        "if s.lent != 0 and leaf",
        "if s.lent > 99 and leaf",
    ),
    "the zero page is written": ("kernel/fault/fault.py", "= entry & PTE_ZERO == 0 and (", "= ("),
    "dontneed leaves the entries": (
        "kernel/calls/unmap.py",
        "m.tables[leaf, at] = 0\n    if",
        "if",
    ),
    "a borrowed address space is torn down": (
        "kernel/fork/process.py",
        "s.users > 1",
        "s.users > 2",
    ),
    "a page is dropped though it is mapped": ("kernel/files/fadvise.py", "frame.maps > 0 or ", ""),
    "buddies merge wrongly": ("machine/frames.py", "pfn = min(pfn, buddy)", "pfn = buddy"),
}


def try_out(change: tuple[str, str, str], folder: Path, examples: int) -> None:
    """Run the history test on a changed copy of `sim`; raise what it raises."""
    source = Path(__file__).parents[2] / "sim"
    shutil.copytree(source, folder / "sim", ignore=shutil.ignore_patterns("__pycache__"))
    file, old, new = change
    text = (folder / "sim" / file).read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{file} has not one but {text.count(old)} of: {old}")
    (folder / "sim" / file).write_text(text.replace(old, new))
    sys.path.insert(0, str(folder))
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


def found_out(name: str, examples: int) -> str | None:
    """Return what the test says of a broken kernel, None if it notices nothing."""
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
                try_out(BROKEN[name], Path(folder), examples)
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


def found_out_by_any(name: str, examples: list[int]) -> str | None:
    """Return what the first series of examples says that notices: each draws others."""
    return next((said for n in examples if (said := found_out(name, n)) is not None), None)


if __name__ == "__main__":
    series = [int(word) for word in sys.argv[1].split(",")]
    names = sys.argv[2:] or list(BROKEN)
    print(json.dumps({name: found_out_by_any(name, series) for name in names}, indent=1))  # noqa: T201
