"""Swap for a while: on zram, in a file or on a loop device of one's own, for the whole machine.

While it is on, groups of others that are at their limits swap to it too, as far as their swappiness
says.  It is switched off at the end; after a kill -9, by the next cowpool (`sim.host.records`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.base.stopping import stopping_by_signals
from sim.base.units import PAGE_BYTES
from sim.host.conditions import file_folder, read_setting
from sim.host.groups import no_group
from sim.host.kernel import HostError
from sim.host.records import is_alive, write_down, written_down

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONTROL: Final = Path("/sys/class/zram-control")
PAGES: Final = 1 << 18
"""Of swap, one of which is its header: 1 GiB; zram takes memory only for what is written to it."""
KIND: Final = "swap"
WITHIN_S: Final = 10
_FILE: Final = "cowpool-swap-"
_DEVICE: Final = re.compile(r"/dev/(zram|loop)[0-9]{1,4}\Z")


class Medium(StrEnum):
    """What pages are swapped to."""

    ZRAM = "zram"
    FILE = "file"
    LOOP = "loop"


def why_not(medium: Medium = Medium.ZRAM) -> str:
    """Return why the kernel cannot be asked about swap here, "" if it can."""
    if reason := no_group():
        return reason
    generations = read_setting("/sys/kernel/mm/lru_gen/enabled")
    if generations is not None and int(generations, 16) != 0:
        return "the kernel keeps pages in generations (MGLRU), not on active and inactive lists"
    if swaps():
        return f"swap is on already: {', '.join(swaps())}"
    needed = ["mkswap", "swapon", *(["losetup"] if medium is Medium.LOOP else [])]
    if missing := [name for name in needed if shutil.which(name) is None]:
        return f"not installed: {', '.join(missing)}"
    if medium is not Medium.ZRAM:
        return "" if file_folder() else "there is no folder on a disk for a swap file"
    return no_zram()


def no_zram() -> str:
    """Return why there is no zram device to be had, "" if there is."""
    if not (CONTROL / "hot_add").exists():
        return "there is no zram"
    if not os.access(CONTROL / "hot_remove", os.W_OK):
        return "no zram device may be added"
    return ""


def swaps() -> list[str]:
    """Return the names of the swap devices and files that are in use."""
    try:
        lines = Path("/proc/swaps").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    return [line.split()[0] for line in lines]


@contextmanager
def swap_on(medium: Medium = Medium.ZRAM, pages: int = PAGES) -> Iterator[str]:
    """Have the kernel swap to something new of so many pages in the block, and yield its name.

    SIGTERM and SIGHUP raise `Stopped` in it, whoever calls.  Raises `HostError` where it cannot.
    """
    with device_for(medium, pages) as device:
        _run("mkswap", device)
        _run("swapon", device)
        yield device


@contextmanager
def device_for(medium: Medium, pages: int) -> Iterator[str]:
    """Have a new device, or file, of so many pages in the block, for swap or not; yield its name.

    What is swapped to it comes back at the end.  Signals and errors are as of `swap_on`.
    """
    switch_off_what_was_left()
    place = {"device": "", "file": "" if medium is Medium.ZRAM else _new_file(pages)}
    record = write_down(KIND, place)
    with stopping_by_signals():
        try:
            place["device"] = _new_device(medium, place["file"], pages)
            write_down(KIND, place)
            yield place["device"]
        finally:
            _switch_off(place)
            record.unlink(missing_ok=True)


def switch_off_what_was_left() -> list[str]:
    """Switch off the swap of cowpools that are no more; return the names of what it was on.

    Does nothing unless this is root, and with nothing but records that only root can have written.
    """
    left = []
    for path, record in written_down(KIND):
        if is_alive(record):
            continue
        if _is_place(record):
            try:
                _switch_off(record)
            except (HostError, OSError):
                continue
            left += [record["device"]] if record["device"] else []
        path.unlink(missing_ok=True)
    return left


def rotates(device: str) -> bool:
    """Whether the kernel takes what a swap file or device is on for a disk that rotates."""
    where = Path(device).stat()
    number = where.st_rdev or where.st_dev
    block = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    for folder in (block, block.parent):  # a partition has its disk's
        if (said := read_setting(folder / "queue" / "rotational")) is not None:
            return said == "1"
    return True


def _new_file(pages: int) -> str:
    folder = file_folder()
    if folder is None:
        raise HostError(why_not(Medium.FILE))
    number, name = tempfile.mkstemp(prefix=_FILE, dir=folder)
    try:
        os.posix_fallocate(number, 0, pages * PAGE_BYTES)
    except OSError as error:
        Path(name).unlink()
        raise HostError(f"{folder} has no room for swap: {error.strerror}") from None
    finally:
        os.close(number)
    return name


def _new_device(medium: Medium, file: str, pages: int) -> str:
    if medium is Medium.FILE:
        return file
    if medium is Medium.LOOP:
        return _run("losetup", "--find", "--show", file).strip()
    number = (CONTROL / "hot_add").read_text(encoding="ascii").strip()
    Path(f"/sys/block/zram{number}/disksize").write_text(str(pages * PAGE_BYTES))
    return f"/dev/zram{number}"


def _switch_off(place: Mapping[str, Any]) -> None:
    """Switch off swap on a place and remove it, as far as it has come."""
    device, file = place["device"], place["file"]
    if device in swaps():
        _swapoff(device)
    block = Path("/sys/block", Path(device).name) if device else Path("/nonexistent")
    if device.startswith("/dev/zram") and block.exists():
        (CONTROL / "hot_remove").write_text(device.removeprefix("/dev/zram"))
    if device.startswith("/dev/loop") and read_setting(block / "loop" / "backing_file") == file:
        _run("losetup", "--detach", device)
    if file:
        Path(file).unlink(missing_ok=True)


def _swapoff(device: str) -> None:
    """Switch swap off.  Pages of who was killed in a full group have no room until it has ended."""
    end = time.monotonic() + WITHIN_S
    while True:
        try:
            _run("swapoff", device)
            return
        except HostError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _is_place(record: Mapping[str, Any]) -> bool:
    device, file = record.get("device"), record.get("file")
    if not isinstance(device, str) or not isinstance(file, str):
        return False
    if file and not (os.path.normpath(file) == file and Path(file).name.startswith(_FILE)):
        return False
    return device in ("", file) or bool(_DEVICE.match(device))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostError(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout
