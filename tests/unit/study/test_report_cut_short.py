"""Wherever the writing of a report is cut short, nothing wrong is left that is taken for right.

Processes of their own carry out a study and are killed, at each change of its folder in turn and at
random moments of the real report; and full disks (which take root: a file system of a few pages).
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from random import Random

import pytest
from support.copies import Original
from support.samples import sample

from sim.base.files import STAGE_PREFIX

STUDY = """\
version: 1
name: small
base: redis_bgsave
set: {run.horizon: 60 s}
axes: {processes.redis.dataset: [64 MiB, 256 MiB]}
replications: %d
seed: 7
need: {set: {host.memory: {times: processes.redis.dataset, by: 8}}}
answer: {subject: a Redis host, event: saves}
"""

CHILD = """
import importlib.util, os, signal, sys, types
from pathlib import Path

which, kind = int(sys.argv[1]), sys.argv[2]
spec = importlib.util.spec_from_file_location("standin", sys.argv[3])
standin = importlib.util.module_from_spec(spec)
spec.loader.exec_module(standin)

import sim.study.executor
import sim.study.run

seen = runs = 0
CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.rmdir", "tempfile.mkdtemp"}


def strike(event, arguments):
    global seen
    place = str(arguments[0]) if event in CHANGES else ""
    if (place.startswith("out/") or "/out/" in place) and "sqlite" not in place:
        seen += 1
        if seen == which:
            os.kill(os.getpid(), signal.SIGKILL)


def simulate(scenario, **which):
    global runs
    runs += 1
    return standin.simulate(scenario, **which)


def page_of(facts, tables, page):
    (page.parent / "figures").mkdir()
    (page.parent / "figures" / "one.svg").write_text(str(facts["provenance"]["runs_done"]))
    page.write_text(f"a page of {facts['provenance']['runs_done']} runs")


if "real" in kind:
    from sim.report.page import write_report as page_of
else:
    sys.modules["sim.report.page"] = types.ModuleType("sim.report.page")
    sys.modules["sim.report.page"].write_report = page_of
inline = sim.study.executor.InlineExecutor(simulate)
sim.study.executor.LokyExecutor = lambda n, *_, **options: inline
if which:
    sys.addaudithook(strike)
if "command" in kind:
    import sim.cli
    sys.exit(sim.cli.main(["study", "s.yaml", "--out", "out"]))
print("begun", flush=True)
sim.study.run.run_study("s.yaml", Path("out"), quiet=True, report=page_of)
print(seen, runs, flush=True)
"""
PRELOADED = """
import loky.process_executor, pandas, scipy.stats
import sim.cli, sim.study.run
from sim.scenario.resolve import open_scenario
open_scenario("redis_bgsave").resolved()
"""
STANDIN = Path(__file__).with_name("standin.py")
NEVER = 10**9
"""Behind the last change of a folder."""


MADE = re.compile(rb'<dd class="made">.*?</dd>')
"""When, how long and on what: the one thing that differs between reports of the same findings."""


def report_in(folder):
    """Return the files of a report: all but the store, and what is not finished."""
    out = folder / "out"
    paths = (p for p in out.rglob("*") if p.is_file() and "sqlite" not in p.name)
    return {
        str(p.relative_to(out)): MADE.sub(b"", p.read_bytes())
        for p in paths
        if STAGE_PREFIX not in str(p)
    }


def write_study(folder, replications):
    folder.mkdir(exist_ok=True)
    (folder / "s.yaml").write_text(STUDY % replications)


class Reports:
    """The reports of three and of four replications as they are; `folder` holds the former.

    `changes` of its folder, and `lasts_s`, are those of going from the one to the other.
    """

    def __init__(self, original, folder, kind):
        self._original, self._kind = original, kind
        self._three = folder / "three"
        write_study(self._three, 3)
        assert self.carried_out(self._three)[0] == 0
        self.old = report_in(self._three)
        self.in_folder(folder / "four")
        process = self.child(folder / "four", NEVER)
        assert process.stdout.readline() == "begun\n"
        began_s = time.monotonic()
        self.changes, runs = map(int, process.communicate(timeout=600)[0].split())
        self.lasts_s = time.monotonic() - began_s
        assert process.returncode == 0
        assert runs > 0  # by the stand-in
        self.new = report_in(folder / "four")
        assert self.old.keys() == self.new.keys()
        assert self.old["findings.json"] != self.new["findings.json"]

    def in_folder(self, folder):
        """Make a folder with the report of three replications, where four are asked for now."""
        shutil.copytree(self._three, folder)
        write_study(folder, 4)

    def child(self, folder, which=0, how=""):
        """Return a process that carries out the study in a folder."""
        arguments = [which, f"{how} {self._kind}", STANDIN]
        return self._original.copy(CHILD, arguments, folder, heard=True)

    def carried_out(self, folder, which=0, how=""):
        """Return how such a process ended, and what it says."""
        process = self.child(folder, which, how)
        out, err = process.communicate(timeout=600)
        return process.returncode, out, err


@pytest.fixture(scope="module")
def original():
    with Original(PRELOADED) as process:
        yield process


@pytest.fixture(scope="module")
def quick(original, tmp_path_factory):
    return Reports(original, tmp_path_factory.mktemp("quick"), "quick")


@pytest.fixture(scope="module")
def real(tmp_path_factory, quick):
    """Yield reports with all their figures, of the long list; the sample has plain pages."""
    if sample(1, 2) == 1:
        yield quick
        return
    with Original(f"{PRELOADED}import sim.report.page\n") as other:
        yield Reports(other, tmp_path_factory.mktemp("real"), "real")


def assert_nothing_wrong(folder, old, new):
    """Every file is one of the two, and where findings are, all files belong to them."""
    found = report_in(folder)
    for name, content in found.items():
        assert content in (old.get(name), new.get(name)), name
    if "findings.json" in found:
        assert found == (old if found["findings.json"] == old["findings.json"] else new)


@pytest.mark.stress
def test_a_kill_at_any_change_of_the_folder_leaves_nothing_wrong(quick, tmp_path):
    assert quick.changes > 30
    moments = range(1, quick.changes + 1)
    for which in sorted(Random(8).sample(moments, min(sample(1, 80), quick.changes))):
        folder = tmp_path / str(which)
        quick.in_folder(folder)
        assert quick.carried_out(folder, which)[0] == -signal.SIGKILL
        assert_nothing_wrong(folder, quick.old, quick.new)
        assert quick.carried_out(folder)[0] == 0
        assert report_in(folder) == quick.new
        assert not list((folder / "out").glob(f"{STAGE_PREFIX}*"))


@pytest.mark.stress
def test_a_kill_at_any_moment_leaves_nothing_wrong(real, tmp_path):
    luck = Random(9)
    for n in range(sample(1, 20)):
        folder = tmp_path / str(n)
        real.in_folder(folder)
        process = real.child(folder)
        assert process.stdout.readline() == "begun\n"
        time.sleep(luck.random() * real.lasts_s)
        process.kill()
        process.communicate(timeout=600)
        assert_nothing_wrong(folder, real.old, real.new)
        assert real.carried_out(folder)[0] == 0
        assert report_in(folder) == real.new


@contextlib.contextmanager
def small_disk(folder, kib):
    """Have a file system of its own at `folder`, of `kib` KiB; skip where that may not be."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("unchecked: a full disk takes root, to mount one")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "cowpool-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"unchecked: no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.stress
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing_wrong(real, tmp_path):
    sizes = [120, 200, 280, 360, 440, 520, 600, 680, 760, 840]
    statuses = set()
    for kib in sizes[: sample(1, len(sizes))]:
        with small_disk(tmp_path / str(kib), kib) as folder:
            write_study(folder, 4)
            status, out, err = real.carried_out(folder, how="command")
            statuses.add(status)
            last = err.splitlines()[-1]
            if status != 0:
                assert status in (2, 3), err
                assert out == ""
                assert "cannot be" in last
                assert "Traceback" not in err
                assert "findings.json" not in report_in(folder)
                assert_nothing_wrong(folder, {}, real.new)
            larger = ["mount", "-o", "remount,size=64m", str(folder)]
            subprocess.run(larger, check=True)
            assert real.carried_out(folder, how="command")[0] in (0, 1)
            assert report_in(folder) == real.new
    assert statuses & {2, 3}
