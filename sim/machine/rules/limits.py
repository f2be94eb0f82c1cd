"""Rules by release: what is refused, who is killed, how frames and CPUs are handed out."""

from typing import Final

from sim.machine.rules.rule import FORMULA, KERNEL, NOTHING, SOURCE, SOURCE_6_1, Rule

R_VICTIM_ITSELF: Final = Rule(
    23,
    (5, 1),
    "the process with the highest badness is killed",
    "that child of it is, with memory of its own, which has the highest, if there is one",
    NOTHING,
    NOTHING,
    NOTHING,
    "bbbe48029720",
)
R_GUESS_TOTAL: Final = Rule(
    0,
    (5, 2),
    "overcommit mode 0 refuses a single request of more than memory and swap",
    "it refuses what is more than free pages and page cache, less the high watermarks",
    "refusals",
    KERNEL,
    SOURCE,
    "8c7829b04c52",
)
R_EEVDF: Final = Rule(
    7,
    (6, 6),
    "EEVDF: the default quantum is its base slice, 0.7 ms x (1 + log2 CPUs)",
    "CFS: it is half its latency, 3 ms x (1 + log2 CPUs), as two busy tasks get it",
    "waits for a CPU",
    FORMULA,
    SOURCE_6_1,
    "147f3efaa241",
)
R_TUNED_PERCPU: Final = Rule(
    9,
    (6, 7),
    "per-CPU lists grow and shrink by themselves",
    "their size is fixed",
    NOTHING,
    NOTHING,
    NOTHING,
    "90b41691b988",
)
