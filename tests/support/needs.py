"""What tests of the running kernel need: each says what is missing here, or "" if it is there."""

import ctypes
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from sim.host.conditions import (
    EVERY_VERB,
    THP_FOLDER,
    cannot_run,
    compiler,
    file_folder,
    host_conditions,
    read_ahead_pages,
    read_setting,
)
from sim.host.groups import no_group
from sim.host.kernel import HostError, compiled_program, driver_path

Need = Callable[[], str]
PROGRAMS = Path(__file__).with_name("programs")
ADDR_NO_RANDOMIZE = 0x40000


def glibc_version() -> str:
    """Return the version of the C library, "" if it is not glibc."""
    try:
        told = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        told = ""
    return told.removeprefix("glibc ")


@cache
def linux() -> str:
    if not sys.platform.startswith("linux"):
        return f"this is {sys.platform}, not Linux"
    return "" if Path("/proc/self/status").exists() else "/proc is not mounted"


@cache
def driver() -> str:
    """A C compiler that compiles what asks the kernel."""
    if reason := linux() or cannot_run():
        return reason
    try:
        driver_path()
    except HostError as error:
        return str(error).replace("\n", " ")
    return ""


@cache
def calm() -> str:
    """A kernel that moves and merges no pages by itself."""
    if reason := linux():
        return reason
    return next((str(c) for c in host_conditions() if c.spoils >= EVERY_VERB), "")


@cache
def root() -> str:
    return "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "only root may do that"


@cache
def own_group() -> str:
    """A control group of one's own, in version 1 of the memory controller."""
    return linux() or no_group()


@cache
def real_time() -> str:
    """A real-time priority, for a thread that must not wait for a CPU."""
    if reason := linux():
        return reason
    ask = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, check=False)
    return "a real-time priority may not be taken" if done.returncode else ""


@cache
def all_cpus() -> str:
    if reason := linux():
        return reason
    return "" if len(os.sched_getaffinity(0)) == os.cpu_count() else "not all CPUs are ours"


@cache
def pressure() -> str:
    """Pressure of the machine, and a trace of reclaim in a mount namespace of one's own."""
    if reason := linux() or root():
        return reason
    try:
        Path("/proc/pressure/memory").read_text(encoding="ascii")
    except OSError as error:
        return f"the kernel tells no pressure: {error.strerror}"
    try:
        mount = ["unshare", "--mount", "mount", "-t", "tracefs", "cowpool", "/sys/kernel/tracing"]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"no mount namespace of one's own: {error.strerror}"
    return f"reclaim cannot be traced: {done.stderr.strip()}" if done.returncode else ""


@cache
def two_cpus() -> str:
    if reason := linux():
        return reason
    return "" if {0, 1} <= os.sched_getaffinity(0) else "CPUs 0 and 1 are not ours"


@cache
def frame_numbers() -> str:
    """/proc/self/pagemap that shows frame numbers (CAP_SYS_ADMIN)."""
    if reason := linux():
        return reason
    with mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory[0] = 1
        view = ctypes.c_char.from_buffer(memory)
        at = ctypes.addressof(view) // mmap.PAGESIZE * 8
        del view
        try:
            with Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap:
                pagemap.seek(at)
                entry = int.from_bytes(pagemap.read(8), "little")
        except OSError as error:
            return f"/proc/self/pagemap cannot be read: {error.strerror}"
    return "" if entry & ((1 << 55) - 1) else "/proc/self/pagemap hides frame numbers"


@cache
def fixed_addresses() -> str:
    """Programs that may forbid that their addresses are random."""
    if reason := linux():
        return reason
    ask = f"import ctypes, sys; sys.exit(ctypes.CDLL(None).personality({ADDR_NO_RANDOMIZE}) < 0)"
    refused = subprocess.run([sys.executable, "-c", ask], check=False).returncode
    return "addresses are random, and that may not be forbidden" if refused else ""


@cache
def tracing() -> str:
    """ptrace of one's own children."""
    if reason := driver():
        return reason
    program = compiled_program("spawned_how", [PROGRAMS / "spawned_how.c"])
    done = subprocess.run([program, "fork"], capture_output=True, check=False)
    return f"nothing may be traced (status {done.returncode})" if done.returncode else ""


@cache
def static_library() -> str:
    """A static C library to link with."""
    if reason := driver():
        return reason
    with tempfile.TemporaryDirectory() as folder:
        command = [str(compiler()), "-static", "-pthread", "-x", "c", "-", "-o", f"{folder}/it"]
        done = subprocess.run(
            command,
            input="int main(void) { return 0; }",
            text=True,
            capture_output=True,
            check=False,
        )
    return "there is no static C library" if done.returncode else ""


@cache
def disk_files() -> str:
    """A disk file system to write to."""
    return linux() or ("" if file_folder() else "there is no disk file system to write to")


@cache
def read_ahead_size() -> str:
    if reason := disk_files():
        return reason
    folder = file_folder()
    known = folder is not None and read_ahead_pages(folder) is not None
    return "" if known else "the kernel does not say what it reads ahead"


@cache
def huge_pages() -> str:
    """Huge pages for those who ask, as sysfs shows them."""
    mode = read_setting(THP_FOLDER / "enabled")
    if mode is None:
        return f"there is no {THP_FOLDER}"
    return "" if mode in ("madvise", "always") else f"huge pages are off ({mode})"


@cache
def folio_sizes() -> str:
    """Folios of other sizes, that may be asked for."""
    setting = THP_FOLDER / "hugepages-64kB" / "enabled"
    if not setting.exists():
        return "there are no folios of other sizes"
    return "" if os.access(setting, os.W_OK) else f"{setting} may not be changed"


@cache
def own_proc() -> str:
    """/proc/meminfo of the kernel itself, not of a container's manager (lxcfs)."""
    if reason := linux():
        return reason
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
    return "/proc/meminfo is somebody else's" if " /proc/meminfo " in mounts else ""


@cache
def zones() -> str:
    for path in (Path("/proc/zoneinfo"), Path("/proc/sys/vm/watermark_scale_factor")):
        if not os.access(path, os.R_OK):
            return f"{path} cannot be read"
    return ""


@cache
def redis_server() -> str:
    if reason := linux():
        return reason
    return "" if shutil.which("redis-server") else "there is no redis-server"
