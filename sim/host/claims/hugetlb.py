"""The pool of huge pages: random scripts on what is free of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.host.claims.claim import Case, Claim
from sim.host.compare import compare, count_differences
from sim.host.conditions import cannot_run, free_huge_pages
from sim.host.kernel import KernelRunner
from sim.host.session import RUNS_UNTIL_BELIEVED
from sim.script.grammar import HUGETLB_VERBS
from sim.script.predict import possible, predict
from sim.script.random import CONTRACT_VERBS, random_script, script_generator

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPTS: Final = 20
NOMINAL_POOL: Final = 8
"""Pages of 2 MiB that are predicted for where the kernel is not asked."""


def _why_not() -> str:
    if reason := cannot_run():
        return reason
    if free_huge_pages() <= 0:
        return "the pool of huge pages is empty (vm.nr_hugepages), and is not made larger here"
    return ""


def _check(cases: int, seed: int, ask: bool) -> Iterator[Case]:
    pool = free_huge_pages() if ask else NOMINAL_POOL
    verbs = CONTRACT_VERBS | HUGETLB_VERBS
    for index in range(cases):
        drawn = random_script(script_generator(seed, index), verbs=verbs)
        script = possible(drawn, hugetlb_pages=pool)
        mine = predict(script, hugetlb_pages=pool)
        name = f"script {index}: operations that differ of {len(script)}"
        if not ask:
            yield Case(name, "0")
            continue
        for _ in range(RUNS_UNTIL_BELIEVED):
            different = count_differences(compare(mine, KernelRunner().run(script)))
            if different == 0:
                break
        yield Case(name, "0", str(different), different == 0)


HUGETLB: Final = Claim(
    "hugetlb",
    "random scripts on the pool of huge pages: faults, mappings that are refused, SIGBUS",
    "equal",
    SCRIPTS,
    _why_not,
    _check,
)
