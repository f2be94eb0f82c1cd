"""Rules by release: control groups."""

from typing import Final

from sim.machine.rules.rule import SOURCE, SOURCE_6_12, Rule

R_STOCKS: Final = Rule(
    30,
    (6, 16),
    "a CPU has stocks of charged pages of up to seven control groups",
    "of one",
    "usage of groups that take turns on a CPU",
    SOURCE,
    SOURCE_6_12,
)
