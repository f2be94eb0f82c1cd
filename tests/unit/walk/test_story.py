"""What is told is what the machine did; and what happens where its memory runs out."""

import pytest
from support.samples import sample

from sim.machine import work
from sim.script.grammar import Verb
from sim.script.predict import predict
from sim.script.random import ALL_VERBS, random_script, script_generator
from sim.script.validity import parse_script
from sim.walk.tell.story import KILLED, NOT_DONE, WAIT, WAITS, MachineChoice, tell

SHARING = "P map A 16\nP write A 0 16\nP fork C\nC write A 0 16\n"


def endings(story):
    return [(c.number, c.ending) for c in story.chapters if c.ending]


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(4))
def test_a_walk_counts_what_conform_predicts(seed):
    verbs = list(Verb)
    for index in range(sample(3, 6)):
        script = random_script(script_generator(seed, index), verbs=verbs)
        told = tell(script, MachineChoice()).chapters
        for chapter, record in zip(told, predict(script), strict=True):
            assert chapter.minor_faults == record.minflt, str(chapter.operation)
            assert chapter.ending == record.ending
            assert chapter.figures == record.figures


@pytest.mark.parametrize("policy", ["oom", WAIT])
@pytest.mark.parametrize("frames", [24, 30, 36, 44, 64])
def test_frames_taken_and_returned_add_up(policy, frames):
    story = tell(parse_script(f"{SHARING}P write A 0 8\n"), MachineChoice(frames, policy))
    free = story.free
    for chapter in story.chapters:
        effects = [chapter.effects, *(kill.effects for kill in chapter.kills)]
        free += sum(sum(e.returned.values()) - sum(e.taken.values()) for e in effects)
        assert free == chapter.free == chapter.after.free
        used = sum(frame.use != "free" for frame in chapter.after.frames)
        assert used + chapter.free == frames


def test_frames_that_one_in_line_took_for_read_ahead_alone_are_told():
    """It went on, read ahead into all that was free, and had none for its page: it waits again."""
    script = random_script(script_generator(12, 827), verbs=ALL_VERBS)
    story = tell(script, MachineChoice(24 + 4 * (827 % 20), WAIT))
    free = story.free
    for chapter in story.chapters:
        free += sum(chapter.effects.returned.values()) - sum(chapter.effects.taken.values())
        assert free == chapter.free


@pytest.mark.parametrize("index", [83, 1602])
def test_who_has_lent_its_memory_waits_for_a_child_that_waits(index):
    """Its lines come after that child's exec, which was not done; it was let at its memory."""
    script = random_script(script_generator(12, index), verbs=ALL_VERBS)
    story = tell(script, MachineChoice(24 + 4 * (index % 20), WAIT))
    reasons = [chapter.reason for chapter in story.chapters if chapter.ending == NOT_DONE]
    assert any("which has its memory (vfork)" in reason for reason in reasons)


@pytest.mark.stress
@pytest.mark.parametrize("policy", ["oom", WAIT])
def test_any_script_can_be_told_of_a_small_machine(policy):
    """Whatever stops an operation there: memory, a limit, too many dirty pages of files."""
    short = 0
    for index in range(sample(20, 3_000)):
        rng = script_generator(12, index)
        frames = 24 + 4 * (index % 20)
        script = random_script(rng, verbs=ALL_VERBS)
        story = tell(script, MachineChoice(frames, policy))
        free = story.free
        for chapter in story.chapters:
            effects = [chapter.effects, *(kill.effects for kill in chapter.kills)]
            free += sum(sum(e.returned.values()) - sum(e.taken.values()) for e in effects)
            assert free == chapter.free == chapter.after.free, (index, str(chapter.operation))
        short += any(c.ending in (KILLED, WAITS, NOT_DONE) or c.kills for c in story.chapters)
    assert short > 10


def test_who_writes_too_much_waits_until_it_is_written():
    script = "P mapshfile B 16\nP write B 4 14\nP filewrite B 8 14\nP filewrite B 0 16\n"
    story = tell(parse_script(script), MachineChoice(64))
    assert endings(story) == []


def test_the_killer_takes_the_largest_and_later_lines_for_it_are_not_done():
    story = tell(parse_script(f"{SHARING}P write A 0 16\nC exit\n"), MachineChoice(44))
    assert endings(story) == [(4, KILLED), (6, NOT_DONE)]
    (kill,) = story.chapters[3].kills
    assert (kill.asked, kill.victim) == ("C", "C")
    assert story.chapters[4].effects.faults == {work.COW_REUSE: 16}
    assert story.chapters[5].reason == "C was killed: out of memory"


def test_the_killer_may_take_who_did_not_ask():
    text = "P map A 30\nP fork C\nC map B 8\nP write A 0 24\nC write B 0 8\n"
    story = tell(parse_script(text), MachineChoice(52))
    (chapter,) = [c for c in story.chapters if c.kills]
    assert (chapter.kills[0].asked, chapter.kills[0].victim) == ("C", "P")
    assert chapter.ending == ""
    assert chapter.effects.faults == {work.ZERO_FILL: 8}


def test_who_waits_goes_on_when_frames_come_back():
    text = f"P fork D\nD map Z 8\nD write Z 0 8\n{SHARING}D exit\n"
    story = tell(parse_script(text), MachineChoice(60, WAIT))
    stopped, went_on = [c for c in story.chapters if c.operation.verb is Verb.WRITE][2:]
    assert (stopped.ending, went_on.ending) == (WAITS, "")
    assert went_on.goes_on
    assert stopped.minor_faults + went_on.minor_faults == 16
    assert story.waiting == ()


def test_nobody_wakes_who_waits_for_ever():
    story = tell(parse_script(f"{SHARING}P write A 0 16\n"), MachineChoice(44, WAIT))
    assert story.waiting == ("C", "P")


def test_a_fork_that_is_killed_half_way_leaves_no_child():
    for frames in range(16, 40):
        story = tell(parse_script(SHARING), MachineChoice(frames))
        for chapter in story.chapters:
            owners = {f.owner for f in chapter.after.frames if f.owner}
            assert owners <= {"P", "C"}


def test_killing_the_lender_kills_the_borrower():
    text = "P map A 40\nP vfork C\nC write A 0 40\nC exit\n"
    story = tell(parse_script(text), MachineChoice(40))
    assert [c.ending for c in story.chapters][2:] == [KILLED, NOT_DONE]
    assert not story.chapters[-1].after.spaces
