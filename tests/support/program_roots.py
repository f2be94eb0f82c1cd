"""Real programs in a root of their own: nothing of the host decides what they touch.

Each file is written page by page, so that its pages are folios of their own in the page cache; the
dynamic linker's cache is made for the root, so that its size does not depend on what is installed.
"""

import hashlib
import os
import re
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sim.host.conditions import compiler
from sim.host.spawn.real import copy_by_pages

COMMANDS: Final = {
    "true": ("/bin/true",),
    "static": ("/bin/static",),
    "sh": ("/bin/sh", "-c", ":"),
    "cat": ("/bin/cat", "/dev/null"),
    "ls": ("/bin/ls", "/dev/null"),
    "sort": ("/usr/bin/sort", "/dev/null"),
    "gcc": ("/usr/bin/gcc", "--version"),
    "cc1": (
        "/usr/lib/gcc/x86_64-linux-gnu/12/cc1",
        *("-quiet", "-ffreestanding", "/dev/null", "-o", "/dev/null"),
    ),
}
"""What is run for each of the images that ship: it starts, finds little to do, and ends."""
ENVIRONMENT: Final = {"COWPOOL": "1"}


class MissingError(Exception):
    """The host has no such program, or nothing to build it with."""


def make_root(root: Path, command: Sequence[str]) -> None:
    """Put into `root` what a command of `COMMANDS` needs; raises `MissingError`."""
    for folder in ("bin", "dev", "etc", "proc", "tmp"):
        (root / folder).mkdir(exist_ok=True)
    os.mknod(root / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    if command[0] == "/bin/static":
        _build_static(root / "bin/static")
        return
    if not Path(command[0]).exists():
        raise MissingError(f"there is no {command[0]}")
    for name in (command[0], *_libraries(command[0])):
        target = root / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_by_pages(Path(name).resolve(), target)
    subprocess.run(["ldconfig", "-X", "-r", root], check=True, capture_output=True)


def files_of(root: Path) -> dict[str, Path]:
    """Return the files of a root by name."""
    folders = [root / top for top in ("bin", "etc", "lib", "lib64", "usr")]
    return {p.name: p for top in folders for p in top.rglob("*") if p.is_file()}


def fingerprint(path: Path) -> str:
    """Return the beginning of a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _libraries(path: str) -> list[str]:
    done = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
    return re.findall(r"(/\S+) \(0x", done.stdout)


def _build_static(target: Path) -> None:
    built = target.with_name("built")
    command = [str(compiler()), "-O1", "-static", "-x", "c", "-o", str(built), "-"]
    source = "int main(void) { return 0; }\n"
    done = subprocess.run(command, input=source, text=True, capture_output=True, check=False)
    if done.returncode:
        raise MissingError("there is no static C library")
    copy_by_pages(built, target)
    built.unlink()
