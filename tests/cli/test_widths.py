"""On a terminal of any width no number and no unit is cut, whatever a command prints."""

import io
import itertools
import json
import random
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.documents import run_document

from sim.base.units import format_bytes, format_duration
from sim.cli import main
from sim.cli.answering import answer_of
from sim.cli.commands import _told
from sim.cli.show import show_run, show_sections
from sim.cli.tables import LEAST_WIDTH, Table, beside, labelled, paragraph
from sim.scenario.explain import Section
from sim.study.progress import ProgressBar
from sim.study.run import StudyOutcome

WIDTHS = (60, 80, 120)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
UNIT = r"(?:[KMGT]iB|B|ns|us|ms|s|min|h|pages|frames)"
BROKEN = re.compile(rf"\d$|^ *{UNIT}\b")
"""A line that ends in a number, and one that begins with a unit."""

cells = st.one_of(
    st.integers(0, 2**50).map("{:,}".format),
    st.integers(0, 2**60).map(format_bytes),
    st.integers(0, 2**60).map(format_duration),
    st.just("-"),
)
names = st.text("abcdefghij/_-1234567890", min_size=1, max_size=130)


@st.composite
def tables(draw):
    columns = draw(st.integers(2, 9))
    headings = tuple(draw(st.lists(st.text("abc ", min_size=1, max_size=14), min_size=columns,
                                   max_size=columns)))  # fmt: skip
    row = st.tuples(names, *[cells] * (columns - 1))
    return Table(headings, draw(st.lists(row, min_size=1, max_size=6)))


def words_of(lines):
    return " ".join(" ".join(line.split()) for line in lines)


@given(tables(), st.integers(LEAST_WIDTH, 200))
def test_every_cell_of_a_table_is_whole(table, width):
    lines = table.lines(width)
    assert all(len(line) <= width for line in lines)
    assert not any("…" in line for line in lines)
    for row in table.rows:
        for cell in row[1:]:
            assert any(re.search(rf"(^|  | ){re.escape(cell)}($|  )", line) for line in lines)


@given(tables(), tables(), st.integers(LEAST_WIDTH, 200))
def test_two_tables_side_by_side_are_whole(left, right, width):
    lines = beside(left, right, width)
    assert all(len(line) <= width for line in lines)
    for table in (left, right):
        for row in table.rows:
            for cell in row[1:]:
                assert any(cell in line for line in lines)


texts = st.lists(
    st.one_of(cells, st.sampled_from(["of", "copies:", "a save", "(assumed)", "takes", "--set"])),
    min_size=1,
    max_size=40,
).map(" ".join)


@given(texts, st.integers(LEAST_WIDTH, 120))
def test_a_paragraph_keeps_number_and_unit_on_one_line(text, width):
    lines = paragraph(text, width)
    assert words_of(lines) == text
    assert all(len(line) <= width for line in lines)
    for line, following in itertools.pairwise(lines):
        last, first = line.split()[-1], following.split()[0]
        assert not (re.fullmatch(r"[\d.,]+", last) and re.fullmatch(UNIT, first)), lines


@given(st.lists(st.tuples(names, texts), min_size=1, max_size=5), st.integers(LEAST_WIDTH, 120))
def test_labels_and_texts_are_whole(pairs, width):
    said = words_of(labelled(pairs, width))
    for label, text in pairs:
        assert f"{label} {text}" in said


def test_what_is_cut_is_noticed():
    """Negative control: the widths that tables had before cut exactly these."""
    assert BROKEN.search("takes 14")
    assert BROKEN.search("  GiB of data")
    assert not BROKEN.search("takes 14 GiB")


class Terminal(io.StringIO):
    """A terminal whose width is in COLUMNS."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def at_a_terminal(monkeypatch):
    def lines_of(columns, act):
        screen = Terminal()
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", "50")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stdout", screen)
        act()
        monkeypatch.undo()
        return ESCAPES.sub("", screen.getvalue()).splitlines()

    return lines_of


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("seed", range(12))
def test_a_run_of_any_size_is_shown_whole(columns, seed, at_a_terminal):
    document = run_document(random.Random(seed))
    lines = at_a_terminal(columns, lambda: show_run(document))
    assert all(len(line) <= columns for line in lines)
    said = words_of(lines)
    assert "…" not in said
    for name, count in document["metrics"].items():
        if isinstance(count, int) and name != "peak_time_ns":
            assert f"{count:,}" in said, name
    for process in document["processes"]:
        assert format_bytes(process["peak_rss_bytes"]) in said
        assert format_duration(process["cpu_ns"]) in said
    for name, part in document["metrics"]["memory_need_bytes"].items():
        assert format_bytes(part) in said or (part == 0 and name in ("shared_memory", "hugetlb"))


COMMANDS = [
    ["explain", "redis_bgsave"],
    ["explain", "steps_demo"],
    ["explain", "studies/redis_bgsave"],
    ["explain", "prefork_web", "--set", "host.profile=ec2_hvm"],
    ["keys"],
    ["keys", "host"],
    ["keys", "steps"],
    ["show"],
    ["run", "steps_demo"],
    ["run", "redis_bgsave", "--set", "processes.redis.dataset=8MiB"],
    ["walk", "docs/lecture/03_last_owner.txt", "--why"],
    ["walk", "--reference=" + "7 0 1 2 0 3 0 4 " * 9, "--frames=3", "--policy=clock", "--why"],
    ["walk", "--reference=1 2 3 4 1 2 5 1 2 3 4 5", "--frames=1..7"],
]


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_a_command_cuts_nothing(command, columns, at_a_terminal):
    statuses = []
    lines = at_a_terminal(columns, lambda: statuses.append(main(command)))
    assert statuses == [0]
    assert len(lines) > 5
    assert all(len(line) <= columns for line in lines)
    assert not any("…" in line for line in lines)
    for line, following in itertools.pairwise(lines):
        ends, begins = re.search(r"\d$", line), re.match(rf" *{UNIT}\b", following)
        assert not (ends and begins), (line, following)


SENTENCES = (
    "With save speed 200 MiB/s (assumed), a Redis host (data set 16 GiB, writes 12000/s) needs "
    "about 21.4 GiB of memory, 1.34 times the data; chance moves that by 10.2 MiB (99 % of saves).",
    "The fork stalls its caller for 209 ms to 308 ms, 235 ms with the middle prices.",
)


@pytest.mark.parametrize("columns", WIDTHS)
def test_what_a_study_answers_keeps_its_units(columns, at_a_terminal):
    outcome = StudyOutcome(SENTENCES, Path("out"), Path("out/report.html"), 1234, 5, (), 0)
    lines = at_a_terminal(columns, lambda: _told(outcome, as_json=False))
    assert all(len(line) <= columns for line in lines)
    assert words_of(lines).startswith(" ".join(SENTENCES))
    for line, following in itertools.pairwise(lines):
        assert not (re.search(r"\d$", line) and re.match(rf" *({UNIT}|%)", following))


def test_a_file_has_a_sentence_a_line(capsys):
    _told(StudyOutcome(SENTENCES, Path("out"), None, 1, 1, (), 0), as_json=False)
    assert capsys.readouterr().out.splitlines()[:2] == list(SENTENCES)


@pytest.mark.parametrize(("columns", "width"), [("", 80), ("60", 60), ("wide", 80), ("120", 120)])
@pytest.mark.parametrize("seed", range(4))
def test_a_file_gets_lines_of_80_or_as_columns_says_and_whole_sentences(
    columns, width, seed, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", columns)
    document = run_document(random.Random(seed))
    show_run(document)
    lines = capsys.readouterr().out.splitlines()
    sentences = [*answer_of(document)]
    for finding in document["validity"]:
        sentences += [finding["what"], finding["remedy"]]
    assert all(any(sentence in line for line in lines) for sentence in sentences if sentence)
    wide = [line for line in lines if len(line) > width]
    assert all(any(sentence in line for sentence in sentences if sentence) for line in wide)


def test_what_is_wide_at_120_columns_is_the_same_text_at_60(at_a_terminal):
    section = Section("A title", tuple((f"key {n}", "about 14 GiB of it " * n) for n in range(9)))
    said = {
        words_of(at_a_terminal(columns, lambda: show_sections([section]))) for columns in WIDTHS
    }
    assert len(said) == 1


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("runs", [1, 12_345, 100_000])
@pytest.mark.parametrize(
    "what", ["every point", "hosts where chance decides, and the answer's own"]
)
def test_the_progress_of_a_study_cuts_nothing(columns, runs, what, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "50")
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    with ProgressBar(screen) as bar:
        bar.begin(what, runs, 1.0)
        for _ in range(min(runs, 3)):
            bar.advance(1 / runs)
    said = ESCAPES.sub("", screen.getvalue())
    assert what in said
    assert f"0 of {runs} runs" in said
    assert f"{min(runs, 3)} of {runs} runs" in said
    assert "…" not in said
    assert all(len(line) <= columns for line in re.split(r"[\r\n]+", said))


def test_a_file_gets_no_escapes_and_json_is_no_table(capsys):
    assert main(["run", "steps_demo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["forks"] == 1
