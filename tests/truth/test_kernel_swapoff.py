"""swapoff on the running kernel: what comes back, as what, and who pays; beside what is predicted.

A program in a group of our own, which may have 300 pages, writes 1,000; the limit is lifted, and
swap switched off while the program waits.
"""

import subprocess
from functools import cache
from pathlib import Path

import pytest
from support.kernel import DONE, Kernel
from support.samples import sample
from support.swapping import swap_out

from sim.engine.run import simulate
from sim.host.conditions import read_setting
from sim.host.groups import group_pages, new_group
from sim.host.kernel import compiled_program
from sim.host.pressure.swap import Medium, swap_on, why_not
from sim.kernel import ops
from sim.machine.layout import NONE, SWAP_IN_MEMORY
from sim.scenario.resolve import resolve

pytestmark = [
    pytest.mark.truth,
    pytest.mark.kernel,
    pytest.mark.skipif(bool(why_not()), reason=f"unchecked: {why_not()}"),
    pytest.mark.skipif(
        sample(1, 2) == 1,
        reason="unchecked: swap is the whole machine's, so that only --whole switches it on",
    ),
]
SOURCE = Path(__file__).with_name("swapoff.c")
PAGES = 1000
LIMIT = 300
BASE = 512 * 1000


def vmstat(name: str) -> int:
    words = (read_setting("/proc/vmstat") or "").split()
    return int(words[words.index(name) + 1])


def swapped_out(pid: int) -> int:
    """Return pages of a process that are in swap: of entries, exactly, and none of shared memory.

    Statistics of its group are flushed now and then only.
    """
    words = Path("/proc", str(pid), "status").read_text(encoding="ascii").split()
    return int(words[words.index("VmSwap:") + 1]) // 4


@cache
def asked(kind: str, medium: Medium, *, lifted: bool = True) -> dict[str, int]:
    """Return what the kernel did, by name; `status` is how the program ended."""
    program = compiled_program("swapoff", [SOURCE])
    with swap_on(medium) as device, new_group(LIMIT, 60) as group:
        command = [program, group, kind, str(PAGES)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as running:
            assert running.stdout is not None
            assert running.stdout.readline() == "written\n"
            out = swapped_out(running.pid)
            if lifted:
                (group / "memory.limit_in_bytes").write_text("-1")
            before = vmstat("pswpin")
            off = subprocess.run(["swapoff", device], capture_output=True, check=False)
            read = vmstat("pswpin") - before
            charged = group_pages(group, "usage_in_bytes")
            told, _ = running.communicate("\n")
        killed = int((group / "memory.oom_control").read_text(encoding="ascii").split()[-1])
        usage = group_pages(group, "max_usage_in_bytes")
    found = {name: int(count) for name, count in (line.split() for line in told.splitlines())}
    return {
        **found,
        "out": out,
        "swap_ins": read,
        "charged": charged,
        "most": usage,
        "killed": killed,
        "off": off.returncode,
        "status": running.returncode,
    }


def predicted(out: int, *, forked: bool) -> dict[str, int]:
    """Return the faults that follow a swapoff with so many pages out, by name as of the program."""
    kernel = Kernel(memory_pages=8000, swap_pages=2000, swap_kind=SWAP_IN_MEMORY)
    row, admin = kernel.process(), kernel.process()
    kernel.mmap(row, PAGES, start=BASE)
    kernel.write(row, BASE, PAGES)
    child = kernel.fork(row) if forked else NONE
    for vpn in range(BASE, BASE + out):
        assert swap_out(kernel.arrays, 0, kernel.pfn(row, vpn)) != NONE
    assert kernel.call(admin, ops.OP_SWAPOFF) == DONE
    touches = [("read", row, kernel.read), ("child", child, kernel.write)]
    touches += [("write", row, kernel.write)]
    found = {"swapped": int(kernel.space(row).swapents)}
    for name, who, touch in touches:
        if who == NONE:
            continue
        faults = 0
        for vpn in range(BASE, BASE + PAGES):
            touch(who, vpn)
            faults += sum(units for line, units in kernel.work.items() if line != "ACCESS")
        found[name] = faults
    return found


@pytest.mark.parametrize("forked", [False, True])
def test_what_comes_back_is_mapped_as_predicted(forked: bool) -> None:
    told = asked("forked" if forked else "own", Medium.ZRAM)
    wanted = predicted(told["out"], forked=forked)
    assert {name: told[name] for name in wanted} == wanted
    assert told["out"] >= PAGES - LIMIT
    assert told["swap_ins"] == told["out"], "each is read once, whoever shares it"


@pytest.mark.parametrize("kind", ["own", "forked", "shared"])
@pytest.mark.parametrize("medium", [Medium.ZRAM, Medium.FILE])
def test_the_group_that_had_the_pages_pays_for_them(kind: str, medium: Medium) -> None:
    told = asked(kind, medium)
    assert (told["off"], told["status"], told["swapped"]) == (0, 0, 0)
    of_itself = 300  # pages of the program, page tables, what CPUs have in stock
    assert told["charged"] in range(PAGES, PAGES + of_itself)


@pytest.mark.parametrize("kind", ["own", "forked", "shared"])
def test_a_group_at_its_limit_is_killed_for_it(kind: str) -> None:
    """All of it: the address space that is being emptied stays, and then nobody is left to kill.

    Shared memory goes with its last process, so that there is room.
    """
    told = asked(kind, Medium.ZRAM, lifted=False)
    killed, failed = predicted_at_the_limit(kind)
    assert (told["killed"], told["off"] != 0, told["status"]) == (killed, failed, -9)
    assert told["most"] <= LIMIT


def predicted_at_the_limit(kind: str) -> tuple[int, bool]:
    """Return how many processes of the group are killed for a swapoff, and whether that fails."""
    shared = {"shared": True} if kind == "shared" else {}
    steps: list[dict[str, object]] = [
        {"mmap": {"name": "A", "size": PAGES * 4096, **shared}},
        {"write": "A"},
        *([{"fork": {"name": "c", "steps": [{"sleep": 9 * 10**9}]}}] if kind == "forked" else []),
        {"sleep": 9 * 10**9},
    ]
    scenario = {
        "version": 1,
        "host": {
            "memory": 64 * 2**20,
            "swap": {"size": 64 * 2**20, "device": "zram"},
            "cgroup": "v1",
            "kernel": "6.18",
        },
        "run": {"expect": ["killed"]},
        "groups": {"g": {"memory_max": LIMIT * 4096}},
        "processes": {
            "app": {"program": "steps", "group": "g", "steps": steps},
            "admin": {
                "program": "steps",
                "cap_sys_admin": True,
                "steps": [{"sleep": 5 * 10**9}, "swapoff", {"mark": "off"}],
            },
        },
    }
    result = simulate(resolve(scenario), seed=1).to_json()
    ended = {process["name"]: process["ended"] for process in result["processes"]}
    return len(result["kills"]), ended["admin"] == "failed: ENOMEM"


def test_one_that_shares_is_not_as_one_that_does_not() -> None:
    """Negative control: what is predicted of the one does not hold for the other."""
    told = asked("own", Medium.ZRAM)
    assert told["write"] != predicted(told["out"], forked=True)["write"]


COUNTS = ("pswpin", "pswpout", "swpin_zero", "swpout_zero")


@pytest.mark.parametrize(("kind", "medium"), [("zeros", m) for m in (Medium.ZRAM, Medium.FILE)])
def test_pages_of_zeros_take_a_slot_and_are_neither_written_nor_read(
    kind: str, medium: Medium
) -> None:
    """As `test_zeros_are_a_bit_of_their_slot` predicts it; all come back by faults here."""
    counts = went_out_and_in(kind, medium)
    assert counts["out"] >= PAGES - LIMIT
    assert (counts["pswpin"], counts["pswpout"]) == (0, 0)
    assert counts["swpin_zero"] == counts["swapped"]
    assert counts["swpout_zero"] >= counts["out"]
    if medium is Medium.ZRAM:
        assert counts["read"] == counts["swapped"], "each is a fault"
        assert counts["stored"] < 4096, "the header of the device"


def test_other_pages_are_written_and_read() -> None:
    """Negative control."""
    counts = went_out_and_in("own", Medium.ZRAM)
    assert (counts["swpin_zero"], counts["swpout_zero"]) == (0, 0)
    assert counts["pswpin"] == counts["swapped"] == counts["pswpout"] > 0
    assert counts["stored"] > 4096


def went_out_and_in(kind: str, medium: Medium) -> dict[str, int]:
    """Return what was counted while the program wrote, and then read with its limit lifted."""
    program = compiled_program("swapoff", [SOURCE])
    with swap_on(medium) as device, new_group(LIMIT, 60) as group:
        before = {name: vmstat(name) for name in COUNTS}
        command = [program, group, kind, str(PAGES)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as running:
            assert running.stdout is not None
            assert running.stdout.readline() == "written\n"
            out = swapped_out(running.pid)
            state = Path("/sys/block", Path(device).name, "mm_stat")
            stored = int(state.read_text(encoding="ascii").split()[1]) if state.exists() else 0
            (group / "memory.limit_in_bytes").write_text("-1")
            told, _ = running.communicate("\n")
        counted = {name: vmstat(name) - before[name] for name in COUNTS}
    found = {name: int(count) for name, count in (line.split() for line in told.splitlines())}
    return {**found, **counted, "out": out, "stored": stored}
