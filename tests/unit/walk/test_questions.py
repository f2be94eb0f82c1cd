"""Questions: the same for a seed, answerable, and right."""

import io

import pytest

from sim.script.validity import parse_script
from sim.walk.ask.questions import questions
from sim.walk.ask.quiz import quiz, quiz_json
from sim.walk.show import Printer, Teller
from sim.walk.tell.story import MachineChoice, tell

TEXT = (
    "P map A 8\nP write A 0 4\nP fork C\nC read A 0 4\nC write A 1 3\nC exit\nP write A 0 4\n"
    "P read A 6 8\nP dontneed A 0 2\nP unmap A\n"
)


def story(frames=64):
    return tell(parse_script(TEXT), MachineChoice(frames))


def asked_of(seed, frames=64):
    return questions(story(frames), seed)


def sheet(typed=None, *, answers=False, seed=0):
    told = story()
    out = io.StringIO()
    printer = Printer(out)
    teller = Teller(told, why=False, draw=False, width=100)
    answered = None if typed is None else io.StringIO(typed)
    quiz(told, questions(told, seed), teller, printer, answers=answers, answered=answered)
    return out.getvalue()


def test_a_seed_always_asks_the_same():
    assert asked_of(5) == asked_of(5)
    assert len({tuple(q.id for q in asked_of(seed)) for seed in range(20)}) > 10


def test_every_kind_of_question_comes_and_every_step_is_asked_about_sometimes():
    all_asked = [q for seed in range(60) for q in asked_of(seed)]
    kinds = {q.id.split(".")[1] for q in all_asked}
    assert kinds == {"faults", "kind", "taken", "returned", "free", "references", "entry"}
    assert {q.step for q in all_asked} == set(range(1, 11))


def test_answers_are_what_the_machine_did():
    told = story()
    by_number = {c.number: c for c in told.chapters}
    for seed in range(40):
        for question in questions(told, seed):
            chapter = by_number[question.step]
            kind = question.id.split(".")[1]
            if kind == "faults":
                assert int(question.answer) == chapter.minor_faults
            elif kind == "free":
                assert int(question.answer) == chapter.after.free
            elif question.choices:
                assert question.answer in question.choices


def test_a_line_more_changes_no_question_about_the_others():
    longer = tell(parse_script(f"{TEXT}P map Z 1\n"), MachineChoice(64))
    for seed in range(5):
        assert [q for q in questions(longer, seed) if q.step <= 10] == asked_of(seed)


def test_something_is_always_asked():
    one = tell(parse_script("P map A 1\n"), MachineChoice(64))
    assert all(len(questions(one, seed)) == 1 for seed in range(20))


def test_answers_are_held_back_from_a_work_sheet():
    questioned = {q.step for q in asked_of(0)}
    text = sheet()
    assert text.count("= ____") == len(questioned)
    told = [line for line in text.splitlines() if " free" in line and line[:2].strip().isdigit()]
    assert {int(line[:2]) for line in told} == set(range(1, 11)) - questioned
    assert "likewise" not in text


def test_answers_are_printed_if_wanted():
    text = sheet(answers=True)
    for question in asked_of(0):
        assert f"= {question.answer}" in text
    assert "`copy_page_range`" in text or "`do_anonymous_page`" in text


def test_typed_answers_are_checked():
    right = "".join(f"{q.answer}\n" for q in asked_of(0))
    n = len(asked_of(0))
    assert f"{n} of {n} right" in sheet(right)
    assert f"0 of {n} right" in sheet("x\n" * n)
    assert "right" not in sheet("\n" * n)


def test_the_end_of_input_ends_it_and_tells_nothing_more():
    text = sheet("")
    first = asked_of(0)[0]
    assert f"? {first.prompt()}" in text
    assert text.rstrip().endswith(">")


@pytest.mark.parametrize("answers", [False, True])
def test_json_has_answers_only_if_wanted(answers):
    told = story()
    document = quiz_json(told, questions(told, 1), seed=1, answers=answers, draw=True)
    for found in document["questions"]:
        assert ("answer" in found) == ("why" in found) == answers
        assert found["type"] == ("choice" if "choices" in found else "integer")
        assert "free_frames" in found["memory_before"]
        if answers and found["type"] == "integer":
            assert isinstance(found["answer"], int)


def test_who_is_killed_can_be_asked():
    text = "P map A 30\nP fork C\nC map B 8\nP write A 0 24\nC write B 0 8\n"
    told = tell(parse_script(text), MachineChoice(52))
    found = [q for seed in range(60) for q in questions(told, seed) if q.id == "5.victim"]
    assert found
    assert found[0].choices == ("P", "C")
    assert found[0].answer == "P"
