"""`cowpool conform --filepage` and `--claim`: what they print, without a kernel and with a fake."""

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from sim.base.errors import ScenarioError
from sim.host import conform as memory
from sim.host.claims import command, files
from sim.host.claims.charging import PLENTY
from sim.host.claims.claim import Case, Claim
from sim.host.claims.command import CLAIMS, list_claims, run_claims
from sim.host.compare import EQUAL, IN_GROUP, Band
from sim.host.filepage import conform
from sim.host.filepage.compare import TRIES
from sim.host.filepage.conform import run_filepage_conform
from sim.host.filepage.real import Reads
from sim.script.fewest import fewest
from sim.script.filepage.grammar import parse_page_script
from sim.script.filepage.predict import read_pages
from sim.script.filepage.random import random_mapped_script, random_page_script
from sim.script.group import predict_in_group
from sim.script.random import GROUP_VERBS
from sim.script.validity import parse_script

SCRIPT = "file A 700  # pages\nread A 0 700\nmap\nbackwards A 0 300\n"


def run(path, **options):
    out, err = io.StringIO(), io.StringIO()
    status = run_filepage_conform([path], out=out, err=err, **options)
    return status, out.getvalue(), err.getvalue()


@pytest.fixture
def path(tmp_path):
    script = tmp_path / "script.txt"
    script.write_text(SCRIPT)
    return script


# -- scripts --------------------------------------------------------------------------------------


def test_a_script_is_read_and_written_the_same():
    script = parse_page_script(SCRIPT)
    assert script.pages == [700]
    steps = script.steps.tolist()
    assert steps == [*range(700), -1, *range(299, -1, -1), -1]
    assert parse_page_script(str(script)).steps.tolist() == steps
    for draw in (random_page_script, random_mapped_script):
        drawn, _ = draw(1, 0)
        assert parse_page_script(str(drawn)).steps.tolist() == drawn.steps.tolist()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file A 700\nraed A 0 1\n", r"s\.txt:2: unknown verb 'raed'; did you mean `read`"),
        ("read A 0 1\n", r"s\.txt:1: there is no file A; there are: none"),
        ("file A 7\nread A 0 8\n", r"s\.txt:2: pages \[0, 8\) are not in A, which has 7"),
        ("file A 7\nfile A 8\n", r"s\.txt:2: there is a file A already"),
        ("file A x\n", r"s\.txt:1: 'x' is not a number of pages; write `file A PAGES`"),
        ("file A 0\n", r"s\.txt:1: a file has 1 to 262144 pages, not 0"),
        ("file A 7\nread A 1\n", r"s\.txt:2: 'read A 1'; write `read A FIRST END`"),
        ("file A 7\nmap\n", r"s\.txt: reads nothing"),
    ],
)
def test_what_is_wrong_with_a_script_is_said(text, said):
    with pytest.raises(ScenarioError, match=said):
        parse_page_script(text, "s.txt")


def test_the_fewest_lines_that_fail_are_found():
    assert fewest(list(range(40)), lambda items: {3, 31} <= set(items)) == [3, 31]
    assert len(fewest(list(range(40)), lambda items: 33 in items, most_trials=1)) == 20


# -- predictions ----------------------------------------------------------------------------------


def test_a_prediction_says_which_pages_are_there(path):
    status, out, err = run(path, limit_pages=500)
    assert (status, err) == (0, "")
    first, *maps = out.splitlines()
    assert first.startswith(f"{path} limit=500 resident=")
    assert [line.split(":")[0].split()[:3] for line in maps] == [
        ["map", "1", "A"],
        ["map", "2", "A"],
    ]
    assert " 0-300" in maps[1]
    assert "different" not in out


def test_json_has_the_same(path):
    _, out, _ = run(path, limit_pages=500, as_json=True)
    document = json.loads(out)
    assert document["filepage"]
    (found,) = document["results"]
    assert found["kernel"] is None
    assert found["predicted"]["counts"]["pgsteal_file"] > 200


def test_where_no_kernel_can_be_asked_it_is_unchecked(path, monkeypatch):
    monkeypatch.setattr(conform, "why_not", lambda: "there is none")
    status, out, err = run(path, limit_pages=500, kernel=True)
    assert status == 3
    assert out
    assert err == "unchecked: there is none\n"


def test_random_scripts_need_a_seed():
    with pytest.raises(ScenarioError, match="need a seed"):
        run_filepage_conform([], random=3)


def test_nine_of_ten_must_be_exact_and_the_others_close():
    band = Band(exact=0.9, close=2)
    assert band.holds([0] * 18 + [2] * 2)
    assert not band.holds([0] * 17 + [2] * 3)
    assert not band.holds([0] * 19 + [3])
    assert band.holds([0, 1])
    assert not EQUAL.holds([0] * 99 + [1])


# -- random scripts of memory operations in a group -----------------------------------------------


class Kernel:
    """In place of the kernel: as predicted, but that `wrong` says how often usage goes astray."""

    def __init__(self, wrong):
        self.wrong = wrong
        self.asked = -1
        self.script = None

    def run_in_group(self, script, limit_pages):
        if script != self.script:
            self.script, self.asked = script, self.asked + 1
        records = predict_in_group(script, limit_pages).records
        figures = self.wrong.get(self.asked, self.wrong.get("all", 0))
        return SimpleNamespace(
            records=[
                replace(record, usage=record.usage + 64 * min(figures, number))
                for number, record in enumerate(records)
            ]
        )


def random_in_group(monkeypatch, wrong, *, kernel=True, count=10, limit=PLENTY):
    fake = Kernel(wrong)
    monkeypatch.setattr(memory, "cannot_run", lambda: None)
    monkeypatch.setattr(memory, "no_group", lambda: "")
    monkeypatch.setattr(memory, "host_conditions", lambda _folios: [])
    monkeypatch.setattr(memory, "KernelRunner", lambda: fake)
    out, err = io.StringIO(), io.StringIO()
    status = memory.run_conform(
        [],
        predictor=lambda script: predict_in_group(script, limit).records,
        kernel=kernel,
        random=count,
        seed=5,
        verbs=GROUP_VERBS,
        group_pages=limit,
        band=IN_GROUP,
        out=out,
        err=err,
    )
    return status, out.getvalue(), err.getvalue()


def test_random_scripts_in_a_group_may_miss_a_figure_in_one_of_ten(monkeypatch):
    status, out, err = random_in_group(monkeypatch, {3: 1})
    assert status == 0
    assert out.endswith("checked, 9 of 10 without a difference, at most 1 in the others\n")
    assert "script 3 of seed 5: 1 differences\n" in err
    assert random_in_group(monkeypatch, {})[1].endswith("checked, no difference\n")
    status, out, _ = random_in_group(monkeypatch, {3: 1, 4: 1})
    assert status == 1
    assert "8 of 10 without a difference" in out


def test_the_first_far_off_is_shrunk_and_can_be_repeated_in_its_group(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory, "shrink", lambda script, fails: script[:4] if fails(script) else [])
    status, out, err = random_in_group(monkeypatch, {"all": 2})
    assert status == 1
    assert "repeat it with: cowpool conform conform-5-0.txt --group 4194304K --kernel\n" in out
    assert "script 0 of seed 5 differs" in err
    assert len(parse_script((tmp_path / "conform-5-0.txt").read_text())) == 4


def test_what_a_full_group_does_to_dirty_pages_is_unchecked_and_said(monkeypatch):
    status, out, err = random_in_group(monkeypatch, {}, limit=64)
    assert status == 3
    assert "unchecked: the group is full: " in err
    assert "scripts unchecked" in out
    assert random_in_group(monkeypatch, {}, kernel=False, limit=64)[0] == 0


# -- a file read twice ----------------------------------------------------------------------------


class Reader:
    """In place of one that asks the kernel: as predicted, but for what `off` says."""

    def __init__(self, off):
        self.off = off
        self.asked = 0

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        return None

    def run(self, script, *, limit_pages, random, freed_at, refaults):
        self.asked += 1
        found = read_pages(script.steps, script.pages, limit_pages=limit_pages, random=random)
        counts = {**found.counts, "pgsteal_file": found.counts["pgsteal_file"] + self.off["stolen"]}
        assert refaults == found.counts["workingset_refault_file"]
        resident = [[file.copy() for file in row] for row in found.resident]
        resident[-1][0][0] ^= bool(self.off["pages"])
        return Reads(resident, counts, 0, refaults + self.off["refaults"])


@pytest.mark.parametrize("off", [None, "pages", "stolen", "refaults"])
def test_a_file_read_twice_is_held_by_its_map_what_was_stolen_and_what_came_back(monkeypatch, off):
    readers = []

    def reader(_pages):
        what = ("pages", "stolen", "refaults")
        readers.append(Reader({name: int(name == off) for name in what}))
        return readers[-1]

    monkeypatch.setattr(files, "FileReader", reader)
    monkeypatch.setattr(files, "LARGE", 1024)
    cases = list(files.TWICE.check(2, 1, True))
    assert [case.held for case in cases] == [off is None] * 2
    assert [each.asked for each in readers] == [1 if off is None else TRIES] * 2
    stolen, refaults = cases[1].predicted.split(", ")[-2:]
    assert int(stolen) > 1000
    assert refaults == "2048"
    assert cases[1].kernel.split(", ")[3] == str(2048 + (off == "refaults"))


# -- claims ---------------------------------------------------------------------------------------
def claim(*cases, why_not=""):
    return Claim(
        "mine", "what it says", "equal", 2, lambda: why_not, lambda _n, _seed, _ask: iter(cases)
    )


@pytest.mark.parametrize(
    ("cases", "why_not", "status", "said"),
    [
        ([Case("a", "1", "1")], "", 0, "  a: 1 = 1\nmine: held (equal)\n"),
        ([Case("a", "1", "2", False)], "", 1, "  a: 1 ! 2\nmine: 1 of 1 red\n"),
        ([Case("a", "1")], "no root", 3, "  a: 1\nmine: unchecked: no root\n"),
    ],
)
def test_a_claim_is_held_red_or_unchecked(monkeypatch, cases, why_not, status, said):
    monkeypatch.setattr(command, "CLAIMS", {"mine": claim(*cases, why_not=why_not)})
    out, err = io.StringIO(), io.StringIO()
    assert run_claims(["mine"], kernel=True, out=out, err=err) == status
    assert out.getvalue() == said
    assert "DAMON" in err.getvalue()


def test_every_claim_is_listed_and_an_unknown_one_is_named():
    out = io.StringIO()
    assert list_claims(out=out) == 0
    assert [line.split()[0] for line in out.getvalue().splitlines()] == list(CLAIMS)
    with pytest.raises(ScenarioError, match="there is no claim 'kil'; there are: usage, kill"):
        run_claims(["kil"])


@pytest.mark.parametrize(
    ("busy", "quiet", "status", "said"),
    [
        ("", True, 1, "1 of 1 red"),
        ("9.0 tasks want 2 CPUs", True, 3, "unchecked: 1 of 1 differ, but 9.0 tasks want 2 CPUs"),
        ("9.0 tasks want 2 CPUs", False, 1, "1 of 1 red"),
    ],
)
def test_what_holds_on_a_quiet_machine_is_not_red_on_another(
    monkeypatch, busy, quiet, status, said
):
    differs = Case("so many faults", "3073", "3057", held=False, quiet=quiet)
    claim = Claim("swaploop", "it", "2", 1, lambda: "", lambda *_: iter([differs]))
    monkeypatch.setitem(CLAIMS, "swaploop", claim)
    monkeypatch.setattr(command, "why_busy", lambda: busy)
    out = io.StringIO()
    assert run_claims(["swaploop"], kernel=True, out=out) == status
    assert said in out.getvalue()
