"""Programs on another release of Linux than the one that runs us, in a virtual machine.

Needs qemu (`qemu-system-x86_64`, which emulates: a boot takes some ten seconds), a static busybox,
`cpio`, `mkfs.ext4`, and a kernel as distributions package it: its image, and the folder of its
modules where a disk needs some.  Serves `tests.truth.other_kernels`.
"""

from __future__ import annotations

import lzma
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.host.kernel import HostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NEEDED: Final = ("qemu-system-x86_64", "busybox", "cpio", "mkfs.ext4")
MODULES: Final = (
    *("virtio", "virtio_ring", "virtio_pci_modern_dev", "virtio_pci_legacy_dev"),
    *("virtio_pci", "virtio_blk"),
    *("crc16", "libcrc32c", "crc32c_generic", "mbcache", "jbd2", "ext4"),
)
"""What a disk may need; kernels that have them built in bring no such files."""
DISK_MIB: Final = 512
ANSWER_MIB: Final = 2048
TIMEOUT_S: Final = 1800

# Quiet, as scripts want it: huge pages only where asked for, khugepaged asleep, nothing that
# unmaps pages to see who uses them.
INIT: Final = """#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc none /proc; $B mount -t sysfs none /sys; $B mount -t devtmpfs none /dev
for round in 1 2 3 4 5 6; do for m in /modules/*; do $B insmod $m 2>/dev/null; done; done
$B sleep 1
$B mount -t ext4 /dev/vda /mnt || $B poweroff -f
T=/sys/kernel/mm/transparent_hugepage
echo madvise > $T/enabled; echo 100000000 > $T/khugepaged/scan_sleep_millisecs
echo 0 > /proc/sys/kernel/numa_balancing
echo 0 > /sys/kernel/mm/ksm/run
$B sleep 1
$B uname -r > /answers/release
for job in /jobs/*.sh; do
  n=$($B basename $job .sh)
  $B sh $job < /jobs/$n.in > /answers/$n.out 2> /answers/$n.err || echo $? > /answers/$n.failed
done
$B tar c -C /answers . > /dev/vdb
$B sync
$B poweroff -f
"""


@dataclass(frozen=True, slots=True)
class Job:
    """A command line, in which ``{folder}`` is on a disk; what it reads; its name, for a file's."""

    name: str
    command: str
    stdin: str = ""


@dataclass(frozen=True, slots=True)
class Guest:
    """A kernel to boot: its image, the folder of its modules, what machine it gets."""

    image: Path
    modules: Path | None = None
    memory_mib: int = 1536
    cpus: int = 1
    own_time: bool = False
    """Whether a nanosecond is an instruction (`-icount`), and idle time passes at once.

    Then its clock knows nothing of how busy the machine is that emulates; one CPU only.
    """

    def run(self, jobs: Iterable[Job], programs: Mapping[str, Path]) -> tuple[str, dict[str, str]]:
        """Boot, carry out the jobs one after the other, return the release and what each printed.

        `programs` are static, and lie in ``/bin`` by their names.  Raises `HostError` where
        something is missing, the guest does not come to an end, or a job fails.
        """
        missing = [name for name in NEEDED if shutil.which(name) is None]
        if missing:
            raise HostError(f"a virtual machine needs {', '.join(missing)}")
        with tempfile.TemporaryDirectory(prefix="cowpool-guest-") as folder:
            base = Path(folder)
            self._initramfs(base, jobs, programs)
            for name, mib in (("disk", DISK_MIB), ("answers", ANSWER_MIB)):
                with (base / name).open("wb") as image:
                    image.truncate(mib << 20)
            _done(["mkfs.ext4", "-q", "-F", str(base / "disk")])
            console = self._boot(base)
            answers = base / "read"
            try:
                with tarfile.open(base / "answers") as archive:
                    archive.extractall(answers, filter="data")
                release = (answers / "release").read_text().strip()
            except (tarfile.TarError, FileNotFoundError) as error:
                told = console[-2000:]
                raise HostError(f"the virtual machine gave no answers:\n{told}") from error
            failed = sorted(answers.glob("*.failed"))
            if failed:
                why = failed[0].with_suffix(".err").read_text().strip()
                raise HostError(f"{failed[0].stem} failed in the virtual machine: {why}")
            found = {path.stem: path.read_text() for path in answers.glob("*.out")}
            return release, found

    def _initramfs(self, base: Path, jobs: Iterable[Job], programs: Mapping[str, Path]) -> None:
        root = base / "root"
        for name in ("bin", "dev", "proc", "sys", "mnt", "tmp", "jobs", "answers", "modules"):
            (root / name).mkdir(parents=True)
        shutil.copy(str(shutil.which("busybox")), root / "bin" / "busybox")
        for name, path in programs.items():
            shutil.copy(path, root / "bin" / name)
        for at, module in enumerate(self._module_files()):
            data = module.read_bytes()
            data = lzma.decompress(data) if module.suffix == ".xz" else data
            (root / "modules" / f"{at}.ko").write_bytes(data)
        for job in jobs:
            command = job.command.format(folder="/mnt")
            (root / "jobs" / f"{job.name}.sh").write_text(command + "\n")
            (root / "jobs" / f"{job.name}.in").write_text(job.stdin)
        (root / "init").write_text(INIT)
        (root / "init").chmod(0o755)
        packed = "find . | cpio -o -H newc --quiet | gzip -1 > ../initramfs"
        _done(["sh", "-c", packed], cwd=root)

    def _module_files(self) -> list[Path]:
        if self.modules is None:
            return []
        return [path for name in MODULES for path in sorted(self.modules.rglob(f"{name}.ko*"))]

    def _boot(self, base: Path) -> str:
        disks = [
            *("-drive", f"file={base / 'disk'},if=virtio,format=raw,cache=unsafe"),
            *("-drive", f"file={base / 'answers'},if=virtio,format=raw"),
        ]
        machine = ["-cpu", "max", "-m", str(self.memory_mib), "-smp", str(self.cpus)]
        if self.own_time:
            machine += ["-icount", "shift=0,sleep=off"]
        append = "console=ttyS0 quiet panic=-1 init_on_alloc=0"
        return _done(
            [
                *("qemu-system-x86_64", "-accel", "tcg", *machine),
                *("-nographic", "-no-reboot", "-nic", "none", *disks),
                *("-kernel", str(self.image), "-initrd", str(base / "initramfs")),
                *("-append", append),
            ]
        )


def _done(command: Sequence[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HostError(f"`{command[0]}` came to no end in {TIMEOUT_S} s") from error
    if done.returncode:
        raise HostError(f"`{command[0]}` failed: {done.stderr.strip() or done.stdout[-2000:]}")
    return done.stdout
