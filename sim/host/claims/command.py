"""`cowpool conform --claim`: what is claimed of memory under a limit, checked by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TextIO

from sim.base.errors import ScenarioError
from sim.host.claims.charging import KERNEL_MEMORY, KILL, STORM, USAGE, VICTIM
from sim.host.claims.files import FILEPAGE, MAPPED, TWICE, WRITER
from sim.host.claims.hugetlb import HUGETLB
from sim.host.claims.scripts import GROUP_SCRIPTS
from sim.host.claims.stalls import STALLS
from sim.host.claims.swap import SWAP_FILE, SWAP_LOOP
from sim.host.claims.threads import ARENAS
from sim.host.claims.zram import ZRAM
from sim.host.conditions import group_conditions, why_busy
from sim.host.kernel import HostError
from sim.host.session import DIFFERENT, DONE, UNCHECKED, Session, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.host.claims.claim import Case, Claim

CLAIMS: Final[dict[str, Claim]] = {
    claim.name: claim
    for claim in (
        USAGE,
        KILL,
        VICTIM,
        KERNEL_MEMORY,
        STORM,
        GROUP_SCRIPTS,
        TWICE,
        FILEPAGE,
        MAPPED,
        WRITER,
        ARENAS,
        HUGETLB,
        STALLS,
        SWAP_FILE,
        SWAP_LOOP,
        ZRAM,
    )
}
"""Every claim, in the order in which they are listed."""


def list_claims(*, as_json: bool = False, out: TextIO | None = None) -> int:
    """Print every claim: its name, within which band it holds, what it says."""
    session = _Session(as_json, out, None)
    for claim in CLAIMS.values():
        session.tell(claim)
    session.finish(DONE)
    return DONE


def run_claims(
    names: Sequence[str],
    *,
    kernel: bool = False,
    cases: int | None = None,
    seed: int = 0,
    as_json: bool = False,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Predict the cases of claims, ask the kernel too if wanted, and return the exit status.

    ``all`` names every claim.  0 all held, or nothing was to be asked; 1 one is red; 3 one could
    not be asked.  Raises `ScenarioError` for a name that no claim has.
    """
    wanted = list(CLAIMS) if "all" in names else list(names)
    for name in wanted:
        if name not in CLAIMS:
            known = ", ".join(CLAIMS)
            raise ScenarioError(f"there is no claim {name!r}; there are: {known}", key="--claim")
    session = _Session(as_json, out, err)
    if kernel:
        session.state_conditions()
    status = worst([session.check(CLAIMS[name], cases, seed, kernel) for name in wanted])
    session.finish(status)
    return status


class _Session(Session):
    """One invocation of the command."""

    def tell(self, claim: Claim) -> None:
        """Print a claim without checking it."""
        self._write(f"{claim.name:<10} {claim.says} ({claim.band}; {claim.cases} cases)\n")
        self._results.append(
            {
                "claim": claim.name,
                "says": claim.says,
                "band": claim.band,
                "cases": claim.cases,
            }
        )

    def state_conditions(self) -> None:
        """Print what the host is like, as far as answers depend on it."""
        self._conditions = group_conditions()
        for condition in self._conditions:
            self._say(str(condition))

    def check(self, claim: Claim, cases: int | None, seed: int, kernel: bool) -> int:
        """Check one claim, print its cases and what became of it, and return its status."""
        reason = claim.why_not() if kernel else ""
        ask = kernel and not reason
        found: list[Case] = []
        try:
            for case in claim.check(min(cases or claim.cases, claim.cases * 50), seed, ask):
                found.append(case)
                self._write(f"{_line(case)}\n")
        except HostError as error:
            reason = str(error)
        lost = [case for case in found if not case.held]
        busy = why_busy() if lost else ""
        if busy and all(case.quiet for case in lost):
            reason, lost = f"{len(lost)} of {len(found)} differ, but {busy}", []
        red = len(lost)
        status = DIFFERENT if red else UNCHECKED if reason else DONE
        told = f"{red} of {len(found)} red" if red else f"unchecked: {reason}" if reason else ""
        told = told or (f"held ({claim.band})" if kernel else "predicted")
        self._write(f"{claim.name}: {told}\n")
        self._results.append({"claim": claim.name, "verdict": told, "cases": _plain(found)})
        return status


def _line(case: Case) -> str:
    if not case.kernel:
        return f"  {case.name}: {case.predicted}"
    return f"  {case.name}: {case.predicted} {'=' if case.held else '!'} {case.kernel}"


def _plain(cases: Sequence[Case]) -> list[dict[str, Any]]:
    return [
        {
            "name": case.name,
            "predicted": case.predicted,
            "kernel": case.kernel or None,
            "held": case.held if case.kernel else None,
        }
        for case in cases
    ]
