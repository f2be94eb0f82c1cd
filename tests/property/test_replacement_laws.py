"""What holds of replacement policies whatever the reference string."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.samples import sample

from sim.policy.replacement import (
    POLICIES,
    count_faults,
    fault_curve,
    lru_faults,
    play,
    policy_for,
    stack_distances,
)

pytestmark = pytest.mark.stress
REFERENCES = st.lists(st.integers(0, 11), max_size=120)
FRAMES = st.integers(1, 13)


def resident(name, frames, references):
    """Yield the pages in memory after each reference."""
    pages = set()
    for step in play(policy_for(name, frames, references), references):
        pages.discard(step.victim)
        pages.add(step.page)
        yield set(pages)


@given(references=REFERENCES, frames=FRAMES, seed=st.integers(0, 99))
@settings(max_examples=sample(60, 3_000))
def test_memory_holds_what_was_touched_and_nobody_leaves_without_need(references, frames, seed):
    for name in POLICIES:
        pages = {}
        for step in play(policy_for(name, frames, references, seed), references):
            if step.fault:
                assert (step.victim is not None) == (len(pages) == frames)
                pages.pop(step.victim, None)
                assert step.frame not in pages.values()
                pages[step.page] = step.frame
            else:
                assert step.victim is None
            assert pages[step.page] == step.frame < frames


def least_faults(references, frames):
    """The least faults that any choice of victims takes, by trying them all."""
    states = {frozenset(): 0}
    for page in references:
        after = {}
        for pages, faults in states.items():
            if page in pages:
                found = [(pages, faults)]
            elif len(pages) < frames:
                found = [(pages | {page}, faults + 1)]
            else:
                found = [((pages - {out}) | {page}, faults + 1) for out in pages]
            for state, count in found:
                after[state] = min(count, after.get(state, count))
        states = after
    return min(states.values())


@given(references=st.lists(st.integers(0, 6), max_size=40), frames=st.integers(1, 5))
@settings(max_examples=sample(60, 2_000))
def test_opt_takes_the_least_faults_that_can_be(references, frames):
    (optimal,) = fault_curve("opt", references, [frames])
    assert optimal == least_faults(references, frames)


@given(references=REFERENCES, frames=FRAMES, seed=st.integers(0, 99))
@settings(max_examples=sample(60, 3_000))
def test_no_policy_has_fewer_faults_than_opt(references, frames, seed):
    (optimal,) = fault_curve("opt", references, [frames])
    others = [fault_curve(name, references, [frames], seed)[0] for name in POLICIES]
    assert min(others) == optimal >= min(len(set(references)), len(references))


@given(references=REFERENCES)
@settings(max_examples=sample(60, 3_000))
def test_lru_is_the_count_of_stack_distances(references):
    distances = stack_distances(references)
    frames = range(1, 14)
    assert fault_curve("lru", references, frames) == [lru_faults(distances, n) for n in frames]


@given(references=REFERENCES, frames=FRAMES, name=st.sampled_from(["lru", "opt"]))
@settings(max_examples=sample(60, 3_000))
def test_more_frames_hold_all_that_fewer_hold(references, frames, name):
    pairs = zip(
        resident(name, frames, references), resident(name, frames + 1, references), strict=True
    )
    assert all(fewer <= more for fewer, more in pairs)


def test_fifo_and_clock_have_no_such_inclusion():
    """Negative control: Belady's string is one where they hold what more frames do not."""
    for name in ("fifo", "clock"):
        pairs = zip(
            resident(name, 3, "123412512345"), resident(name, 4, "123412512345"), strict=True
        )
        assert not all(fewer <= more for fewer, more in pairs)


class Numbered:
    """Generations as numbers of pages, the least being the oldest, as `lru_gen` has them."""

    def __init__(self):
        self.number_of, self.came, self.marks = {}, {}, set()
        self.youngest, self.moves = 1, 0

    def put(self, page):
        self.moves += 1
        self.number_of[page], self.came[page] = self.youngest, self.moves

    def first(self):
        return min(self.number_of, key=lambda page: (self.number_of[page], self.came[page]))

    def leaves(self):
        while True:
            page = self.first()
            if self.number_of[page] >= self.youngest - 1:
                for each in sorted(self.marks, key=lambda x: (self.number_of[x], self.came[x])):
                    self.put(each)
                self.marks.clear()
                self.youngest += 1
            elif page in self.marks:
                self.marks.remove(page)
                self.put(page)
            else:
                del self.number_of[page], self.came[page]
                return page

    def touch(self, page, frames):
        victim = None
        if page not in self.number_of:
            victim = self.leaves() if len(self.number_of) == frames else None
            self.put(page)
        self.marks.add(page)
        return victim


@given(references=REFERENCES, frames=FRAMES)
@settings(max_examples=sample(60, 3_000))
def test_generations_are_as_if_they_were_numbered(references, frames):
    policy, numbered = policy_for("mglru_like", frames, ()), Numbered()
    for page in references:
        assert policy.touch(page) == numbered.touch(page, frames)
        assert policy.marked == numbered.marks
        assert sum(map(len, policy.generations)) == len(numbered.number_of)


def victims(name, frames, references):
    return [step.victim for step in play(policy_for(name, frames, ()), references)]


def test_what_was_used_between_two_looks_is_younger_in_whichever_order():
    """The first look finds all marked, and goes by who came first; the next knows better."""
    assert victims("lru", 3, "12314") == [None, None, None, None, "2"]
    assert victims("mglru_like", 3, "12314") == [None, None, None, None, "1"]
    assert victims("mglru_like", 3, "123425") == [None, None, None, "1", None, "3"]


class SecondChance:
    """Tanenbaum, Modern Operating Systems, section 3.4.4: a queue of pages, each with its bit."""

    def __init__(self, frames):
        self.frames, self.queue = frames, deque()

    def touch(self, page):
        for entry in self.queue:
            if entry[0] == page:
                entry[1] = 1
                return None
        victim = None
        if len(self.queue) == self.frames:
            while self.queue[0][1]:
                oldest, _ = self.queue.popleft()
                self.queue.append([oldest, 0])
            victim, _ = self.queue.popleft()
        self.queue.append([page, 1])
        return victim


@given(references=REFERENCES, frames=FRAMES)
@settings(max_examples=sample(100, 5_000))
def test_clock_is_second_chance_step_by_step(references, frames):
    clock = play(policy_for("clock", frames, ()), references)
    assert list(clock) == list(play(SecondChance(frames), references))


@given(references=REFERENCES, frames=FRAMES, seed=st.integers(0, 99))
@settings(max_examples=sample(20, 500))
def test_names_of_pages_do_not_matter_and_luck_is_repeated(references, frames, seed):
    renamed = [f"page {page}" for page in references]
    for name in POLICIES:
        assert fault_curve(name, references, [frames], seed) == fault_curve(
            name, renamed, [frames], seed
        )


def test_a_page_that_opt_was_not_told_of_is_refused():
    with pytest.raises(ValueError, match="'c' is not what reference 1 was said to be"):
        count_faults(policy_for("opt", 2, "ab"), "ac")
    with pytest.raises(ValueError, match="reference 2"):
        count_faults(policy_for("opt", 2, "ab"), "aba")


def test_an_unknown_policy_and_no_frame_are_refused():
    with pytest.raises(ValueError, match="called 'mru'; there are: fifo, clock, lru, mglru_like"):
        policy_for("mru", 2, "ab")
    with pytest.raises(ValueError, match="frames must be >= 1, got 0"):
        policy_for("lru", 0, "ab")
