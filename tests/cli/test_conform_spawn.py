"""`cowpool conform --spawn`: what it prints, and what it returns."""

import io
import json

import pytest

from sim.base.units import MIB
from sim.cli import main
from sim.host.kernel import HostError
from sim.host.spawn import conform as spawn_conform
from sim.host.spawn.conform import run_spawns
from sim.script.spawn import Spawn


def run(**options):
    out, err = io.StringIO(), io.StringIO()
    status = run_spawns(sizes=(MIB,), out=out, err=err, **options)
    return status, out.getvalue(), err.getvalue()


def no_compiler():
    raise HostError("there is no C compiler; install one")


def test_without_a_compiler_the_usual_layout_is_predicted(monkeypatch):
    monkeypatch.setattr(spawn_conform, "SpawnRunner", no_compiler)
    status, out, err = run()
    assert (status, err) == (0, "")
    heading, fork, vfork, spawn = out.splitlines()
    assert heading.startswith("# ")
    assert fork.split() == "1 MiB fork + exec child=16 parent=1 rewrite=256".split()
    assert vfork.split() == "1 MiB vfork + exec child=14 parent=0 rewrite=0".split()
    assert spawn.split() == "1 MiB posix_spawn child=15 parent=0 rewrite=0".split()


def test_a_kernel_that_cannot_be_asked_is_said_to_be(monkeypatch):
    monkeypatch.setattr(spawn_conform, "SpawnRunner", no_compiler)
    status, out, err = run(kernel=True)
    assert status == 3
    assert err == "unchecked: there is no C compiler; install one\n"
    assert "child=16" in out


@pytest.mark.kernel
def test_both_sides_are_printed():
    status, out, err = run(kernel=True)
    assert status == 0, (out, err)
    assert err.endswith("no difference\n")
    for line in out.splitlines()[1:]:
        left, right = line.split(" | ")
        assert left.split()[-3:] == right.split()


@pytest.mark.kernel
def test_a_difference_is_marked_and_is_the_status(monkeypatch):
    def wrong(*_arguments, spawns, **_options):
        return [Spawn(1000, 0, 0)] * spawns

    monkeypatch.setattr(spawn_conform, "predict_spawns", wrong)
    status, out, err = run(kernel=True)
    assert status == 1
    assert err.endswith("the counts differ\n")
    assert "child=1000 parent=0 rewrite=0" in out
    assert out.splitlines()[1].endswith("  <- child, parent, rewrite")


def test_json_is_one_document(monkeypatch):
    monkeypatch.setattr(spawn_conform, "SpawnRunner", no_compiler)
    status, out, _ = run(as_json=True)
    document = json.loads(out)
    assert (status, document["verdict"]) == (0, "done")
    first = document["spawns"][0]
    assert (first["parent_bytes"], first["method"]) == (MIB, "fork + exec")
    assert first["predicted"][-1] == {"child": 16, "parent": 1, "rewrite": 256, "spawn_ns": None}
    assert first["kernel"] is None


def test_spawns_and_scripts_do_not_go_together(tmp_path, capsys):
    script = tmp_path / "script.txt"
    script.write_text("P map A 1\n")
    assert main(["conform", "--spawn", str(script)]) == 2
    assert "--spawn takes no scripts" in capsys.readouterr().err
