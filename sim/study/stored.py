"""What a store says, as plain values: where runs stand, and what became of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a run stands in its study: never part of its seed, only of its tables."""

    part: str
    point: int
    host: int
    replication: int


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A place, the run that fills it, and the scenario of that run (by its SHA-256)."""

    place: Place
    key: str
    scenario: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run: why it failed, None if it did not, and the time that it took, in s."""

    reason: str | None
    wall_s: float


@dataclass(frozen=True, slots=True)
class Ended:
    """How many runs of this and all earlier plans have ended, and the time they took, in s."""

    runs: int
    wall_s: float


@dataclass(frozen=True, slots=True)
class Session:
    """When runs began to be made, in s by the clock of the machine, and what had been before."""

    began_s: float
    before: Ended
