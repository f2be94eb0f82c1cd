"""The real side of `sim.script.spawn`: builds parent and program, runs them, counts."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.base.units import PAGE_BYTES
from sim.host.conditions import file_folder
from sim.host.kernel import HostError, compiled_program
from sim.host.programs import Folders, run_on_cpu
from sim.program.elf import entry_vpn, read_elf
from sim.script.spawn import (
    OWN_STACK_VPN,
    Method,
    Spawn,
    SpawnedProgram,
    auxiliary_words,
    exec_stack_pages,
    own_touches,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.program.image import ProgramImage, Touch

SOURCES: Final = Path(__file__).with_name("programs")
FLAGS: Final = (
    *("-static", "-nostdlib", "-nostartfiles"),
    # Nothing that touches memory behind the source's back, and no page that holds only tables.
    *("-fno-pic", "-no-pie", "-fno-stack-protector", "-fcf-protection=none"),
    *("-fno-asynchronous-unwind-tables", "-fno-tree-loop-distribute-patterns"),
    *("-Wl,-z,noexecstack", "-Wl,-z,separate-code", "-Wl,--build-id=none"),
    f"-Wl,--section-start=.own_stack={OWN_STACK_VPN * PAGE_BYTES:#x}",
)
_LETTERS: Final = {Method.FORK: "f", Method.VFORK: "v", Method.SPAWN: "p"}
_RECORD: Final = struct.Struct("<7q")
TRIES: Final = 3
ENVIRONMENT: Final = {"COWPOOL": "1"}


class SpawnRunner(Folders):
    """Starts a real program from real parents.  A context: the programs lie in a folder of its own.

    They are written page by page, so that each of their pages is a folio of its own in the page
    cache, as the files of conformance scripts are.  Raises `HostError` where this cannot be done.
    """

    def __init__(self, *, cpu: int | None = None) -> None:
        super().__init__()
        self._built = {
            name: Path(compiled_program(name, [SOURCES / f"{name}.c"], *FLAGS))
            for name in ("spawner", "spawned")
        }
        self._cpu = cpu
        self._folder = self.new_folder(file_folder())
        try:
            self.lay_out()
            self.parent = self._image("spawner")
            self._program = self._image("spawned")
        except BaseException:
            self.close()
            raise

    def lay_out(self) -> None:
        """Write the programs anew: undo what reclaim and read-ahead did to their cached pages."""
        for name, path in self._built.items():
            target = self._folder / name
            target.unlink(missing_ok=True)
            copy_by_pages(path, target)

    def _image(self, name: str) -> ProgramImage:
        path = self._folder / name
        image = read_elf(path)
        return replace(image, touches=own_touches(entry_vpn(path)))

    @property
    def image(self) -> ProgramImage:
        """The program's image; it touches what it touches by running at all."""
        return self._program

    def program(self, touches: Sequence[Touch], padding: str = "") -> SpawnedProgram:
        """Return the program as it is when told to touch pages; `padding` is one more argument."""
        arguments, environment = self._command(touches, padding)
        image = replace(self._program, touches=(*self._program.touches, *touches))
        words = auxiliary_words()
        stack_pages = exec_stack_pages(arguments[0], arguments, environment, words)
        return SpawnedProgram(image, stack_pages)

    def run(
        self,
        method: Method,
        pages: int,
        touches: Sequence[Touch],
        padding: str = "",
        *,
        spawns: int = 2,
    ) -> list[Spawn]:
        """Have a parent of `pages` pages start the program `spawns` times; return the counts.

        If one of its faults was major, somebody disturbed the programs' pages in the page cache:
        they are laid out anew and run again, `TRIES` times in all.
        """
        for _ in range(TRIES):
            records = self._records(method, pages, touches, padding, spawns)
            if not any(majflt for _, _, majflt, *_ in records):
                return [_read(record) for record in records]
            self.lay_out()
        raise HostError(f"programs had to be read from the disk {TRIES} times running")

    def _records(
        self, method: Method, pages: int, touches: Sequence[Touch], padding: str, spawns: int
    ) -> list[tuple[int, ...]]:
        arguments, _ = self._command(touches, padding)
        done = run_on_cpu(
            [self._folder / "spawner", _LETTERS[method], str(pages), str(spawns), *arguments],
            self._cpu,
            ENVIRONMENT,
        )
        if done.returncode or len(done.stderr) != spawns * _RECORD.size:
            raise HostError(f"the parent of a spawn failed with status {done.returncode}")
        return list(_RECORD.iter_unpack(done.stderr))

    def _command(self, touches: Sequence[Touch], padding: str) -> tuple[list[str], list[str]]:
        """Return the program's arguments and environment, as exec is given them."""
        told = "".join(f"{'w' if touch.write else 'r'}{touch.vpn:x}" for touch in touches)
        arguments = [str(self._folder / "spawned"), told, *([padding] if padding else [])]
        return arguments, [f"{name}={value}" for name, value in ENVIRONMENT.items()]


def _read(record: tuple[int, ...]) -> Spawn:
    status, minflt, _, parent, rewrite, spawn_ns, fixed = record
    if status:
        raise HostError(f"the program that was started ended with status {status:#x}")
    if not fixed:
        raise HostError("addresses are randomised and this process may not forbid it")
    return Spawn(minflt, parent, rewrite, spawn_ns)


def copy_by_pages(source: Path, target: Path) -> None:
    """Copy a file so that each of its pages is a folio of its own in the page cache."""
    data = source.read_bytes()
    handle = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o755)
    try:
        for at in range(0, len(data), PAGE_BYTES):
            os.pwrite(handle, data[at : at + PAGE_BYTES], at)
        os.fsync(handle)
    finally:
        os.close(handle)
    target.read_bytes()
