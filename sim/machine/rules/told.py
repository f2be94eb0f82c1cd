"""What is to be said where a run goes by the rules of another release than its kernel's."""

from typing import Final

from sim.machine.releases import (
    NEWEST,
    OLDEST_WHOLE,
    enterprise_of,
    followed_release,
    parse_release,
    release_name,
)
from sim.machine.rules import RULES
from sim.machine.rules.later import LATER

KNOWN_OF_OLD: Final = "overcommit, kernel stacks, fault-around and MADV_FREE"
"""What the table has of releases older than `OLDEST_WHOLE`."""


def release_note(text: str) -> str:
    """Return whose rules a kernel follows, and what then differs; "" where they are its own.

    >>> release_note("6.12"), release_note("4.31")
    ('', 'Linux 4.31 never was: the rules of 4.20 hold')
    """
    asked, followed = parse_release(text), followed_release(text)
    name, rules = release_name(asked), release_name(followed)
    said = []
    if asked > NEWEST:
        known = [f"{row.what} ({row.changes})" for row in LATER if row.since <= asked]
        differs = (
            f"not in them: {', '.join([*known, 'and more'])}"
            if known
            else "what changed since is not known"
        )
        said.append(f"Linux {name} is newer than all that is known: the rules of {rules} hold")
        said.append(differs)
    elif asked != followed:
        said.append(f"Linux {name} never was: the rules of {rules} hold")
    if followed < OLDEST_WHOLE:
        whole = release_name(OLDEST_WHOLE)
        said.append(
            f"of Linux {rules} the rules of {KNOWN_OF_OLD} are known: the rest is {whole}'s"
        )
    enterprise = enterprise_of(text)
    if enterprise:
        backported = sum(rule.simulated and rule.since > followed for rule in RULES.values())
        said.append(
            f"kernels of {enterprise} carry much of later releases: any of the {backported} rules "
            f"that came after {rules} may hold in them, and none does here"
        )
    return "; ".join(said)
