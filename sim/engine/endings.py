"""How a process may end that should not have: what that is, and what helps."""

from typing import Final

CRITICAL: Final = 2_000_000_000
"""From this priority on the kubelet never evicts a pod (`IsCriticalPod`)."""

NOBODY_IN_GROUP: Final = "memory (its control group is full, and no process in it may be killed)"
"""What a task of a full group waits for that Linux would let try again and again."""

BAD_ENDINGS: Final = {
    "segfault": (
        "crashed",
        "ended by SIGSEGV: touched what is not mapped, or may not be touched",
        "mend the program: it writes or reads outside its regions",
    ),
    "bus error": (
        "crashed",
        "ended by SIGBUS: no huge page was left for what it had not reserved",
        "raise `host.nr_hugepages`, or share the memory: a child has no reservation",
    ),
    "evicted": (
        "evicted",
        "evicted by the kubelet: memory.available was below policy.eviction",
        "give the host more memory, or lower policy.eviction.memory_available",
    ),
    "oom-killed": (
        "killed",
        "killed because memory ran out",
        "give the host more memory, or let fewer processes use it",
    ),
}
"""By what a process `ended` with: the code of the finding, what it says, and the remedy."""
