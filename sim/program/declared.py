"""What a program says of its own parameters: how sure they are, and what they stand for.

`Uncertain` and `LeftOut` are metadata of `typing.Annotated`, beside the `Range` of what is allowed:

    save_speed_bytes_per_s: Annotated[
        float, Range(1, None), Uncertain("assumed: ...", times=(0.5, 2), measure="...")
    ] = 200.0 * MIB

`advised_by` names what a program has to say about the settings of the server that it stands for;
`near_normal`, which metrics' means over runs have an interval that holds; `without_files`, that
nothing feeds back on memory.

All of this changes no run.  A study varies what is uncertain, one parameter at a time, and gives
what a program leaves out a line of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

if TYPE_CHECKING:
    from sim.program.signature import Parameter

_Mark = TypeVar("_Mark")
_Function = TypeVar("_Function", bound=Callable[..., Any])
HEADROOM: Final = 0.1
"""What a line to paste leaves above the figure it is made from, as a share of it."""


@dataclass(frozen=True, slots=True)
class Uncertain:
    """How far from its value a parameter may truly lie, and how to find out.

    Attributes
    ----------
    source
        Why this range; begins with ``assumed`` where nobody has measured it.
    low, high
        Ends of the range, in the parameter's own unit; None: see `times`.
    times
        The ends as multiples of the value, for what has no range of its own.
    instead
        For a choice: what else it may be.
    measure
        What to look at on the real machine to learn the value.
    says
        What people call it; default: its key, with blanks.
    """

    source: str
    low: float | None = None
    high: float | None = None
    times: tuple[float, float] | None = None
    instead: tuple[Any, ...] = ()
    measure: str = ""
    says: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no range: raise `ValueError`."""
        numbers = [end for end in (self.low, self.high, *(self.times or ())) if end is not None]
        if not all(isinstance(end, int | float) for end in numbers):
            raise ValueError("low, high and times of Uncertain are numbers in base units")
        if self.instead and numbers:
            raise ValueError("Uncertain has a range or a choice, not both")
        if self.times is not None and not 0 <= self.times[0] <= 1 <= self.times[1]:
            raise ValueError("times of Uncertain are a factor up to 1 and one from 1 on")

    def ends(self, value: Any) -> tuple[Any, ...]:
        """Return what to try instead of `value`: low and high, or each other choice.

        A `value` outside the range moves the end that it is beyond; an end that is the value is
        left out.

        >>> Uncertain("assumed", times=(0.5, 2)).ends(10), Uncertain("", instead=(1, 2)).ends(2)
        ((5, 20), (1,))
        """
        if self.instead:
            return tuple(other for other in self.instead if other != value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return ()
        low, high = self.low, self.high
        if self.times is not None:
            low, high = (value * factor for factor in self.times)
        ends = [end for end in (low, high) if end is not None]
        if isinstance(value, int):
            ends = [round(end) for end in ends]
        low_side = [end for end in ends[:1] if end < value]
        return (*low_side, *(end for end in ends[-1:] if end > value))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Memory that the model does not work out: what a scenario gives is taken, by default none.

    `what` is its line in the bill, `part` the part of ``memory_need_bytes`` that has it, and
    `measure` where its size can be read.  With `passes` it has been given back before there is a
    child: it is part of the need only if more is never needed afterwards.
    """

    what: str
    part: Literal["data", "page_cache"]
    measure: str
    passes: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """Something to set on the real machine: in which file, what to paste there, and why."""

    where: str
    text: str
    why: str


Advice = Callable[[Mapping[str, Any]], Sequence[Line]]
"""Takes a program's arguments, by the names of its signature."""


def advised_by(advice: Advice) -> Callable[[_Function], _Function]:
    """Let `advice` say what to set for a server that runs with a program's arguments."""

    def mark(program: _Function) -> _Function:
        program.advice = advice  # type: ignore[attr-defined]
        return program

    return mark


def advice_of(program: Callable[..., Any], arguments: Mapping[str, Any]) -> Sequence[Line]:
    """Return what a program says is to be set; nothing if it says nothing."""
    advice: Advice | None = getattr(program, "advice", None)
    return () if advice is None else advice(arguments)


def near_normal(*metrics: str) -> Callable[[_Function], _Function]:
    """Say that the means of these metrics over runs of a program are near normal.

    That takes evidence: `sim.study.near_normal` says which.
    """

    def mark(program: _Function) -> _Function:
        program.near_normal = frozenset(metrics)  # type: ignore[attr-defined]
        return program

    return mark


def near_normal_of(program: Callable[..., Any]) -> frozenset[str]:
    """Return the metrics whose means are near normal; none if a program says nothing."""
    metrics: frozenset[str] = getattr(program, "near_normal", frozenset())
    return metrics


def without_files(*unless: str) -> Callable[[_Function], _Function]:
    """Say that a program touches no file, unless one of these keys is set.

    And that it never asks how much memory is free: nothing it does depends on how much there is.
    """

    def mark(program: _Function) -> _Function:
        program.without_files = unless  # type: ignore[attr-defined]
        return program

    return mark


def touches_no_file(program: Callable[..., Any] | None, process: Mapping[str, Any]) -> bool:
    """Return whether a program is known to touch no file with the keys of a process."""
    unless: tuple[str, ...] | None = getattr(program, "without_files", None)
    return unless is not None and not any(process.get(key) for key in unless)


def mark_of(parameter: Parameter, kind: type[_Mark]) -> _Mark | None:
    """Return what a program says of its parameter in a mark of this kind; None if nothing."""
    if get_origin(parameter.annotation) is not Annotated:
        return None
    found = (item for item in get_args(parameter.annotation)[1:] if isinstance(item, kind))
    return next(found, None)
