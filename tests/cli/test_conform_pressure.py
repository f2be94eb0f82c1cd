"""`cowpool conform --pressure`: what it prints, without a kernel and with one that differs."""

import io
import json
from contextlib import nullcontext
from dataclasses import replace

import pytest

from sim.base.errors import ScenarioError
from sim.cli.conforming_groups import conform_pressure
from sim.host.pressure import conform
from sim.host.pressure.conform import run_pressure_conform
from sim.script.pressure import touch_pages

BOTH = "2 scripts of seed 1, 2 of which swap"
PLAIN = {"kernel": False, "random": 2, "seed": 1, "group": None, "as_json": False}


def run(**options):
    out, err = io.StringIO(), io.StringIO()
    status = run_pressure_conform(random=2, seed=1, out=out, err=err, **options)
    return status, out.getvalue(), err.getvalue()


@pytest.fixture
def real(monkeypatch):
    """Let a kernel be asked that answers as predicted, but for what a test changes."""
    answers = {"change": lambda touches: touches}

    def answer(steps, *, limit_pages, swappiness):
        touches = touch_pages(steps, limit_pages=limit_pages, swappiness=swappiness)
        return answers["change"](touches)

    monkeypatch.setattr(conform, "touch_really", answer)
    monkeypatch.setattr(conform, "why_not", str)
    monkeypatch.setattr(conform, "swap_in_memory", nullcontext)
    return answers


def with_more(touches, name):
    first, *rest = touches.counts
    return replace(touches, counts=[{**first, name: first[name] + 1}, *rest])


def test_without_a_kernel_it_only_predicts():
    status, out, _ = run()
    assert status == 0
    assert out.splitlines()[-1] == f"{BOTH}: predicted, unchecked"
    assert out.splitlines()[0].startswith("script 0 of seed 1 limit=")


def test_a_kernel_that_does_the_same(real):
    status, out, _ = run(kernel=True)
    assert status == 0
    assert out.splitlines()[-1] == f"{BOTH}: 2 equal, 2 at the first try"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda touches: with_more(touches, "pswpout"), "0 pages, pswpout"),
        (lambda touches: replace(touches, killed=5), "killed elsewhere, or not at all"),
        (lambda touches: replace(touches, resident=[~t for t in touches.resident]), " pages"),
    ],
)
def test_a_difference_is_told_and_is_status_1(real, change, told):
    real["change"] = change
    status, out, _ = run(kernel=True)
    assert status == 1
    assert "DIFFERENT: " in out
    assert told in out


def test_what_others_activate_proves_nothing(real):
    real["change"] = lambda touches: with_more(touches, "pgactivate")
    assert run(kernel=True)[0] == 0


def test_a_kernel_that_cannot_be_asked(monkeypatch):
    monkeypatch.setattr(conform, "why_not", lambda: "there is no zram")
    status, out, err = run(kernel=True)
    assert status == 3
    assert err == "unchecked: there is no zram\n"
    assert out.splitlines()[-1] == f"{BOTH}: predicted, unchecked"


def test_json():
    _, out, _ = run(as_json=True)
    document = json.loads(out)
    assert document["pressure"] is True
    assert [one["different_pages"] for one in document["results"]] == [None, None]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"group": "4M"}, "draws its own limit"),
        ({"seed": None}, "random scripts need a seed"),
        ({"random": None}, "nothing to do"),
    ],
)
def test_what_it_does_not_take(options, told):
    with pytest.raises(ScenarioError, match=told):
        conform_pressure([], **{**PLAIN, **options})


def test_it_takes_no_scripts(tmp_path):
    with pytest.raises(ScenarioError, match="takes random scripts only"):
        conform_pressure([tmp_path / "s.txt"], **PLAIN)
