"""What the running kernel is like, and which scripts it can be asked.

Exactness is claimed for a quiet kernel: NUMA balancing and KSM off, memory to spare, 4 KiB pages.
Each condition says what was found and what follows from it.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.base.cache import cache_folder
from sim.base.limits import group_limit_bytes, meminfo_bytes
from sim.base.units import GIB, KIB, PAGE_BYTES, format_bytes
from sim.machine.releases import CHECKED, NEWEST, followed_release, parse_release, release_name
from sim.machine.rules import RULES, rules_of
from sim.script.grammar import HUGETLB_VERBS, MAPPING_VERBS, Operation, Verb

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

THP_FOLDER: Final = Path("/sys/kernel/mm/transparent_hugepage")

COARSE_CLOCK: Final = 6
"""CLOCK_MONOTONIC_COARSE: its resolution is a tick."""
DISK_FILE_SYSTEMS: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"})
FILE_VERBS: Final = frozenset({Verb.MAPFILE, Verb.MAPSHFILE})
EVERY_VERB: Final = frozenset(Verb)
NO_VERB: Final[frozenset[Verb]] = frozenset()


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing found about the host.

    `spoils` are the verbs whose figures cannot be relied upon because of it; `consequence` says
    why, and is "" where all is as it should be.
    """

    name: str
    found: str
    consequence: str = ""
    spoils: frozenset[Verb] = NO_VERB

    def __str__(self) -> str:
        return f"{self.name}: {self.found}" + (f" ({self.consequence})" if self.consequence else "")


def read_setting(path: Path | str) -> str | None:
    """Return a one-line kernel setting, the chosen word where there is a choice in brackets.

    ``None`` if this kernel does not have it, or does not let us see it.
    """
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
    if "[" in text:
        return text[text.index("[") + 1 : text.index("]")]
    return text


def file_system_of(folder: Path) -> str:
    """Return the type of the file system that `folder` lies on, by ``/proc/self/mounts``."""
    best, kind = "", "unknown"
    target = str(folder.resolve())
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        point, found = line.split()[1:3]
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind


def file_folder() -> Path | None:
    """Return a writable folder on a disk file system, for mapped files; ``None`` if none is found.

    Tried in turn: the folder for temporary files, the cache folder, the current one, ``/var/tmp``.
    """
    for folder in (_temporary(), cache_folder(), Path.cwd(), Path("/var/tmp")):
        if folder is None:
            continue
        usable = folder.is_dir() and os.access(folder, os.W_OK)
        if usable and file_system_of(folder) in DISK_FILE_SYSTEMS:
            return folder
    return None


def _temporary() -> Path | None:
    try:
        return Path(tempfile.gettempdir())
    except OSError:  # there is none that can be written
        return None


def runnable_tasks() -> float:
    """Return how many other tasks want a CPU: now, or in the last minute if these were more."""
    load = read_setting("/proc/loadavg")
    words = load.split() if load is not None else ["0", "0", "0", "1/1"]
    return max(float(words[0]), int(words[3].split("/")[0]) - 1)


def why_busy() -> str:
    """Say that more tasks want a CPU than there are; "" if not."""
    wanted, cpus = runnable_tasks(), len(os.sched_getaffinity(0))
    return f"{wanted:.1f} tasks want {cpus} CPUs" if wanted > cpus else ""


def read_ahead_pages(folder: Path) -> int | None:
    """Return how many pages the kernel reads ahead of files in `folder`; ``None`` if it is hidden.

    That is `read_ahead_kb` of the device, for a file that says nothing else.
    """
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    kib = read_setting(f"/sys/class/bdi/{number}/read_ahead_kb")
    return int(kib) * 1024 // PAGE_BYTES if kib is not None and kib.isdigit() else None


def compiler() -> str | None:
    """Return the C compiler: ``$CC``, else ``cc``, ``gcc`` or ``clang``; ``None`` without one."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if name and shutil.which(name):
            return name
    return None


def cannot_run() -> str | None:
    """Return why no script can be run for real here, or ``None`` if one can."""
    if sys.platform != "linux":
        return f"this is {platform.system()}, not Linux"
    if os.sysconf("SC_PAGE_SIZE") != PAGE_BYTES:
        return f"pages here have {os.sysconf('SC_PAGE_SIZE')} bytes; the scripts speak of 4096"
    if compiler() is None:
        return "there is no C compiler; install gcc or clang, or name one in the variable CC"
    return None


def assumed_release(running: str) -> str:
    """Return the release whose rules are assumed for a running kernel: its own, or the nearest.

    >>> assumed_release("6.12.117-amd64"), assumed_release("7.1.0")
    ('6.12', '6.18')
    """
    try:
        return release_name(followed_release(running))
    except ValueError:
        return release_name(NEWEST)


def rules_condition(assumed: str, running: str | None = None) -> Condition:
    """Return what is to be said of the rules of the release `assumed`.

    `running` is the kernel that answers, if one does.
    """
    found = f"those of Linux {assumed}"
    rules = rules_of(assumed)
    differing = [rule for rule in RULES.values() if rule.simulated and rule & rules == 0]
    if running is not None and assumed_release(running) != assumed:
        return Condition(
            "rules", found, f"this kernel is {running}: differences are to be expected"
        )
    if running is not None and not running.startswith(f"{assumed}."):
        return Condition("rules", found, f"{running} is not known: a difference may be its own")
    if parse_release(assumed) != CHECKED:
        count = len(differing)
        what = f"{count} differ from those of the kernel they were checked on, see docs/model.md"
        return Condition("rules", found, what)
    return Condition("rules", found)


def host_conditions(folios: Collection[int] = ()) -> list[Condition]:
    """Return what was found about this Linux host, in the order in which it is printed.

    Folios of the sizes `folios`, in pages, are meant to be there.
    """
    return [
        Condition("kernel", platform.release()),
        _must_be_off("NUMA balancing", "/proc/sys/kernel/numa_balancing", "faults of its own"),
        _must_be_off("KSM", "/sys/kernel/mm/ksm/run", "may merge pages"),
        *_thp_conditions(folios),
        _swap(),
        Condition("memory available", format_bytes(meminfo_bytes("MemAvailable"))),
        Condition("memory limit of the control group", _limit()),
        *_lock_limit(),
        _files(),
        _hugetlb(),
    ]


def free_huge_pages() -> int:
    """Return how many pages of the pool of huge pages are free and not reserved; 0 if it is hidden.

    Only pages of 2 MiB count.
    """
    folder = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
    free, reserved = (read_setting(folder / name) for name in ("free_hugepages", "resv_hugepages"))
    return int(free or 0) - int(reserved or 0)


def _hugetlb() -> Condition:
    """Return what the pool of huge pages has; nothing here makes it larger."""
    free = free_huge_pages()
    if free > 0:
        return Condition("pool of huge pages", f"{free} of 2 MiB are free")
    return Condition(
        "pool of huge pages",
        "none is free (vm.nr_hugepages)",
        "it is a setting of the whole machine, which is not changed for a script",
        HUGETLB_VERBS,
    )


def _must_be_off(name: str, path: str, consequence: str) -> Condition:
    value = read_setting(path)
    if value in (None, "0"):
        return Condition(name, "off")
    return Condition(name, f"on ({value})", consequence, EVERY_VERB)


def _thp_conditions(folios: Collection[int]) -> list[Condition]:
    enabled = read_setting(THP_FOLDER / "enabled") or "not in this kernel"
    pmd = read_setting(THP_FOLDER / "hugepages-2048kB" / "enabled") or "inherit"
    mode = enabled if pmd == "inherit" else pmd
    huge = frozenset({Verb.HUGEPAGE})
    if mode in ("madvise", "always"):
        conditions = [Condition("transparent huge pages", mode)]
    else:
        conditions = [
            Condition("transparent huge pages", mode, "`hugepage` would change nothing", huge)
        ]
    enabled_sizes = {
        folder.name.removeprefix("hugepages-")
        for folder in THP_FOLDER.glob("hugepages-*")
        if folder.name != "hugepages-2048kB"
        and read_setting(folder / "enabled") not in (None, "never")
    }
    wanted = {f"{pages * PAGE_BYTES // KIB}kB" for pages in folios}
    if wanted:
        found = ", ".join(sorted(enabled_sizes & wanted)) or "none"
        conditions.append(Condition("folios for advised memory", found))
    others = sorted(enabled_sizes - wanted)
    if others:
        found = ", ".join(others)
        conditions.append(Condition("other folio sizes", found, "other sizes come first", huge))
    if read_setting(THP_FOLDER / "use_zero_page") not in (None, "1"):
        conditions.append(Condition("huge zero page", "off", "reads would take frames", huge))
    shmem = read_setting(THP_FOLDER / "shmem_enabled") or "never"
    if shmem == "advise":
        conditions.append(Condition("huge shared memory", shmem, "on advice", huge))
    elif shmem not in ("never", "deny"):
        shared = frozenset({Verb.SHMAP})
        conditions.append(Condition("huge shared memory", shmem, "shared regions", shared))
    return conditions


def _swap() -> Condition:
    total = meminfo_bytes("SwapTotal")
    return Condition("swap", format_bytes(total) if total else "none")


def _limit() -> str:
    limit = group_limit_bytes()
    if limit is None or limit > meminfo_bytes("MemTotal"):
        return "none"
    return format_bytes(limit)


def _lock_limit() -> list[Condition]:
    import resource  # not on every system: this is only asked on Linux

    limit_bytes, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if limit_bytes == resource.RLIM_INFINITY or os.geteuid() == 0 or limit_bytes >= GIB:
        return []
    locking = frozenset({Verb.LOCK})
    return [Condition("memory that may be locked", format_bytes(limit_bytes), "refusals", locking)]


def _files() -> Condition:
    folder = file_folder()
    if folder is None:
        return Condition("mapped files", "no disk file system", "none to write", FILE_VERBS)
    return Condition("mapped files", f"on {file_system_of(folder)}, in {folder}")


def objections(conditions: Sequence[Condition], script: Sequence[Operation]) -> list[str]:
    """Return why the kernel's answer to `script` could not be relied upon; empty if it could."""
    verbs = {operation.verb for operation in script}
    found = [str(condition) for condition in conditions if condition.spoils & verbs]
    needed_bytes = bytes_needed(script)
    available_bytes = meminfo_bytes("MemAvailable")
    limit_bytes = group_limit_bytes()
    if limit_bytes is not None:
        available_bytes = min(available_bytes, limit_bytes)
    if needed_bytes > available_bytes // 2:
        found.append(
            f"memory: the script may touch {format_bytes(needed_bytes)}, more than half of the "
            f"{format_bytes(available_bytes)} available: reclaim would show"
        )
    return found


def bytes_needed(script: Sequence[Operation]) -> int:
    """Return a bound on the memory that `script` can touch: each region in each process."""
    pages = sum(operation.end for operation in script if operation.verb in MAPPING_VERBS)
    processes = 1 + sum(operation.verb is Verb.FORK for operation in script)
    return pages * processes * PAGE_BYTES


def group_conditions() -> list[Condition]:
    """Return what decides what a control group of one's own can be asked about memory pressure."""
    folder = file_folder()
    ahead = None if folder is None else read_ahead_pages(folder)
    return [
        Condition("kernel", platform.release()),
        Condition("control groups", "version 1 of the memory controller"),
        _swap(),
        _files(),
        Condition("read-ahead of files", "hidden" if ahead is None else f"{ahead} pages"),
        _damon(),
        _capability("CAP_SYS_RESOURCE", 24, "an oom_score_adj may not be lowered"),
        _capability("CAP_SYS_NICE", 23, "the CPU cannot be kept from others"),
        Condition("clock ticks a second", str(round(1 / time.clock_getres(COARSE_CLOCK)))),
        Condition("addresses", "not randomised, by personality()"),
    ]


def _damon() -> Condition:
    states = Path("/sys/kernel/mm/damon/admin/kdamonds").glob("*/state")
    if "on" in [read_setting(state) for state in states]:
        return Condition("DAMON", "on", "drops pages of files that were idle for a minute or more")
    return Condition("DAMON", "off")


def _capability(name: str, bit: int, consequence: str) -> Condition:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:") and int(line.split()[1], 16) >> bit & 1:
            return Condition(name, "held")
    return Condition(name, "not held", consequence)
