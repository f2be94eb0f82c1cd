"""Rules by release: groups at their limits, reclaim and swap.

Some are only told yet: see `simulated`.
"""

from typing import Final

from sim.machine.rules.rule import KERNEL, KERNEL_6_1, KERNEL_6_12, SEEN, SOURCE, UNCHECKED, Rule

R_CHARGE_WAITS: Final = Rule(
    33,
    (4, 19),
    "a system call that goes over the limit of its group has a process of it killed",
    "it is refused with ENOMEM; only page faults have one killed",
    "refusals and kills in groups",
    UNCHECKED,
    UNCHECKED,
    simulated=False,
    of_groups=True,
)
R_PROPORTIONAL: Final = Rule(
    40,
    (5, 4),
    "reclaim looks at as much of a group as lies above `memory.min` and `memory.low`",
    "at all of a group that has grown beyond what they protect",
    "whose pages reclaim takes",
    SOURCE,
    UNCHECKED,
    "9783aa9917f8",
)
R_HIGH_SLEEPS: Final = Rule(
    41,
    (5, 4),
    "who takes memory in a group above `memory.high` sleeps for it, if reclaim was no help",
    "only reclaims",
    "times of tasks in groups",
    KERNEL_6_12,
    UNCHECKED,
    "0e4b01df8659",
)
R_RECURSIVE_PROT: Final = Rule(
    45,
    (5, 7),
    "what groups do not claim of the protection of the one they are in is shared out among them "
    "(`memory_recursiveprot`, as systemd mounts groups)",
    "nobody has it",
    "whose pages reclaim takes, in nested groups",
    KERNEL_6_1,
    UNCHECKED,
    "8a931f801340",
)
R_HIGH_RETRIES: Final = Rule(
    42,
    (5, 9),
    "before that it reclaims for as long as anything comes of it, and 16 times more in vain",
    "once",
    "times of tasks in groups, counts of `high`",
    KERNEL_6_12,
    UNCHECKED,
    "b3ff92916af3",
)
R_STATS_FLUSHED: Final = Rule(
    34,
    (5, 15),
    "reclaim reads a group's statistics as of their last flush: every 2 s, and when they are read",
    "as they are, but for up to 32 changes a CPU",
    "reclaim in groups: deactivation, refaults",
    SEEN,
    UNCHECKED,
    "aa48e47e3906",
    simulated=False,
    of_groups=True,
)
R_RECLAIM_THROTTLE: Final = Rule(
    44,
    (5, 16),
    "who reclaims in vain sleeps a jiffy each time that the lists were gone through, if most pages "
    "of files are dirty or being written, in a group too",
    "a tenth of a second after each attempt, and not in a group",
    "when tasks are killed while files are written",
    UNCHECKED,
    UNCHECKED,
    "132b0d21d21f",
)
R_HIGH_AT_ONCE: Final = Rule(
    43,
    (5, 18),
    "a system call pays for `memory.high` as soon as it has taken more than 64 pages",
    "at its end",
    "times of calls in groups",
    SOURCE,
    UNCHECKED,
    "c9afe31ec443",
)
R_MGLRU: Final = Rule(
    35,
    (6, 1),
    "there is MGLRU, off unless a distribution turns it on (`host.lru`)",
    "there is none",
    "whatever depends on reclaim",
    UNCHECKED,
    UNCHECKED,
    "ac35a4902374",
)
R_ROTATION_COST: Final = Rule(
    36,
    (6, 2),
    "a page written out costs its list 32 times what one rotated costs",
    "as much as one rotated",
    "how reclaim divides between files and anonymous memory",
    SEEN,
    UNCHECKED,
    "0538a82c39e9",
)
R_FULL_WALK: Final = Rule(
    37,
    (6, 9),
    "reclaim stops at the group where it has enough and goes on from there next time; if it got "
    "nothing it goes once more over all from priority 12",
    "each round goes over all groups, and it ends after the last",
    "whose pages reclaim takes, and kills, in nested groups",
    KERNEL_6_12,
    KERNEL_6_1,
)
R_ZERO_SWAP: Final = Rule(
    38,
    (6, 12),
    "a page of zeros takes a slot of the swap device and is not written",
    "it is written",
    "writes to the swap device, time",
    KERNEL,
    UNCHECKED,
    "0ca0c24e3211",
)
R_SEVEN_STOCKS: Final = Rule(
    39,
    (6, 16),
    "a CPU keeps charges in stock for 7 groups",
    "for one: when another is charged, the stock goes back",
    "usage of groups that share a CPU",
    SOURCE,
    SOURCE,
    "f735eebe55f8",
)
