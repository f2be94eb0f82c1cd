"""`cowpool conform --pressure`: what it prints, without a kernel and with one that differs."""

import io
import json
from contextlib import nullcontext
from dataclasses import replace

import pytest

from sim.base.errors import ScenarioError
from sim.cli.conforming_groups import conform_pressure
from sim.host.pressure import compare, conform
from sim.host.pressure.conform import run_pressure_conform
from sim.script.pressure.grammar import load_pressure_script, parse_pressure_script
from sim.script.pressure.predict import touch_pages

BOTH = "2 scripts of seed 1, 2 of which swap, 1 with children"
PLAIN = {"kernel": False, "random": 2, "seed": 1, "group": None, "as_json": False}


SCRIPT = """limit 128
P map A 150
P write A 0-149  # more than there is room for
P fork C
C read A 149-140
"""


def run(*paths, random=2, seed=1, **options):
    out, err = io.StringIO(), io.StringIO()
    status = run_pressure_conform(paths, random=random, seed=seed, out=out, err=err, **options)
    return status, out.getvalue(), err.getvalue()


@pytest.fixture
def real(monkeypatch):
    """Let a kernel be asked that answers as predicted, but for what a test changes."""
    answers = {"change": lambda touches: touches}

    monkeypatch.setattr(compare, "touch_really", lambda s: answers["change"](touch_pages(s)))
    monkeypatch.setattr(conform, "why_not", str)
    monkeypatch.setattr(conform, "swap_on", nullcontext)
    return answers


def with_more(touches, name):
    first, *rest = touches.told
    counts = {**first.counts, name: first.counts[name] + 1}
    return replace(touches, told=[replace(first, counts=counts), *rest])


def elsewhere(touches):
    """Return what is told if each page in memory were in swap, and the other way round."""
    told = [
        replace(one, maps={key: (3 - pages) % 3 for key, pages in one.maps.items()})
        for one in touches.told
    ]
    return replace(touches, told=told)


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "s.txt"
    path.write_text(SCRIPT)
    return path


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
        (elsewhere, " pages"),
    ],
)
def test_a_difference_is_told_and_is_status_1(real, change, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(conform, "SHRINKING_RUNS", 1)
    real["change"] = change
    status, out, _ = run(random=1, kernel=True)
    assert status == 1
    assert "DIFFERENT: " in out
    assert told in out


@pytest.mark.parametrize(
    ("bystander", "close", "status"), [(True, False, 0), (False, True, 0), (False, False, 1)]
)
def test_a_bystander_may_die_later(real, bystander, close, status, tmp_path, monkeypatch):
    """The one whose step it is dies at once; another when it is given the CPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(conform, "SHRINKING_RUNS", 1)
    predict = compare.touch_pages
    killed = lambda script: replace(  # noqa: E731
        predict(script), killed=5, bystander=bystander, close=close
    )
    monkeypatch.setattr(compare, "touch_pages", killed)
    real["change"] = lambda touches: replace(touches, killed=9)
    assert run(random=1, kernel=True)[0] == status


@pytest.mark.parametrize("at", [None, 4])
def test_a_bystander_may_not_die_before_or_live(real, at, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(conform, "SHRINKING_RUNS", 1)
    predict = compare.touch_pages
    killed = lambda script: replace(predict(script), killed=5, bystander=True)  # noqa: E731
    monkeypatch.setattr(compare, "touch_pages", killed)
    real["change"] = lambda touches: replace(touches, killed=at)
    assert run(random=1, kernel=True)[0] == 1


def test_who_stands_by_is_killed_if_it_is_larger():
    """Two processes; the first has more than the second, in whose step memory runs out."""
    lines = (
        "limit 350\nP map A 100\nP write A 0-99\nP fork C\nP map B 200\nP write B 0-199\n"
        "C write A 0-99\n"
    )
    touches = touch_pages(parse_pressure_script(lines), swap_pages=8)
    assert touches.killed is not None
    assert touches.bystander
    alone = touch_pages(
        parse_pressure_script("limit 300\nP map A 400\nP write A 0-399\n"), swap_pages=8
    )
    assert alone.killed is not None
    assert not alone.bystander


@pytest.mark.parametrize(("own", "close"), [(0, True), (200, True), (400, False)])
def test_scores_that_are_close_are_told(own, close):
    """The first has `own` pages more; what the kernel has counted lacks up to 32 of a kind."""
    lines = f"limit {150 + own}\nP map A 100\nP write A 0-99\nP fork C\n"
    if own:
        lines += f"P map B {own}\nP write B 0-{own - 1}\n"
    touches = touch_pages(parse_pressure_script(f"{lines}C write A 0-99\n"), swap_pages=8)
    assert touches.killed is not None
    assert touches.close == close
    assert touches.bystander == (own > 0)


def test_what_is_added_up_late_is_told_between_waits():
    lines = "limit 300\nP map A 500\nP write A 0-499\nP wait 3100\nP read A 0-99\nP wait 3100\n"
    told = touch_pages(parse_pressure_script(f"{lines}P read A 0\n"), swap_pages=4096).told
    late = [one.counts.get("workingset_refault_anon") for one in told]
    assert late == [None, None, None, None, 100, None]


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


def test_a_script_is_told_line_by_line(script):
    status, out, _ = run(script, random=None)
    first, *lines = out.splitlines()
    assert status == 0
    assert "limit=128 swappiness=60 processes=2 " in first
    assert [line.split(":")[0] for line in lines] == [
        "  P map A 150",
        "  P write A 0-149",
        "  P fork C",
        "  C read A 149-140",
    ]
    counted = {word.split("=")[0]: word.split("=")[1] for word in lines[1].split(": ")[1].split()}
    in_memory, swapped = map(int, counted["P.A"].split("+"))
    assert in_memory + swapped == 150
    assert swapped == int(counted["pswpout"]) == int(counted["in_swap"]) > 0


def test_what_differs_of_a_script_is_told_with_it(real, script):
    real["change"] = lambda touches: with_more(touches, "pgscan_anon")
    status, out, _ = run(script, random=None, kernel=True)
    assert status == 1
    assert "pgscan_anon=0!1" in out


def test_the_first_that_differs_is_made_shorter_and_kept(real, script, monkeypatch):
    monkeypatch.setattr(conform, "random_script", lambda *_: load_pressure_script(script))
    real["change"] = lambda touches: with_more(touches, "pswpin")
    status, out, _ = run(random=1, kernel=True)
    assert status == 1
    assert out.splitlines()[-1] == (
        "repeat it with: cowpool conform --pressure pressure-1-0.txt --kernel"
    )
    shortest = load_pressure_script(script.parent / "pressure-1-0.txt")
    assert [str(line) for line in shortest.lines] == ["P map A 150", "P write A 144-149"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"group": "4M"}, "has its own limit"),
        ({"seed": None}, "random scripts need a seed"),
        ({"random": None}, "nothing to do"),
    ],
)
def test_what_it_does_not_take(options, told):
    with pytest.raises(ScenarioError, match=told):
        conform_pressure([], **{**PLAIN, **options})
