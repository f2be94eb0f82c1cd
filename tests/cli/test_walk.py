"""The command `cowpool walk`: what it prints, writes and refuses."""

import json
import re
from pathlib import Path

import pytest

from sim.cli import main

SCRIPT = """\
# A child changes what it shares
P map A 8
P write A 0 4
P fork C
C write A 1 2
C exit
P write A 0 4
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "script.txt"
    path.write_text(SCRIPT)
    return str(path)


def walk(capsys, *arguments):
    status = main(["walk", *arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_each_line_is_told(capsys, script):
    status, out, err = walk(capsys, script)
    assert (status, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0].startswith("a machine with memory to spare")
    assert [line.split(" ", 1)[0] for line in lines[1:]] == list("123456")
    assert lines[3].startswith("3 P fork C no fault takes 11 (7 page tables, 4 kernel stack)")
    assert lines[4].startswith("4 C write A 1 2 1 copy takes 1 (1 data)")


def test_reasons_and_drawings_come_on_request(capsys, script):
    assert "wp_page_copy" not in walk(capsys, script)[1]
    assert "wp_page_copy" in walk(capsys, script, "--why")[1]
    drawn = walk(capsys, script, "--draw")[1]
    assert "a machine of 64 frames" in drawn
    assert drawn.count("pool  ") == 7
    assert all(len(line) <= 120 for line in drawn.splitlines())


def test_nothing_but_text_is_piped(capsys, script):
    assert "\x1b" not in walk(capsys, script, "--why", "--draw")[1]


def test_json_is_one_document(capsys, script):
    status, out, _ = walk(capsys, script, "--json", "--why", "--draw")
    assert status == 0
    document = json.loads(out)
    assert document["script"] == "script.txt"
    assert document["machine"] == {
        "frames": 64, "free_frames": 54, "policy": "oom", "fork": "cow", "zeroing": "demand",
        "kernel": "6.18",
    }  # fmt: skip
    copied = document["steps"][3]
    assert copied["operation"] == "C write A 1 2"
    assert copied["line"] == 5
    assert (copied["minor_faults"], copied["faults"]) == (1, {"cow_copy": 1})
    assert copied["frames_taken"] == {"data": 1}
    assert copied["why"]["pages"][0]["function"] == "wp_page_copy"
    assert [s["processes"] for s in copied["memory"]["spaces"]] == [["P"], ["C"]]
    assert "memory" not in json.loads(walk(capsys, script, "--json")[1])["steps"][0]


def test_a_picture_is_written_with_the_scripts_own_title(capsys, script, tmp_path):
    status, out, _ = walk(capsys, script, "--svg", str(tmp_path / "a.svg"))
    assert status == 0
    assert "6  P write A 0 4" in out
    assert "<title>A child changes what it shares</title>" in (tmp_path / "a.svg").read_text()


def test_ways_to_fork_and_to_be_short_can_be_chosen(capsys, script):
    assert "no fault" in walk(capsys, script, "--fork", "eager")[1].splitlines()[4]
    assert "2 (1 data, 1 page tables)" in walk(capsys, script, "--fork", "on_demand")[1]
    killed = walk(capsys, script, "--frames", "20")[1]
    assert "P is killed: out of memory" in killed
    assert "not done: there is no C" in killed
    waiting = walk(capsys, script, "--frames", "20", "--policy", "wait")[1]
    assert "the end: P still waits for memory" in waiting


HUGE = """\
P map A 512
P hugepage A
P write A 0 512
P fork C
C write A 3 4
P write A 3 4
"""


def test_huge_pages_are_drawn_on_a_machine_that_has_room_for_them(capsys, script):
    Path(script).write_text(HUGE)
    drawn = walk(capsys, script, "--draw")[1]
    assert "a machine of 2,048 frames" in drawn
    assert re.search(r"^ +P +512R ", drawn, re.M)
    assert "a machine of 64 frames" in walk(capsys, script, "--draw", "--frames", "64")[1]


def test_an_older_release_is_followed_and_what_is_new_is_said(capsys, script):
    Path(script).write_text(HUGE)
    out = walk(capsys, script, "--as-kernel", "5.7", "--why")[1]
    assert "the rules of Linux 5.7" in out
    assert "5  C write A 3 4    1 huge copy" in out
    assert "copies all 2 MiB" in out
    assert out.count("    by the rules of 6.18: 1 copy, ") == 2
    document = json.loads(walk(capsys, script, "--as-kernel", "5.7", "--json")[1])
    assert document["machine"]["kernel"] == "5.7"
    copied = document["steps"][4]
    assert (copied["faults"], copied["newest"]["faults"]) == ({"huge_copy": 1}, {"cow_copy": 1})
    assert "by the rules" not in walk(capsys, script, "--as-kernel", "5.8")[1]
    assert "by the rules" not in walk(capsys, script)[1]


def test_questions_for_graders_and_for_those_who_are_graded(capsys, script):
    asked = json.loads(walk(capsys, script, "--ask", "--json", "--seed", "2")[1])
    graded = json.loads(walk(capsys, script, "--ask", "--json", "--seed", "2", "--answers")[1])
    assert asked["seed"] == graded["seed"] == 2
    assert [q["id"] for q in asked["questions"]] == [q["id"] for q in graded["questions"]]
    assert not any("answer" in q for q in asked["questions"])
    assert all("answer" in q for q in graded["questions"])
    assert "steps" not in asked
    assert "= ____" in walk(capsys, script, "--ask")[1]


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("P wrote A 0 4\n", [], "script.txt:1: unknown verb 'wrote'; did you mean `write`?"),
        ("P map A 4\nP write A 0 9\n", [], "script.txt:2: A has 4 pages"),
        (SCRIPT, ["--frames", "4097"], "--frames: 4097 is too many to show; write 10 to 4096"),
        (SCRIPT, ["--frames", "9"], "--frames: 9 is too few for P itself; write 10 to 4096"),
        (SCRIPT, ["--policy", "hope"], "--policy: 'hope' is unknown; write one of oom, wait"),
        (SCRIPT, ["--fork", "spoon"], "--fork: 'spoon' is unknown; write one of cow, eager"),
        (SCRIPT, ["--as-kernel", "10.1"], "--as-kernel: '10.1' is not known; write \"3.10\" to"),
        (SCRIPT, ["--seed", "1"], "--answers and --seed are for questions; add --ask"),
        (SCRIPT, ["--ask", "--svg", "a.svg"], "--ask holds answers back"),
        (SCRIPT, ["--svg", "no/a.svg"], "no/a.svg: cannot be written"),
        (
            "P map A 300\n" + "".join(f"P read A {n} {n + 1}\n" for n in range(0, 300, 2)),
            ["--draw"],
            "script.txt: the script touches 301 pages or stretches of pages that look alike, too",
        ),
    ],
)
def test_bad_input_is_one_line(capsys, script, text, options, said):
    Path(script).write_text(text)
    status, out, err = walk(capsys, "script.txt", *options)
    assert (status, out) == (2, "")
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_a_missing_script_is_one_line(capsys, tmp_path):
    status, _, err = walk(capsys, str(tmp_path / "none.txt"))
    assert status == 2
    assert err.count("\n") == 1
