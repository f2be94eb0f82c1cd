"""Which of a parent's pages are copied by its writes after a fork: frame numbers, before and after.

Run as root on Linux: ``python frames_after_fork.py PAGES``.  Prints a JSON object, case: pages of
the parent whose frame is another one after it has written to all of them.
"""

import ctypes
import json
import mmap
import os
import signal
import struct
import sys
from pathlib import Path

PAGE = 4096
CASES = (
    "child lives",
    "child exited",
    "child wrote half",
    "child wrote half and exited",
    "child execs",
)


def frames(memory: mmap.mmap, pages: int) -> list[int]:
    """Return the frame number of each page; 0 for all means that only root may know them."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    with Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap:
        pagemap.seek(address // PAGE * 8)
        entries = struct.unpack(f"{pages}Q", pagemap.read(8 * pages))
    return [entry & ((1 << 55) - 1) for entry in entries]


def write_all(memory: mmap.mmap, pages: range) -> None:
    for page in pages:
        memory[page * PAGE] = 1


def child(case: str, memory: mmap.mmap, pages: int, ready: int) -> None:
    """Do what the case says, tell the parent, and stay unless the case is to end."""
    if "half" in case:
        write_all(memory, range(pages // 2))
    if case == "child execs":
        os.write(ready, b"x")
        os.execv("/bin/sleep", ["sleep", "60"])
    if "exited" not in case:
        os.write(ready, b"x")
        signal.pause()
    os._exit(0)


def copied(case: str, pages: int) -> int:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, pages * PAGE, flags=flags) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        write_all(memory, range(pages))
        before = frames(memory, pages)
        told, ready = os.pipe()
        pid = os.fork()
        if pid == 0:
            child(case, memory, pages, ready)
        os.close(ready)
        os.read(told, 1)  # nothing comes if the child has ended
        if "exited" in case:
            os.waitpid(pid, 0)
        elif case == "child execs":
            while Path(f"/proc/{pid}/comm").read_text() != "sleep\n":
                pass
        write_all(memory, range(pages))
        after = frames(memory, pages)
        if "exited" not in case:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(told)
        if not any(before):
            raise SystemExit("frame numbers are not to be seen")
        return sum(a != b for a, b in zip(before, after, strict=True))


if __name__ == "__main__":
    json.dump({case: copied(case, int(sys.argv[1])) for case in CASES}, sys.stdout)
