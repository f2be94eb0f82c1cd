"""Swap in memory for a while: a zram device of one's own, on which the kernel may swap.

Swap is the whole machine's: while it is on, groups of others that are at their limits swap to it
too, as far as their swappiness says.  Whoever is killed with -9 meanwhile leaves it on; `swapoff`
and a `hot_remove` in `/sys/class/zram-control` end it then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.host.conditions import read_setting
from sim.host.groups import no_group
from sim.host.kernel import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTROL: Final = Path("/sys/class/zram-control")
SIZE_BYTES: Final = 1 << 30
"""Of the device; it takes memory only for what is written to it."""


def why_not() -> str:
    """Return why the kernel cannot be asked about swap here, "" if it can."""
    if reason := no_group():
        return reason
    generations = read_setting("/sys/kernel/mm/lru_gen/enabled")
    if generations is not None and int(generations, 16) != 0:
        return "the kernel keeps pages in generations (MGLRU), not on active and inactive lists"
    if not (CONTROL / "hot_add").exists():
        return "there is no zram"
    if not os.access(CONTROL / "hot_remove", os.W_OK):
        return "no zram device may be added"
    if swaps():
        return f"swap is on already: {', '.join(swaps())}"
    if shutil.which("mkswap") is None or shutil.which("swapon") is None:
        return "mkswap and swapon are not installed"
    return ""


def swaps() -> list[str]:
    """Return the names of the swap devices and files that are in use."""
    try:
        lines = Path("/proc/swaps").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    return [line.split()[0] for line in lines]


@contextmanager
def swap_in_memory() -> Iterator[None]:
    """Have the kernel swap to a new zram device in the block; raise `HostError` where it cannot."""
    number = (CONTROL / "hot_add").read_text(encoding="ascii").strip()
    device = f"/dev/zram{number}"
    try:
        Path(f"/sys/block/zram{number}/disksize").write_text(str(SIZE_BYTES))
        _run("mkswap", device)
        _run("swapon", device)
        try:
            yield
        finally:
            _run("swapoff", device)
    finally:
        (CONTROL / "hot_remove").write_text(number)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostError(f"{command[0]} failed: {done.stderr.strip()}")
