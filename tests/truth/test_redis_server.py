"""Which pages SETs dirty while a save is in progress: a real redis-server beside the model."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sim.alloc.jemalloc.layout import layout
from sim.program.shipped.redis_heap import RedisHeap, redis_heap

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

SERVER = shutil.which("redis-server")
PREFIX = "k" * 60
KEY_BYTES = len(PREFIX) + 6
"""Long enough that keys are in no size class with objects, entries or values: in one class they
would lie in between, as A37 says."""
CASES = {40: 200_000, 200: 120_000, 1000: 50_000, 4000: 16_000}
"""Keys by size of value."""
SETS = 6000
TOLERANCE = 0.02
OWN_PAGES = 80
"""What the server writes for itself: buffers, counters, its allocator's books."""


class Client:
    """One connection, and as much of the protocol as is needed."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._answers = self._socket.makefile("rb")

    def close(self) -> None:
        self._answers.close()
        self._socket.close()

    def call(self, *words: str | bytes) -> bytes:
        self._send(words)
        return self._answer()

    def call_all(self, commands: list[tuple[bytes, ...]]) -> None:
        for at in range(0, len(commands), 50):
            some = commands[at : at + 50]
            for words in some:
                self._send(words)
            for _ in some:
                self._answer()

    def _send(self, words: tuple[str | bytes, ...]) -> None:
        parts = [word if isinstance(word, bytes) else word.encode() for word in words]
        text = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(b"*%d\r\n%s" % (len(parts), text))

    def _answer(self) -> bytes:
        line = self._answers.readline().rstrip()
        if line[:1] == b"-":
            raise RuntimeError(line.decode())
        if line[:1] == b"$":
            return self._answers.read(int(line[1:]) + 2)[:-2]
        return line[1:]


@contextmanager
def server(folder: Path) -> Iterator[Client]:
    assert SERVER is not None
    options = {
        "port": "0",
        "unixsocket": str(folder / "socket"),
        "dir": str(folder),
        "save": "",
        "enable-debug-command": "yes",
        "rdb-key-save-delay": "60000000",  # the saver stays with its first key
        "activedefrag": "no",
        "hz": "1",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    process = subprocess.Popen([SERVER, *words], stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if (folder / "socket").exists():
                break
            time.sleep(0.05)
        client = Client(folder / "socket")
        yield client
        client.close()
    finally:
        process.terminate()
        process.wait(20)


def private_dirty_pages(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) // 4
    raise AssertionError("no Private_Dirty")


def info(client: Client, name: str) -> str:
    for line in client.call("INFO").decode().splitlines():
        if line.startswith(f"{name}:"):
            return line.partition(":")[2]
    raise AssertionError(name)


def copied_by_sets(client: Client, value_bytes: int, chosen: NDArray[np.int64]) -> int:
    """Return how many pages of the server SETs of the chosen keys have copied during a save."""
    pid = int(info(client, "process_id"))
    client.call("FLUSHALL")
    client.call("DEBUG", "POPULATE", str(CASES[value_bytes]), PREFIX, str(value_bytes))
    client.call("BGSAVE")
    while info(client, "rdb_bgsave_in_progress") != "1":
        time.sleep(0.01)
    time.sleep(0.3)
    before = private_dirty_pages(pid)
    value = b"v" * value_bytes
    client.call_all([(b"SET", b"%s:%d" % (PREFIX.encode(), key), value) for key in chosen])
    copied = private_dirty_pages(pid) - before
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), 9)
    while info(client, "rdb_bgsave_in_progress") != "0":
        time.sleep(0.01)
    return copied


def entry_bytes(client: Client) -> int:
    """Return what a hash-table entry takes: 24 bytes if the server's jemalloc has that class."""
    bins = client.call("MEMORY", "MALLOC-STATS").decode()
    return 24 if re.search(r"^ +24 +\d", bins, re.MULTILINE) else 32


def heap(value_bytes: int, keys: int, version: float, entry_bytes: int) -> RedisHeap:
    """Return the model's data set of `keys` keys."""
    buckets = 8 << (keys - 1).bit_length()
    sizes = {"value_bytes": value_bytes, "key_bytes": KEY_BYTES}
    how = {"fragmentation": 1.0, "version": version}
    some = redis_heap(dataset_bytes=1 << 22, **sizes, **how)
    one_key = (some.used_bytes - (8 << (some.keys - 1).bit_length())) // some.keys
    found = redis_heap(dataset_bytes=keys * one_key + buckets, **sizes, **how)
    assert found.keys == keys
    return replace(found, entries=layout(keys, entry_bytes))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[int, list[int]]]:
    """For each size of value: pages copied, and pages predicted of each area."""
    draw = np.random.default_rng(7)
    result = {}
    with server(tmp_path_factory.mktemp("redis")) as client:
        version = float(".".join(info(client, "redis_version").split(".")[:2]))
        for value_bytes, keys in CASES.items():
            chosen = draw.integers(0, keys, SETS)
            copied = copied_by_sets(client, value_bytes, chosen)
            ours = heap(value_bytes, keys, version, entry_bytes(client))
            areas = [np.unique(area.pages_of(chosen)).size for area in ours.written_areas]
            pages = np.unique(ours.pages_of(chosen)).size
            result[value_bytes] = copied, [pages, *areas]
    return result


def is_close(copied: int, predicted: int) -> bool:
    return abs(copied - predicted) <= TOLERANCE * predicted + OWN_PAGES


@pytest.mark.parametrize("value_bytes", CASES)
def test_sets_copy_as_many_pages_as_predicted(measured, value_bytes: int):
    copied, (predicted, *_) = measured[value_bytes]
    assert is_close(copied, predicted)


@pytest.mark.parametrize("area", [0, -1], ids=["values", "entries"])
def test_an_area_left_out_would_show(measured, area: int):
    """Negative control."""
    copied, (predicted, *areas) = measured[40]
    assert not is_close(copied, predicted - areas[area])
