"""Reference strings of the textbooks, with the faults that their authors count.

Faults that bring the first pages in are counted, as all but Stallings do.  Figures and editions
are from memory, but for Arpaci-Dusseau's and the exercise with 1 to 7 frames.
"""

import pytest

from sim.policy.replacement import fault_curve, play, policy_for, stack_distances

pytestmark = pytest.mark.truth

ONE_TO_SEVEN = range(1, 8)

PUBLISHED = [
    # Silberschatz, Galvin, Gagne, Operating System Concepts, 9th ed. (2012), section 9.4,
    # figures 9.12, 9.14 and 9.15.
    ("70120304230321201701", [3], {"fifo": [15], "opt": [9], "lru": [12]}),
    # Belady, Nelson, Shedler (1969), An anomaly in space-time characteristics of certain programs
    # running in a paging machine, CACM 12(6); Silberschatz figure 9.13.
    ("123412512345", ONE_TO_SEVEN, {"fifo": [12, 12, 9, 10, 5, 5, 5]}),
    # The same with its pages numbered from 0: Tanenbaum, Modern Operating Systems, 2nd ed. (2001),
    # figure 4-24.
    ("012301401234", [3, 4], {"fifo": [9, 10]}),
    # Tanenbaum, Modern Operating Systems, problem on 10 references to 8 pages, with its solution.
    ("0172327103", [4], {"fifo": [6], "lru": [7]}),
    # Silberschatz, practice exercise 9.8, with its solution.
    (
        "12342156212376321236",
        ONE_TO_SEVEN,
        {
            "lru": [20, 18, 15, 10, 8, 7, 7],
            "fifo": [20, 18, 16, 14, 10, 10, 7],
            "opt": [20, 15, 11, 8, 7, 7, 7],
        },
    ),
    # Silberschatz, exercise 9.21, with its solution.
    ("72312534677105462301", [3], {"lru": [18], "fifo": [17], "opt": [13]}),
    # Arpaci-Dusseau, Operating Systems: Three Easy Pieces (2018), figures 22.1, 22.2 and 22.5.
    ("01201303121", [3], {"opt": [5], "fifo": [7], "lru": [5]}),
    # Stallings, Operating Systems, 7th ed. (2012), figure 8.15: 3, 4, 6 and 5 faults after the
    # three that fill memory.
    ("232152453252", [3], {"opt": [6], "lru": [7], "fifo": [9], "clock": [8]}),
]


@pytest.mark.parametrize(("references", "frames", "faults"), PUBLISHED)
def test_faults_are_as_published(references, frames, faults):
    assert {name: fault_curve(name, references, frames) for name in faults} == faults


def test_the_frames_of_the_textbooks_table_hold_what_it_shows():
    """Silberschatz, figure 9.12: FIFO, columns at faults."""
    shown = "7 70 701 201 231 230 430 420 423 023 013 012 712 702 701".split()
    frames, columns = {}, []
    for step in play(policy_for("fifo", 3, ()), "70120304230321201701"):
        frames[step.frame] = step.page
        if step.fault:
            columns.append("".join(frames[n] for n in sorted(frames)))
    assert columns == shown


def test_clock_moves_its_hand_as_the_book_draws_it():
    """Stallings, figure 8.15: memory after each reference from the fourth on; frames in order."""
    shown = "231 531 521 524 524 324 324 325 325".split()
    frames, columns = {}, []
    for step in play(policy_for("clock", 3, ()), "232152453252"):
        frames[step.frame] = step.page
        columns.append("".join(frames[n] for n in sorted(frames)))
    assert columns[3:] == shown


def test_stack_distances_are_the_books():
    """Tanenbaum, Modern Operating Systems, 2nd ed., figure 4-25: the distance string."""
    infinite = None
    assert stack_distances("021354637473355311172341") == [
        *[infinite] * 7, 4, infinite, 4, 2, 3, 1, 5, 1, 2, 6, 1, 1, 4, 7, 4, 6, 5,
    ]  # fmt: skip
