"""`cowpool walk --reference`: what it prints of reference strings, and what it refuses."""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.samples import sample

from sim.cli import main
from sim.cli.references import MOST_SHOWN, MOST_TOUCHES, frames_of
from sim.policy.replacement import POLICIES

SILBERSCHATZ = "7 0 1 2 0 3 0 4 2 3 0 3 2 1 2 0 1 7 0 1"
BELADY = "1,2,3,4,1,2,5,1,2,3,4,5"


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """Have what is printed to a file as wide as these tables are."""
    monkeypatch.setenv("COLUMNS", "110")


def walk(capsys, *arguments):
    status = main(["walk", *arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_one_policy_is_the_table_of_the_textbook(capsys):
    status, out, err = walk(
        capsys, "--reference", SILBERSCHATZ, "--frames", "3", "--policy", "fifo"
    )
    assert (status, err) == (0, "")
    assert out == (
        "fifo, 3 frames: 15 faults in 20 references to 6 pages\n"
        "\n"
        "frame  7  0  1  2  0  3  0  4  2  3  0  3  2  1  2  0  1  7  0  1\n"
        "─────────────────────────────────────────────────────────────────\n"
        "0      7  7  7  2  2  2  2  4  4  4  0  0  0  0  0  0  0  7  7  7\n"
        "1         0  0  0  0  3  3  3  2  2  2  2  2  1  1  1  1  1  0  0\n"
        "2            1  1  1  1  0  0  0  3  3  3  3  3  2  2  2  2  2  1\n"
        "fault  F  F  F  F     F  F  F  F  F  F        F  F        F  F  F\n"
    )


def test_all_policies_are_compared_and_the_anomaly_is_named(capsys):
    status, out, _ = walk(capsys, "--reference", BELADY, "--frames", "1..7")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert status == 0
    assert lines[0] == "12 references to 5 pages; seed 0"
    assert lines[2] == "faults, by frames fifo clock lru mglru_like random opt"
    assert [line.split()[1] for line in lines[4:11]] == ["12", "12", "9", "10", "5", "5", "5"]
    assert lines[12] == "hit ratio, by frames fifo clock lru mglru_like random opt"
    assert lines[21:] == [
        "fifo: 10 faults with 4 frames, 9 with 3: Belady's anomaly",
        "clock: 10 faults with 4 frames, 9 with 3: Belady's anomaly",
        "mglru_like: 10 faults with 4 frames, 9 with 3: Belady's anomaly",
    ]


def test_clock_shows_its_marks_and_its_hand(capsys):
    """Stallings, Operating Systems, 7th ed., figure 8.15, mark by mark."""
    arguments = ["--frames", "3", "--policy", "clock"]
    lines = walk(capsys, "--reference", "2 3 2 1 5 2 4 5 3 2 5 2", *arguments)[1].splitlines()
    assert lines[0] == "clock, 3 frames: 8 faults in 12 references to 5 pages"
    assert lines[4:7] == [
        "0      2*  2*  2*  >2*   5*   5*  >5*  >5*   3*   3*  >3*  >3*",
        "1      >   3*  3*   3*  >3    2*   2*   2*  >2   >2*   2    2*",
        "2          >   >    1*   1   >1    4*   4*   4    4    5*   5*",
    ]
    assert lines[-1] == "* marked as referenced   > where the hand is"


WHY = {
    "fifo": {
        1: "fault; takes frame 0, which is free",
        3: "in frame 0",
        5: "fault; takes frame 0 from 2, which came first, at reference 1",
    },
    "lru": {7: "fault; takes frame 2 from 1, whose last use, at reference 4, is longest ago"},
    "opt": {
        5: "fault; takes frame 2 from 1, which does not come again",
        7: "fault; takes frame 0 from 2, which comes next at reference 10, later than the others",
    },
    "clock": {
        5: "fault; takes frame 0 from 2, "
        "as all were marked: the hand took the marks and came back to it",
        6: "fault; takes frame 1 from 3, which is not marked",
        11: "fault; takes frame 2 from 4, which is not marked; the hand passed 2 and took the mark",
    },
    "random": {4: "fault; takes frame 2, which is free"},
}


@pytest.mark.parametrize("policy", WHY)
def test_reasons_come_on_request(capsys, policy):
    arguments = ["--reference", "2 3 2 1 5 2 4 5 3 2 5 2", "--frames", "3", "--policy", policy]
    assert "which is free" not in walk(capsys, *arguments)[1]
    lines = [" ".join(line.split()) for line in walk(capsys, *arguments, "--why")[1].splitlines()]
    steps = json.loads(walk(capsys, *arguments, "--why", "--json")[1])["runs"][0]["steps"]
    assert "why" not in walk(capsys, *arguments, "--json")[1]
    for number, why in WHY[policy].items():
        assert f"{number}: {steps[number - 1]['page']} {why}" in lines
        assert steps[number - 1]["why"] == why
    by_chance = [step["why"].endswith(", by chance") for step in steps]
    assert any(by_chance) == (policy == "random")


def test_more_faults_of_random_are_luck_and_no_anomaly(capsys):
    arguments = ["--reference", SILBERSCHATZ, "--policy", "random", "--frames", "1..7", "--json"]
    curves = []
    for seed in range(20):
        document = json.loads(walk(capsys, *arguments, "--seed", str(seed))[1])
        assert (document["anomalies"], document["seed"]) == ([], seed)
        curves.append([run["faults"] for run in document["runs"]])
    assert any(curve != sorted(curve, reverse=True) for curve in curves)
    assert len(set(map(tuple, curves))) > 1


def test_json_is_one_document(capsys):
    arguments = ["--reference", BELADY, "--policy", "fifo", "--json"]
    document = json.loads(walk(capsys, *arguments, "--frames", "3,4")[1])
    assert document["schema_version"] == 1
    assert (document["references"], document["pages"]) == (12, 5)
    assert document["runs"][0] == {"policy": "fifo", "frames": 3, "faults": 9, "hit_ratio": 0.25}
    assert document["anomalies"] == [{"policy": "fifo", "frames": [3, 4], "faults": [9, 10]}]
    (run,) = json.loads(walk(capsys, *arguments, "--frames", "3")[1])["runs"]
    assert run["steps"][3] == {"page": "4", "frame": 0, "fault": True, "victim": "1"}
    assert sum(step["fault"] for step in run["steps"]) == run["faults"] == 9


def test_a_trace_is_a_file_of_words_with_comments(capsys, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("# a loop\n1 2 3 4\n1 2  # and again\n5,1,2\n\n3 4 5\n")
    arguments = ["--frames", "3", "--policy", "fifo"]
    from_file = walk(capsys, "--trace", str(path), *arguments)
    assert from_file == walk(capsys, "--reference", BELADY, *arguments)


def test_a_trace_may_come_from_stdin(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a b\na c\n")))
    status, out, _ = walk(capsys, "--trace", "-", "--frames", "2", "--policy", "lru")
    assert (status, out.splitlines()[0]) == (
        0,
        "lru, 2 frames: 3 faults in 4 references to 3 pages",
    )


def test_a_long_trace_is_counted_not_shown(capsys, tmp_path):
    path = tmp_path / "a.txt"
    arguments = ["--trace", str(path), "--frames", "3", "--policy", "lru"]
    path.write_text("1 2 3 4 " * (MOST_SHOWN // 4))
    assert "fault " in walk(capsys, *arguments)[1]
    path.write_text("1 2 3 4 " * (MOST_SHOWN // 4) + "1")
    out = walk(capsys, *arguments)[1]
    assert "fault " not in out
    assert " ".join(out.splitlines()[-1].split()) == "3 201 3 0.0%"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("3", [3]), ("1..4", [1, 2, 3, 4]), ("8,2,2..3", [2, 3, 8]), ("1..1000", [*range(1, 1001)])],
)
def test_frames_are_numbers_and_ranges(text, numbers):
    assert frames_of(text) == numbers


@pytest.mark.parametrize("text", ["0", "-1", "3..1", "x", "1..", "", "1.5", "3,", "1000001", "٣"])
def test_other_frames_are_refused_in_one_line(capsys, text):
    status, out, err = walk(capsys, "--reference", "1 2", f"--frames={text}")
    assert (status, out) == (2, "")
    assert "is no number of frames, 1 to 1,000,000; write e.g. 3, 1..7 or 10,20,50\n" in err
    assert err.startswith("--frames: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "cowpool walk: give a SCRIPT, --reference or --trace; see `cowpool walk --help`"),
        (["--reference", "1"], "--frames: how many has memory? write e.g. 3, 1..7 or 10,20,50"),
        (
            ["--reference", "1", "--trace", "a.txt", "--frames", "1"],
            "--reference and --trace both give references; leave one out",
        ),
        (
            ["--reference", "1 2;3", "--frames", "1"],
            "--reference: '2;3' is no page; write a number, or letters and digits",
        ),
        (
            ["--reference", " ", "--frames", "1"],
            "--reference: no page is named; write e.g. 7 0 1 2 0 3",
        ),
        (
            ["--reference", "1", "--frames", "1", "--policy", "wait"],
            "--policy: 'wait' replaces no page; "
            "write one of fifo, clock, lru, mglru_like, random, opt, all",
        ),
        (
            ["a.txt", "--reference", "1", "--frames", "1"],
            "SCRIPT is not for --reference and --trace; leave it out",
        ),
        (
            ["--trace", "a.txt", "--frames", "1", "--as-kernel", "6.1"],
            "--as-kernel is not for --reference and --trace; leave it out",
        ),
        (
            ["--reference", "1", "--frames", "1..3", "--policy", "lru", "--why"],
            "--why is for one policy, one number of frames and up to 200 references; "
            "leave it out, or the others",
        ),
        (
            ["--reference", "1", "--frames", "1..1001"],
            "--frames: '1..1001' has more than 1,000 numbers; name fewer, as in 10,20,50",
        ),
        (["--trace", "a.txt", "--frames", "1"], "a.txt:2: '2+' is no page; "
         "write a number, or letters and digits"),
        (["--trace", "none.txt", "--frames", "1"],
         "none.txt: cannot be read: No such file or directory"),
        (["--trace", "binary.txt", "--frames", "1"],
         "binary.txt: is not UTF-8 text; write a trace"),
        (["--trace", "empty.txt", "--frames", "1"],
         "empty.txt: no page is named; write e.g. 7 0 1 2 0 3"),
        (["a.txt", "--policy", "lru"],
         "--policy: 'lru' is unknown; write one of oom, wait"),
        (["a.txt", "--frames", "1..7"],
         "--frames: 1..7 is no number of frames; write 10 to 4096"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_one_line(capsys, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("1\n2+\n" if "--trace" in arguments else "P map A 1\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "empty.txt").write_text("# nothing\n")
    assert walk(capsys, *arguments) == (2, "", f"{said}\n")


def test_too_much_work_is_refused_unless_it_is_wanted(capsys, monkeypatch):
    assert MOST_TOUCHES > 10**6
    monkeypatch.setattr("sim.cli.references.MOST_TOUCHES", 59)
    arguments = ["--reference", BELADY, "--frames", "3"]
    status, out, err = walk(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err == (
        "12 references, for 1 x 6 runs, are too many; keep to 59 in all, or add --large\n"
    )
    assert walk(capsys, *arguments, "--large")[0] == 0


WORDS = st.text(st.characters(codec="utf-8"), max_size=40)


@pytest.mark.stress
@given(text=WORDS, frames=WORDS | st.sampled_from(["3", "1..4"]), policy=st.sampled_from(POLICIES))
@settings(max_examples=sample(60, 2_000))
def test_whatever_is_typed_is_played_or_refused_in_one_line(text, frames, policy):
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        status = main(
            ["walk", f"--reference={text}", f"--frames={frames}", f"--policy={policy}", "--json"]
        )
    said = err.getvalue()
    if status == 0:
        assert said == ""
        assert json.loads(out.getvalue())["references"] > 0
    else:
        assert (status, out.getvalue(), said.count("\n")) == (2, "", 1)
        assert len(said) < 400
