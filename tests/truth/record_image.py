"""Record which pages real programs touch: this makes the images in ``configs/programs``.

Run it as root, as ``python -m tests.truth.record_image [NAME ...]`` from the checkout's root.  The
program and its libraries are copied to a file system of their own that reads nothing ahead, and run
there once with nothing in the page cache.  So the first touch of every page is a fault, nothing is
mapped around another, and the kernel's trace events show all of them, in order.  Where things lie
comes from ``/proc/PID/maps``, at every system call of a second run.  Addresses are not randomised.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim.base.units import PAGE_BYTES
from sim.script.spawn import auxiliary_words, exec_stack_pages

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.program_roots import COMMANDS, ENVIRONMENT, files_of, fingerprint, make_root
from support.traced_programs import become, stops

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TARGET = Path("configs/programs")
TRACING = Path("/sys/kernel/tracing/instances")
EVENTS = ("exceptions/page_fault_user", "exceptions/page_fault_kernel", "sched/sched_process_exec")
FAULT = re.compile(r"page_fault_(\w+): address=0x([0-9a-f]+) .* error_code=0x([0-9a-f]+)")
WRITE = 2
ROOT_BYTES = 256 << 20
STACK_PAGES = range(0x7FFFFFFFF - 40, 0x7FFFFFFFF)

Touches = list[tuple[int, bool]]
"""Pages in order, and whether each is written."""


@dataclass(frozen=True)
class Backing:
    """What a page of the program maps: page `index` of a file, or memory; `kind` r, rx or rw."""

    file: str
    index: int
    kind: str

    @property
    def kernels_own(self) -> bool:
        """Whether the kernel maps it into every process; nothing is mapped around such a page."""
        return self.file.startswith("[")


def run(*command: str) -> str:
    """Return what a command prints; raise if it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@contextmanager
def cold_root(command: Sequence[str]) -> Iterator[Path]:
    """Mount a file system that reads nothing ahead, with the program, nothing of it cached."""
    with tempfile.TemporaryDirectory() as name:
        image, root = Path(name) / "image", Path(name) / "root"
        root.mkdir()
        with image.open("wb") as file:
            file.truncate(ROOT_BYTES)
        run("mkfs.ext4", "-q", "-b", str(PAGE_BYTES), str(image))
        device = run("losetup", "-f", "--show", str(image)).strip()
        try:
            run("blockdev", "--setra", "0", device)
            run("mount", device, str(root))
            make_root(root, command)
            run("umount", str(root))  # what was cached goes with it
            run("mount", device, str(root))
            try:
                run("mount", "-t", "proc", "proc", str(root / "proc"))
                yield root
                run("umount", str(root / "proc"))
            finally:
                run("umount", str(root))
        finally:
            run("losetup", "-d", device)


def touches_of(root: Path, command: Sequence[str]) -> tuple[set[int], Touches]:
    """Return the pages that the kernel writes during exec, and what the program touches."""
    instance = TRACING / f"cowpool{os.getpid()}"
    instance.mkdir()
    try:
        for event in EVENTS:
            (instance / "events" / event / "enable").write_text("1")
        ready, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(ready, 1)
            become(root, command)
        (instance / "set_event_pid").write_text(str(pid))
        os.write(go, b"x")
        os.close(go)
        os.close(ready)
        _, status = os.waitpid(pid, 0)
        if status:
            raise SystemExit(f"{command[0]} ended with status {status:#x}")
        text = (instance / "trace").read_text()
    finally:
        instance.rmdir()
    before, _, after = text.rpartition("sched_process_exec")
    by_kernel = {page for who, page, write in _faults(before) if who == "kernel" and write}
    return by_kernel, [(page, write) for _, page, write in _faults(after)]


def _faults(text: str) -> Iterator[tuple[str, int, bool]]:
    for who, address, code in FAULT.findall(text):
        if int(address, 16) < 1 << 47:
            yield who, int(address, 16) // PAGE_BYTES, bool(int(code, 16) & WRITE)


def layout_of(root: Path, command: Sequence[str]) -> tuple[dict[int, Backing], int]:
    """Return what every page maps that the program ever maps, and the end of its heap."""
    pages: dict[int, Backing] = {}
    heap_end = 0
    for pid in stops(root, command, every_call=True):
        heap_end = max(heap_end, _note_maps(pid, pages))
    return pages, heap_end


def _note_maps(pid: int, pages: dict[int, Backing]) -> int:
    """Note what a process maps now; return the end of its heap, 0 if it has none.

    Memory that was once writable is noted as such: the linker protects what it has relocated.
    """
    heap_end = 0
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        where, access, offset, _, inode, *rest = line.split()
        name = Path(rest[0]).name if rest else ""
        start, end = (int(at, 16) // PAGE_BYTES for at in where.split("-"))
        if name in ("[stack]", "[vsyscall]") or access.startswith("---"):
            continue
        heap_end = end if name == "[heap]" else heap_end
        is_file = inode != "0" or name.startswith("[v")
        for page in range(start, end):
            index = int(offset, 16) // PAGE_BYTES + page - start if is_file else 0
            kind = "rw" if "w" in access else "rx" if "x" in access else "r"
            found = Backing(name if is_file else "", index, kind)
            before = pages.get(page)
            if before == Backing(found.file, found.index, "rw"):
                found = before
            pages[page] = found
    return heap_end


def segments_of(pages: dict[int, Backing], by_kernel: set[int]) -> list[str]:
    """Join pages into areas: ``start pages kind file offset``, the first in hexadecimal.

    Kind ``rwz`` is data whose last page exec has written to, because bss begins in it.
    """
    runs: list[list[int]] = []
    for page in sorted(pages):
        b, before = pages[page], pages.get(page - 1)
        goes_on = (
            before is not None
            and not b.kernels_own
            and (before.file, before.kind) == (b.file, b.kind)
            and (not b.file or before.index + 1 == b.index)
        )
        if goes_on:
            runs[-1].append(page)
        else:
            runs.append([page])
    found = []
    for run_of in runs:
        b = pages[run_of[0]]
        kind = "rwz" if b.kind == "rw" and b.file and run_of[-1] in by_kernel else b.kind
        where = f" {b.file} {b.index}" if b.file else ""
        found.append(f"{run_of[0]:x} {len(run_of)} {kind}{where}")
    return found


def record(command: Sequence[str]) -> dict[str, object]:
    """Return the image of a command, as `sim.program.presets` reads it."""
    with cold_root(command) as root:
        by_kernel, touches = touches_of(root, command)
        pages, heap_end = layout_of(root, command)
        on_disk = files_of(root)
        names = sorted({b.file for b in pages.values() if b.file and not b.kernels_own})
        sizes = {name: -(-on_disk[name].stat().st_size // PAGE_BYTES) for name in names}
        prints = {name: fingerprint(on_disk[name]) for name in names}
    touched = {page for page, _ in touches}
    pages = {p: b for p, b in pages.items() if not b.kernels_own or p in touched}
    for b in pages.values():
        if b.kernels_own:
            sizes[b.file] = max(sizes.get(b.file, 0), b.index + 1)
    lost = [page for page in touched if page not in pages and page not in STACK_PAGES]
    if lost:
        raise SystemExit(f"touched where nothing was seen mapped: {lost}")
    end = max(page for page, b in pages.items() if b.file == Path(command[0]).name)
    while end + 1 in pages:  # bss
        end += 1
    environment = [f"{key}={value}" for key, value in ENVIRONMENT.items()]
    return {
        "version": 1,
        "source": f"{' '.join(command)}, recorded on Linux {platform.release().split('-')[0]}, "
        f"{' '.join(platform.libc_ver())}, by python -m tests.truth.record_image",
        "files": sizes,
        "sha256": prints,
        "segments": segments_of(pages, by_kernel),
        "heap": f"{heap_end or end + 1:x}",
        "stack_pages": exec_stack_pages(command[0], command, environment, auxiliary_words()),
        "touches": " ".join(f"{'w' if write else 'r'}{page:x}" for page, write in touches),
    }


def main(*names: str) -> None:
    TARGET.mkdir(exist_ok=True)
    for name in names or COMMANDS:
        text = json.dumps(record(COMMANDS[name]), indent=1)
        (TARGET / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
