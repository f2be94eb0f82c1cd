"""How far stacks grow on the running kernel.

``python stacks.py`` reads a JSON list of cases and prints how many of each case's touches went well
before SIGSEGV.  A case: `limit` (RLIMIT_STACK) and `size` of the stack in pages; `below`, what lies
below it (``"nothing"``, ``"rw"``, ``"none"``, ``"stack"``) and ends `apart` pages below the stack's
top; `touches`, depths in pages below the top, in order.
"""

import ctypes
import json
import mmap
import os
import resource
import sys

PAGE = 4096
TOP = 0x2100_0000_0000
MAP_FIXED_NOREPLACE = 0x100000
MAP_GROWSDOWN = 0x100
NEIGHBOUR_PAGES = 4

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_size_t
libc.mmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]


def put(start: int, pages: int, protection: int, flags: int) -> None:
    flags |= mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
    if libc.mmap(start, pages * PAGE, protection, flags, -1, 0) != start:
        os._exit(2)


def child(case: dict, ready: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_STACK, (case["limit"] * PAGE, -1))
    read_write = mmap.PROT_READ | mmap.PROT_WRITE
    put(TOP - case["size"] * PAGE, case["size"], read_write, MAP_GROWSDOWN)
    if case["below"] != "nothing":
        start = TOP - (case["apart"] + NEIGHBOUR_PAGES) * PAGE
        protection = 0 if case["below"] == "none" else read_write
        flags = MAP_GROWSDOWN if case["below"] == "stack" else 0
        put(start, NEIGHBOUR_PAGES, protection, flags)
    for depth in case["touches"]:
        ctypes.memset(TOP - depth * PAGE, 1, 1)
        os.write(ready, b"x")
    os._exit(0)


def touched(case: dict) -> int:
    told, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        child(case, ready)
    os.close(ready)
    count = 0
    while os.read(told, 1):
        count += 1
    os.close(told)
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"a case could not be set up: {case}")
    return count


if __name__ == "__main__":
    json.dump([touched(case) for case in json.load(sys.stdin)], sys.stdout)
