"""What is changed in the kernel is put back: by whoever changed it, or by the next cowpool."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from sim.host import records, settings
from sim.host.kernel import HostError
from sim.host.settings import changed_settings, put_back_what_was_left

needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="takes root: records are root's"
)

CHANGE = """
import sys, time
from pathlib import Path
from sim.host import records, settings

folder = Path(sys.argv[1])
records.RECORDS, settings.ROOTS = folder / "run", (folder / "sys",)
with settings.changed_settings({folder / "sys" / "enabled": "always"}):
    print("changed", flush=True)
    while True:
        time.sleep(0.01)
"""
"""It sleeps again and again: a signal just before a sleep begins is heard only at its end."""


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Return a folder that stands for a kernel with one setting."""
    (tmp_path / "sys").mkdir()
    (tmp_path / "sys" / "enabled").write_text("madvise\n")
    monkeypatch.setattr(records, "RECORDS", tmp_path / "run")
    monkeypatch.setattr(settings, "ROOTS", (tmp_path / "sys",))
    return tmp_path


def setting(kernel):
    return (kernel / "sys" / "enabled").read_text().strip()


def as_at_a_terminal():
    """Hear signals, to which a process is deaf if who started it was, in the background say."""
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def changing(kernel):
    """Start a process that has changed the setting."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHANGE, str(kernel)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=as_at_a_terminal,
    )
    assert process.stdout.readline() == "changed\n"
    assert setting(kernel) == "always"
    return process


def test_it_is_put_back_at_the_end(kernel):
    with changed_settings({kernel / "sys" / "enabled": "never"}):
        assert setting(kernel) == "never"
    assert setting(kernel) == "madvise"
    assert not list((kernel / "run").glob("*.json"))


def test_it_is_put_back_after_an_error(kernel):
    with pytest.raises(ZeroDivisionError), changed_settings({kernel / "sys" / "enabled": "never"}):
        raise ZeroDivisionError
    assert setting(kernel) == "madvise"


def test_what_is_not_there_changes_nothing(kernel):
    wanted = {kernel / "sys" / "enabled": "never", kernel / "sys" / "nosuch": "x"}
    with pytest.raises(HostError, match="this kernel has no"), changed_settings(wanted):
        pass
    assert setting(kernel) == "madvise"


def test_what_cannot_be_written_down_is_not_changed(kernel):
    (kernel / "run").write_text("in the way")
    with (
        pytest.raises(HostError, match="so nothing is changed"),
        changed_settings({kernel / "sys" / "enabled": "never"}),
    ):
        pass
    assert setting(kernel) == "madvise"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_it_is_put_back_after_a_signal(kernel, name):
    process = changing(kernel)
    process.send_signal(getattr(signal, name))
    process.communicate(timeout=60)
    assert setting(kernel) == "madvise"
    assert not list((kernel / "run").glob("*.json"))


@needs_root
def test_after_a_kill_the_next_one_puts_it_back(kernel):
    process = changing(kernel)
    process.kill()
    process.communicate(timeout=60)
    assert setting(kernel) == "always"
    assert put_back_what_was_left() == [str(kernel / "sys" / "enabled")]
    assert setting(kernel) == "madvise"
    assert put_back_what_was_left() == []


@needs_root
def test_while_it_lives_nobody_meddles(kernel):
    process = changing(kernel)
    try:
        assert put_back_what_was_left() == []
        with (
            pytest.raises(HostError, match="another cowpool is changing"),
            changed_settings({kernel / "sys" / "enabled": "never"}),
        ):
            pass
        assert setting(kernel) == "always"
    finally:
        process.kill()
        process.communicate(timeout=60)


@needs_root
def test_what_somebody_has_changed_since_is_left_alone(kernel):
    process = changing(kernel)
    process.kill()
    process.communicate(timeout=60)
    (kernel / "sys" / "enabled").write_text("never\n")
    assert put_back_what_was_left() == []
    assert setting(kernel) == "never"
    assert not list((kernel / "run").glob("*.json"))


def planted(kernel, **fields):
    """Write a record as a dead process would have left it, with some fields changed."""
    record = {
        "pid": 2**22 - 1,
        "began": "1",
        "settings": {str(kernel / "sys" / "enabled"): ["never", "madvise"]},
    }
    (kernel / "run").mkdir(mode=0o700, exist_ok=True)
    path = kernel / "run" / "settings-1.json"
    path.write_text(json.dumps(record | fields))
    path.chmod(0o600)
    return path


@needs_root
def test_a_record_of_root_is_believed(kernel):
    planted(kernel)
    assert put_back_what_was_left() == [str(kernel / "sys" / "enabled")]
    assert setting(kernel) == "never"


@needs_root
@pytest.mark.parametrize("how", ["folder", "file", "owner", "link"])
def test_a_record_that_others_could_have_written_is_not_believed(kernel, how):
    path = planted(kernel)
    if how == "folder":
        (kernel / "run").chmod(0o777)
    elif how == "file":
        path.chmod(0o666)
    elif how == "owner":
        os.chown(path, 54321, 54321)
    else:
        path.rename(kernel / "elsewhere")
        path.symlink_to(kernel / "elsewhere")
    assert put_back_what_was_left() == []
    assert setting(kernel) == "madvise"


@needs_root
@pytest.mark.parametrize(
    "record",
    [
        {"settings": {"/etc/passwd": ["never", "madvise"]}},
        {"settings": {"SYS/../other": ["never", "madvise"]}},
        {"settings": {"SYS/enabled": ["never\nx", "madvise"]}},
        {"settings": {"SYS/enabled": ["never"]}},
        {"settings": {"SYS/enabled": 7}},
        {"settings": []},
        {"settings": {"SYS/enabled": ["x" * 100, "madvise"]}},
        {"pid": "x"},
    ],
)
def test_a_record_of_anything_but_settings_is_thrown_away(kernel, record):
    (kernel / "other").write_text("madvise\n")
    text = json.loads(json.dumps(record).replace("SYS", str(kernel / "sys")))
    path = planted(kernel, **text)
    assert put_back_what_was_left() == []
    assert setting(kernel) == (kernel / "other").read_text().strip() == "madvise"
    assert not path.exists()


@needs_root
def test_a_process_that_took_the_number_of_the_dead_is_not_taken_for_it(kernel):
    planted(kernel, pid=os.getpid(), began="1")
    assert put_back_what_was_left() == [str(kernel / "sys" / "enabled")]


def test_a_process_is_known_by_when_it_began():
    began = records._began(os.getpid())
    assert began is not None
    assert 0 < int(began) / os.sysconf("SC_CLK_TCK") < time.clock_gettime(time.CLOCK_BOOTTIME) + 1
    assert records._began(2**22 - 1) is None
