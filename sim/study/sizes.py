"""The sizes that a plan chooses among: values of one key, or a catalogue of what can be had.

They are in order from the hardest, at which least is to be hoped for, to the easiest.  Each has to
be more than the one before, in all that it sets, or a run that passes at one of them says nothing
of the next: of a catalogue, a size with more memory and fewer CPUs than others is left out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sim.base.errors import ScenarioError
from sim.base.text import shorten
from sim.base.units import KIB, MIB, PAGE_BYTES, BaseFloat, BaseInt
from sim.scenario.catalogue import read_catalogue
from sim.scenario.questions import Search
from sim.scenario.study import Study
from sim.study.plan import Planner
from sim.study.points import MEMORY, value_at
from sim.study.written import KINDS, kind_of

CPUS: Final = "host.cpus"
USUAL_FACTOR: Final = 8
"""Without a range, a key is tried from an eighth of its value to eight times as much."""
MOST_SIZES: Final = 100_000
FINENESS: Final = 128
"""A size is rounded to less than so many parts of it: to whole MiB, to eighths of one, to pages."""


@dataclass(frozen=True, slots=True)
class Size:
    """One size: what people write, what it sets, and the figure that sizes are drawn by."""

    name: str
    sets: Mapping[str, Any]
    figure: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes from the hardest to the easiest.

    `key` is the one that varies, None where a catalogue says which do; `kind` is what its values
    are (`KINDS`).  `smallest` tells that small ones are hard: the smallest is looked for.
    `source` is where a catalogue has its sizes from, and `left_out` those of it that are in no
    order with `every`: more memory and fewer CPUs than one of these, or the other way round.
    """

    key: str | None
    title: str
    kind: str
    smallest: bool
    every: tuple[Size, ...]
    source: str = ""
    left_out: tuple[Size, ...] = ()

    def to_set(self, number: int, headroom: float) -> str:
        """Return a line to set: a size with `headroom`, a share of it, added or taken away.

        A size of a catalogue is what it is.
        """
        size = self.every[number]
        if self.key is None:
            return ", ".join(f"{k}: {_written(k, v)}" for k, v in size.sets.items())
        value = size.sets[self.key]
        moved: float = value * (1 + headroom) if self.smallest else value * (1 - headroom)
        if isinstance(value, int):
            moved = math.ceil(moved) if self.smallest else max(1, math.floor(moved))
            moved = _rounded(self.kind, moved)
        return f"{self.key}: {_name(self.kind, moved)}"


def sizes_of(study: Study, planner: Planner, point: int) -> Sizes:
    """Return the sizes that a study's plan is about, at a point of it.

    A value that the study sets for the key is where a range begins that is not stated.  Raises
    `ScenarioError` if the key is no number there, or an axis, if the range is none, or if the
    catalogue cannot be read.
    """
    search = study.file.plan
    if study.file.catalogue is not None:
        if search is not None and search.key is not None:
            message = "has a key, and the study a catalogue; keep one of them"
            raise study.error(message, "plan")
        return _of_catalogue(study, study.file.catalogue)
    if search is None or search.key is None:
        message = "names no key; write `plan: {minimise: host.memory, in: [1 GiB, 8 GiB]}`"
        raise study.error(message, *(("plan",) if search is not None else ()))
    key, place = search.key, ("plan", "minimise" if search.minimise else "maximise")
    taken = {k for axis in planner.axes for level in axis.levels for k in level.sets}
    if key in taken:
        raise study.error(f"{shorten(key)} is set besides; take it away there", *place)
    value = value_at(planner.size_cell("sizes", point, 0, {}).scenario, key)
    if search.between is None and not is_positive(value):
        message = f"{shorten(key)} is no number above 0 in the scenario"
        raise study.error(f"{message}; say from where to where with `in`", *place)
    low, high, kind = _range(study, planner, point, search, value)
    whole = isinstance(value if is_positive(value) else low, int)
    steps = math.ceil(math.log(high / low) / math.log1p(search.resolution))
    if steps > MOST_SIZES:
        message = f"makes {steps:,} sizes; write a larger fraction, or a narrower range"
        raise study.error(message, "plan", "resolution")
    values = _between(kind, low, high, max(1, steps), whole=whole)
    every = [Size(_name(kind, v), {key: v}, float(v)) for v in values]
    smallest = search.minimise is not None
    return Sizes(key, key, kind, smallest, tuple(every if smallest else reversed(every)))


def _range(
    study: Study, planner: Planner, point: int, search: Search, value: Any
) -> tuple[float, float, str]:
    """Return the ends of the range, in base units, and what kind of value they are."""
    key = str(search.key)
    if search.between is None:
        low, high = value / USUAL_FACTOR, value * USUAL_FACTOR
        return (max(1, math.ceil(low)) if isinstance(value, int) else low), high, _kind_of(value)
    ends = []
    for number, written in enumerate(search.between):
        end = value_at(planner.size_cell("sizes", point, 0, {key: written}).scenario, key)
        if not is_positive(end):
            raise study.error("is no number above 0", "plan", "in", str(number))
        ends.append(end)
    if ends[0] >= ends[1]:
        raise study.error("ends before it begins; write the smaller value first", "plan", "in")
    return ends[0], ends[1], kind_of(search.between[1])


def is_positive(value: Any) -> bool:
    """Whether a value is a number above 0."""
    return not isinstance(value, bool) and isinstance(value, int | float) and value > 0


def _of_catalogue(study: Study, name: str) -> Sizes:
    try:
        catalogue = read_catalogue(name, study.folder)
    except ScenarioError as error:
        if error.file is not None:
            raise
        raise study.error(error.message, "catalogue") from None
    offers = [
        Size(each, {MEMORY: BaseInt(offer.memory), CPUS: BaseInt(offer.cpus)}, float(offer.memory))
        for each, offer in catalogue.sizes.items()
    ]
    every = longest_chain(offers)
    left_out = tuple(size for size in sorted(offers, key=_extent) if size not in every)
    title = f"{catalogue.name} ({catalogue.date})"
    return Sizes(None, title, "bytes", True, every, catalogue.source, left_out)


def longest_chain(offers: Sequence[Size]) -> tuple[Size, ...]:
    """Return as many sizes as can be put in a row in which neither memory nor CPUs get fewer.

    Of several such rows one that ends with the most memory.

    >>> names = {"nano": (1, 2), "small": (2, 2), "medium": (4, 1), "large": (8, 2)}
    >>> offers = [Size(n, {MEMORY: m, CPUS: c}, m) for n, (m, c) in names.items()]
    >>> [size.name for size in longest_chain(offers)]
    ['nano', 'small', 'large']
    """
    chains: list[tuple[Size, ...]] = []
    for size in sorted(offers, key=_extent):
        shorter = [chain for chain in chains if chain[-1].sets[CPUS] <= size.sets[CPUS]]
        chains.append((*max(shorter, key=len, default=()), size))
    return max(reversed(chains), key=len)


def in_no_order(one: Size, other: Size) -> bool:
    """Whether one of two sizes of a catalogue has more memory, and the other more CPUs.

    So a run that passes at one of them says nothing of the other.
    """
    (small, cpus), (large, others) = sorted((_extent(one), _extent(other)))
    return small < large and cpus > others


def _extent(size: Size) -> tuple[int, int]:
    return size.sets[MEMORY], size.sets[CPUS]


def _between(kind: str, low: float, high: float, steps: int, *, whole: bool) -> list[Any]:
    """Return values from `low` to `high`, each larger than the one before by the same factor."""
    inner = [low * (high / low) ** (n / steps) for n in range(1, steps)]
    if not whole:
        return [BaseFloat(low), *(BaseFloat(f"{v:.4g}") for v in inner), BaseFloat(high)]
    first, last = round(low), round(high)
    between = {_rounded(kind, round(v)) for v in inner}
    return [BaseInt(v) for v in (first, *sorted(v for v in between if first < v < last), last)]


def _rounded(kind: str, value: float) -> int:
    """Return a whole number as people would set it."""
    if kind != "bytes":
        return round(value)
    unit = next((u for u in (MIB, MIB // 8) if value >= FINENESS * u), PAGE_BYTES)
    return math.ceil(value / unit) * unit


def _kind_of(value: float) -> str:
    """Return what a resolved value is, of which nothing was written: sizes are whole pages."""
    return "bytes" if isinstance(value, int) and value and value % PAGE_BYTES == 0 else "number"


def _name(kind: str, value: float) -> str:
    """Return a value as it may be written in a file."""
    if kind == "bytes":
        unit, word = next(
            (u, w) for u, w in ((MIB, "MiB"), (KIB, "KiB"), (1, "B")) if not value % u
        )
        return f"{value // unit:.0f} {word}"
    return KINDS[kind][1](value) if kind in KINDS else f"{value:g}"


def _written(key: str, value: float) -> str:
    return _name("bytes" if key == MEMORY else "number", value)
