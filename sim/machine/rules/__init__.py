"""Linux's rules that changed from release to release, and the releases that brought them.

One table, in files by what rules are about.  A machine of some release follows
`rules_of(release)`, a set of bits that compiled code finds in ``config.rules``; the table in
``docs/model.md`` is made of the same rows.  A release means its last stable version: what was
backported counts (6.12 is 6.12.117, 6.1 is 6.1.192).
"""

from typing import Final

from sim.machine.releases import followed_release, release_name
from sim.machine.rules import areas, files, huge, limits, locks, pages, pressure
from sim.machine.rules.rule import NOTHING, Rule

RULES: Final[dict[str, Rule]] = dict(
    sorted(
        (
            (name, rule)
            for module in (areas, files, huge, limits, locks, pages, pressure)
            for name, rule in vars(module).items()
            if isinstance(rule, Rule)
        ),
        key=lambda row: (row[1].since, row[1]),
    )
)
"""By name, in order of release."""


def rules_of(release: str) -> int:
    """Return the bits of all rules that a release follows, such as ``"6.12"``.

    One that is not known follows the nearest (`sim.machine.releases.followed_release`).
    """
    number = followed_release(release)
    return sum(rule for rule in RULES.values() if rule.since <= number)


def rules_table() -> str:
    """Return the table of rules by release, in Markdown."""
    lines = [
        "| since | rule | before | differs in | checked, now and before | commit |",
        "|---|---|---|---|---|---|",
    ]
    for rule in RULES.values():
        checked = rule.checked
        if rule.checked_before != rule.checked:
            checked += f"; {rule.checked_before}"
        commit = f"`{rule.commit}`" if rule.commit else ""
        changes = rule.changes
        if not rule.simulated and changes != NOTHING:
            changes += f" ({NOTHING} yet)"
        cells = (release_name(rule.since), rule.now, rule.before, changes, checked, commit)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
