"""Swap that a cowpool switched on is switched off: by it, or by the next cowpool."""

import json
import os
import signal
from pathlib import Path

import pytest

from sim.base.stopping import Stopped
from sim.host import groups, records
from sim.host.kernel import HostError
from sim.host.pressure import real, swap
from sim.host.pressure.swap import Medium, swap_on, switch_off_what_was_left

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="takes root: records are root's"
)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return what stands for a machine: the commands it was given; swap is what `swapon` named."""
    given, on = [], []

    def run(*command):
        given.append(command)
        if command[0] == "swapon":
            on.append(command[1])
        if command[0] == "swapoff":
            on.remove(command[1])
        return "/dev/loop7\n"

    monkeypatch.setattr(records, "RECORDS", tmp_path / "run")
    monkeypatch.setattr(swap, "_run", run)
    monkeypatch.setattr(swap, "swaps", lambda: on)
    monkeypatch.setattr(swap, "file_folder", lambda: tmp_path)
    return given, on, tmp_path


def left(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "run")


def kept(folder):
    return [json.loads(path.read_text()) for path in (folder / "run").glob("swap-*.json")]


def test_it_is_on_in_the_block_and_off_behind_it(machine):
    given, on, folder = machine
    with swap_on(Medium.FILE, 64) as name:
        assert on == [name]
        assert Path(name).stat().st_size == 64 * 4096
        assert Path(name).stat().st_mode & 0o077 == 0
        assert [record["device"] for record in kept(folder)] == [name]
    assert [command[0] for command in given] == ["mkswap", "swapon", "swapoff"]
    assert on == left(folder) == kept(folder) == []


def test_after_an_error_too(machine):
    _, on, folder = machine
    with pytest.raises(ZeroDivisionError), swap_on(Medium.FILE, 64):
        raise ZeroDivisionError
    assert on == left(folder) == kept(folder) == []


def test_a_script_that_drives_it_is_ended_by_sigterm_with_all_switched_off(machine):
    """Whoever has it on: a signal raises in the block (`sim.base.stopping`)."""
    given, on, folder = machine
    with pytest.raises(Stopped), swap_on(Medium.FILE, 64):
        os.kill(os.getpid(), signal.SIGTERM)
    assert given[-1][0] == "swapoff"
    assert on == left(folder) == kept(folder) == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_where_it_cannot_be_switched_on_nothing_is_left(machine, monkeypatch):
    _, _, folder = machine

    def fails(*command):
        raise HostError(f"{command[0]} failed: no")

    monkeypatch.setattr(swap, "_run", fails)
    with pytest.raises(HostError, match="mkswap failed"), swap_on(Medium.FILE, 64):
        pass
    assert left(folder) == kept(folder) == []


def plant(folder, **said):
    """Write down what a process that is no more had switched on."""
    (folder / "run").mkdir(mode=0o700, exist_ok=True)
    path = folder / "run" / "swap-1.json"
    path.write_text(json.dumps({"pid": 2**22 - 1, "began": "1", **said}))
    path.chmod(0o600)
    return path


def test_the_next_one_switches_off_what_a_killed_one_left(machine):
    _, on, folder = machine
    name = str(folder / "cowpool-swap-x")
    (folder / "cowpool-swap-x").write_text("")
    on.append(name)
    record = plant(folder, device=name, file=name)
    assert switch_off_what_was_left() == [name]
    assert on == left(folder) == []
    assert not record.exists()


@pytest.mark.parametrize(
    "said",
    [
        {"device": "/dev/sda", "file": ""},
        {"device": "/etc/passwd", "file": "/etc/passwd"},
        {"device": "", "file": "/x/../cowpool-swap-x"},
        {"device": 1, "file": ""},
        {},
    ],
)
def test_what_no_cowpool_wrote_is_not_touched(machine, said):
    given, _, folder = machine
    record = plant(folder, **said)
    assert switch_off_what_was_left() == []
    assert given == []
    assert not record.exists()


def test_what_a_living_one_has_on_stays_on(machine):
    given, on, _ = machine
    with swap_on(Medium.FILE, 64) as name:
        assert switch_off_what_was_left() == []
        assert on == [name]
    assert len(given) == 3


@pytest.mark.parametrize("folder", ["group", "shared"])
def test_the_next_script_removes_what_a_killed_one_left(tmp_path, monkeypatch, folder):
    """Its control group, and what it told through; not what a living one has."""
    dead = f"cowpool-{2**22 - 1}-1"
    alive = f"cowpool-{os.getpid()}-7"
    for name in (dead, alive, "cowpool-other"):
        (tmp_path / name).mkdir()
    if folder == "group":
        groups.remove_left_groups(tmp_path)
    else:
        monkeypatch.setattr(real, "SHARED_IN", tmp_path)
        real.remove_left_folders()
    assert left(tmp_path) == [alive, "cowpool-other"]
