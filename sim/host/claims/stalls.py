"""Pressure of the machine, a spinner on every CPU, against reclaim as it is traced."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.host.claims.claim import Case, Claim
from sim.host.conditions import cannot_run, file_folder
from sim.host.groups import no_group
from sim.host.kernel import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

WITHIN: Final = 0.02
TRIES: Final = 3
QUIET: Final = 0.005
"""Reclaim of others, as a share of one's own, that would show in SOME."""
LEAST_US: Final = {"some": 100_000, "full": 20_000}
COMMAND: Final = ("unshare", "--mount", sys.executable, "-m", "sim.host.claims.memory_stalls")


def _why_not() -> str:
    if reason := cannot_run() or no_group():
        return reason
    if not Path("/proc/pressure/memory").exists():
        return "the kernel tells no pressure"
    if not Path("/sys/kernel/tracing").is_dir():
        return "the kernel traces nothing"
    if shutil.which("unshare") is None:
        return "there is no unshare"
    if len(os.sched_getaffinity(0)) != os.cpu_count():
        return "not all CPUs are ours"
    return "" if file_folder() is not None else "there is no folder on a disk file system"


def stalls() -> dict[str, Any]:
    """Return what `sim.host.claims.memory_stalls` tells.

    Raises `HostError` if nothing can be traced, or if others reclaim as well, each time.
    """
    told: dict[str, Any] = {}
    for _ in range(TRIES):
        done = subprocess.run(COMMAND, capture_output=True, text=True, check=False)
        if done.returncode:
            raise HostError(f"reclaim cannot be traced: {done.stderr.strip().splitlines()[-1]}")
        told = json.loads(done.stdout)
        if not told["lost"] and told["others_us"] <= QUIET * told["reclaim_us"]:
            return told
    if told["lost"]:
        raise HostError("events of the trace were lost, each time")
    raise HostError(
        f"others reclaim, too: for {told['others_us']:,.0f} us, beside {told['reclaim_us']:,.0f}"
    )


def cases(told: dict[str, Any]) -> Iterator[Case]:
    """Yield SOME and FULL of one run, as they follow from its trace and as the kernel counted them.

    With a spinner on every CPU all weigh the same, so what a task is stalled is told as that over
    the number of CPUs.  FULL is what of it was on a CPU: else a spinner ran.
    """
    for how, traced in (("some", told["reclaim_us"]), ("full", told["on_cpu_us"])):
        counted = told["cpus"] * told[f"{how}_us"]
        held = traced > LEAST_US[how] and abs(counted / traced - 1) <= WITHIN
        yield Case(
            how,
            f"{traced:,.0f} us traced",
            f"{counted:,} us on {told['cpus']} CPUs",
            held,
            quiet=True,
        )


def _check(wanted: int, seed: int, ask: bool) -> Iterator[Case]:
    for _ in range(-(-wanted // 2)):
        if ask:
            yield from cases(stalls())
        else:
            yield Case("some", "reclaim, over the number of CPUs")
            yield Case("full", "what of it is on a CPU, over the number of CPUs")


STALLS: Final = Claim(
    "stalls",
    "memory pressure of the machine, a spinner on every CPU, against reclaim as it is traced",
    f"{WITHIN:.0%}",
    2,
    _why_not,
    _check,
)
