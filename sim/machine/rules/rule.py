"""A rule of Linux that came with a release, and the words for how it was checked."""

from typing import Final, Self

from sim.machine.releases import Release

KERNEL: Final = "running kernel 6.18"
KERNEL_6_12: Final = "running kernel 6.12"
KERNEL_6_1: Final = "running kernel 6.1"
ONLY_V2: Final = "version 2: running kernels 6.1 and 6.12; version 1: not there on 6.18"
BOTH: Final = "version 2: running kernels 6.1 and 6.12; version 1: running kernel 6.18"
FORMULA: Final = "formula"
SOURCE_6_12: Final = "unchecked (read in source 6.12)"
SOURCE_6_1: Final = "unchecked (read in source 6.1)"
SOURCE: Final = "unchecked (read in the commit)"
SOURCE_4_18: Final = "unchecked (read in source 4.18)"
SOURCE_3_10: Final = "unchecked (read in source 3.10)"
SEEN: Final = "unchecked (seen on 6.18)"
UNCHECKED: Final = "unchecked (from memory)"
NOTHING: Final = "not simulated"


class Rule(int):
    """A rule of Linux that came with a release: its bit, with what there is to say of it.

    `since` is the release; `now` says what holds since then, `before` what held until then;
    `changes` which figures of a run can differ; `checked` and `checked_before` how each was
    checked; `commit` is the change in Linux's history, or "" where it was not looked up.
    `simulated` is whether anything goes by it yet; where it is `of_groups` only groups are told.
    """

    since: Release
    now: str
    before: str
    changes: str
    checked: str
    checked_before: str
    commit: str
    simulated: bool
    of_groups: bool

    def __new__(
        cls,
        number: int,
        since: Release,
        now: str,
        before: str,
        changes: str,
        checked: str,
        checked_before: str,
        commit: str = "",
        *,
        simulated: bool = True,
        of_groups: bool = False,
    ) -> Self:
        """Make a row of the table; `number` is that of its bit."""
        rule = super().__new__(cls, 1 << number)
        rule.since = since
        rule.now, rule.before, rule.changes = now, before, changes
        rule.checked, rule.checked_before = checked, checked_before
        rule.commit = commit
        rule.simulated, rule.of_groups = simulated, of_groups
        return rule
