"""Rules by release: what is refused, who is killed, how frames and CPUs are handed out."""

from typing import Final

from sim.machine.rules.rule import (
    FORMULA,
    KERNEL,
    NOTHING,
    SOURCE_3_10,
    SOURCE_4_18,
    SOURCE_6_1,
    UNCHECKED,
    Rule,
)

R_VICTIM_ITSELF: Final = Rule(
    23,
    (5, 1),
    "the process with the highest badness is killed",
    "that child of it is, with memory of its own, which has the highest, if there is one",
    "who is killed",
    KERNEL,
    SOURCE_4_18,
    "bbbe48029720",
)
R_GUESS_TOTAL: Final = Rule(
    0,
    (5, 2),
    "overcommit mode 0 refuses a single request of more than memory and swap",
    "it refuses what free pages, free swap and the page cache, less what is kept back, do not hold",
    "refusals",
    KERNEL,
    SOURCE_3_10,
    "8c7829b04c52",
)
R_REAPER_WAITS: Final = Rule(
    46,
    (5, 18),
    "a thread of the kernel takes the memory of who was killed for lack of memory and is still "
    "there after 2 s",
    "at once, since 4.6; here its own exit gives it back",
    "when a killed process's memory is free, where it has no CPU or very much memory",
    KERNEL,
    UNCHECKED,
    "e4a38402c36e",
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
    simulated=False,
)
R_STACK_16K: Final = Rule(
    32,
    (3, 15),
    "a kernel stack has 16 KiB (the default of `host.kernel_stack`)",
    "8 KiB",
    "memory of each task",
    KERNEL,
    UNCHECKED,
    "6538b8ea886e",
)
