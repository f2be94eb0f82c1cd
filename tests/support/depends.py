"""What each test that asks the running kernel needs, and what its figures depend on: one table.

`needs` is what must be there, or the test is skipped and says what is missing.  `figures` is what
may differ on a healthy machine, and the figures with it.  Counts of touches made one at a time
depend on the release of Linux alone, so they are red on any machine that runs a release whose rules
were checked.  Where anything that `figures` names is not as recorded here, a difference is reported
as unchecked, with what differs; where all is as recorded, it is red.  A row names a file, or a test
of it, which then has that row alone.
"""

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.host.conditions import file_folder, file_system_of, runnable_tasks
from support import needs
from support.needs import Need

RELEASE, CPU, QUIET, GLIBC, FILES = "release", "CPU", "quiet", "glibc", "file system"

RECORDED_RELEASE = re.compile(r"6\.18\.")
RECORDED_GLIBC = "2.36"
RECORDED_FILES = "ext4"
RECORDED_VENDOR = "AuthenticAMD"
RECORDED_FEATURES = frozenset(
    "avx2 avx512f avx512vl avx512bw bmi2 erms fsrm movbe abm popcnt xsavec".split()
)
"""Of those by which glibc chooses its functions, and by which its linker saves registers."""
ALL_FEATURES = RECORDED_FEATURES | {"rtm", "amx_tile", "avx512_fp16"}


@dataclass(frozen=True)
class Host:
    """What figures may depend on, as it is here."""

    release: str
    vendor: str
    features: frozenset[str]
    glibc: str
    files: str
    runnable: float
    cpus: int

    def differs_in(self, what: str) -> str:
        """Say how one thing is not as recorded; "" if it is."""
        if what == RELEASE and RECORDED_RELEASE.match(self.release) is None:
            return f"rules were checked on Linux 6.18, this is {self.release}"
        if what == GLIBC and self.glibc != RECORDED_GLIBC:
            return (
                f"recorded with glibc {RECORDED_GLIBC}, this is {self.glibc or 'another library'}"
            )
        if what == FILES and self.files != RECORDED_FILES:
            return f"recorded on {RECORDED_FILES}, files lie on {self.files} here"
        if what == QUIET and self.runnable > self.cpus:
            return f"{self.runnable:.1f} tasks want {self.cpus} CPUs"
        if what == CPU and self.vendor != RECORDED_VENDOR:
            return f"recorded on a CPU of {RECORDED_VENDOR}, this is {self.vendor}"
        if what == CPU and (other := self.features ^ RECORDED_FEATURES):
            signs = (("-" if name in RECORDED_FEATURES else "+") + name for name in sorted(other))
            return f"recorded on a CPU with other features than this: {' '.join(signs)}"
        return ""


def this_host() -> Host:
    """Return what is so here, now."""
    cpu = Path("/proc/cpuinfo")
    told = cpu.read_text(encoding="ascii", errors="replace") if cpu.exists() else ""
    found = dict(re.findall(r"^(vendor_id|flags)\s*: (.*)$", told, re.MULTILINE))
    return Host(
        release=os.uname().release,
        vendor=found.get("vendor_id", "an unknown vendor"),
        features=ALL_FEATURES & set(found.get("flags", "").split()),
        glibc=needs.glibc_version(),
        files=file_system_of(folder) if (folder := file_folder()) is not None else "no disk",
        runnable=runnable_tasks(),
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
    )


@dataclass(frozen=True)
class Row:
    """What a test needs, and what its figures depend on."""

    needs: tuple[Need, ...]
    figures: tuple[str, ...] = (RELEASE,)


TABLE: dict[str, Row] = {
    "cli/test_conform_session.py": Row((needs.driver, needs.calm)),
    "cli/test_conform_spawn.py": Row((needs.driver, needs.fixed_addresses)),
    "truth/test_glibc_fork.py": Row(
        (needs.driver, needs.static_library, needs.fixed_addresses), (RELEASE, GLIBC, CPU)
    ),
    "truth/test_kernel_conformance.py": Row((needs.driver, needs.calm)),
    "truth/test_kernel_conformance.py::test_a_broken_rule_is_noticed": Row(
        (needs.driver, needs.calm), ()
    ),
    "truth/test_kernel_conformance.py::test_every_verb_can_be_run": Row(
        (needs.driver, needs.calm, needs.disk_files, needs.huge_pages)
    ),
    "truth/test_kernel_copies.py": Row((needs.frame_numbers,), (RELEASE, QUIET)),
    "truth/test_kernel_direct_io.py": Row((needs.linux, needs.disk_files), (RELEASE, QUIET, FILES)),
    "truth/test_kernel_file_pages.py": Row(
        (needs.driver, needs.root, needs.disk_files), (RELEASE, QUIET, FILES)
    ),
    "truth/test_kernel_groups.py": Row(
        (needs.driver, needs.calm, needs.own_group, needs.static_library, needs.fixed_addresses),
        (RELEASE, QUIET, GLIBC),
    ),
    "truth/test_kernel_swap_live.py": Row(
        (needs.driver, needs.root, needs.static_library, needs.fixed_addresses), (RELEASE, QUIET)
    ),
    "truth/test_kernel_swap_devices.py": Row(
        (needs.driver, needs.root, needs.static_library, needs.fixed_addresses), (RELEASE, QUIET)
    ),
    "truth/test_kernel_zram.py": Row((needs.root,), (RELEASE,)),
    "truth/test_kernel_oom_reaper.py": Row((needs.driver, needs.root)),
    "truth/test_kernel_swapoff.py": Row((needs.driver, needs.root)),
    "truth/test_kernel_huge_pages.py": Row(
        (needs.driver, needs.calm, needs.root, needs.folio_sizes), (RELEASE, QUIET)
    ),
    "truth/test_kernel_nice.py": Row((needs.linux,), (RELEASE, QUIET)),
    "truth/test_kernel_oom.py": Row((needs.driver, needs.root), (RELEASE, QUIET)),
    "truth/test_kernel_page_tables.py": Row((needs.driver, needs.calm, needs.fixed_addresses)),
    "truth/test_kernel_posix_spawn.py": Row((needs.driver, needs.tracing), (GLIBC,)),
    "truth/test_kernel_pressure.py": Row(
        (needs.own_group, needs.disk_files, needs.all_cpus, needs.pressure), (RELEASE, QUIET)
    ),
    "truth/test_kernel_read_ahead.py": Row(
        (needs.disk_files, needs.read_ahead_size), (RELEASE, QUIET, FILES)
    ),
    "truth/test_kernel_spawns.py": Row(
        (needs.driver, needs.calm, needs.fixed_addresses, needs.disk_files)
    ),
    "truth/test_kernel_spawns.py::test_the_c_library_starts_programs_likewise": Row(
        (needs.driver, needs.calm, needs.fixed_addresses, needs.disk_files, needs.static_library),
        (RELEASE, GLIBC),
    ),
    "truth/test_kernel_stacks.py": Row((needs.linux,)),
    "truth/test_kernel_vfork_holds.py": Row((needs.driver,)),
    "truth/test_malloc_in_threads.py": Row((needs.driver, needs.calm), (RELEASE, GLIBC)),
    "truth/test_malloc_in_threads.py::test_one_arena_for_all_would_be_noticed": Row(
        (needs.driver, needs.calm), ()
    ),
    "truth/test_malloc_libraries.py": Row((needs.driver, needs.calm), (RELEASE, GLIBC)),
    "truth/test_mappings_of_the_kernel.py": Row((needs.linux, needs.huge_pages)),
    "truth/test_mappings_of_the_kernel.py::test_mappings_of_files_begin_where_the_simulated_machine_"
    "puts_them": Row((needs.disk_files, needs.huge_pages), (RELEASE, FILES)),
    "truth/test_mmap_lock.py": Row(
        (needs.driver, needs.two_cpus, needs.huge_pages, needs.root, needs.real_time),
        (RELEASE, QUIET),
    ),
    "truth/test_other_kernels.py": Row(
        (needs.driver, needs.static_library, needs.real_time, needs.two_cpus), (RELEASE, QUIET)
    ),
    "truth/test_program_images.py": Row(
        (needs.driver, needs.calm, needs.root, needs.fixed_addresses, needs.disk_files),
        (RELEASE, CPU, QUIET, GLIBC, FILES),
    ),
    "truth/test_promises_of_the_kernel.py": Row((needs.own_proc,), (RELEASE, QUIET)),
    "truth/test_program_images.py::test_a_program_has_the_memory_that_was_predicted": Row(
        (needs.driver, needs.calm, needs.root, needs.tracing, needs.disk_files),
        (RELEASE, CPU, QUIET, GLIBC, FILES),
    ),
    "truth/test_redis_server.py": Row((needs.redis_server,), (RELEASE, QUIET)),
    "truth/test_watermarks_of_the_kernel.py": Row((needs.zones,)),
}


def row_of(name: str) -> Row | None:
    """Return the row of a test, ``FOLDER/FILE::TEST`` with or without parameters.

    ``None`` for a test that the table does not know.
    """
    file, _, test = name.partition("::")
    return TABLE.get(f"{file}::{test.partition('[')[0]}") or TABLE.get(file)


def missing(row: Row) -> str:
    """Say what a test needs and is not here; "" if all is."""
    return next((reason for need in row.needs if (reason := need())), "")


def differing(row: Row, host: Callable[[], Host] = this_host) -> str:
    """Say what is not as recorded of all that the figures of a test depend on; "" if all is."""
    here = host()
    return "; ".join(filter(None, (here.differs_in(what) for what in row.figures)))


def judge(report: Any, row: Row, said: str, host: Callable[[], Host] = this_host) -> None:
    """Make the report of a failed test one of a skipped test, if the host is not as recorded."""
    reason = differing(row, host)
    if reason:
        path, line, _ = report.location
        report.outcome = "skipped"
        report.longrepr = (path, line or 0, f"Skipped: unchecked: {reason}; it differs: {said}")


def verdicts(stats: dict[str, list[Any]]) -> Counter[str]:
    """Count the tests that asked the running kernel: held, unchecked, red.

    `stats` are reports by outcome, as the terminal reporter has them.
    """
    seen: dict[str, str] = {}
    words = {"passed": "held", "skipped": "unchecked", "failed": "red", "error": "red"}
    for outcome, word in words.items():
        for report in stats.get(outcome, []):
            asked = getattr(report, "asks_the_kernel", False)  # a report of collection has none
            if asked and (outcome != "passed" or report.when == "call"):
                seen[report.nodeid] = word
    return Counter(seen.values())
